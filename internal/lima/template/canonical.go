package template

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"

	"github.com/lima-vm/lima/pkg/limayaml"

	"rancherdesktop.io/rdd/internal/lima"
)

// canonical writes a decoded template as JSON, which is YAML that every parser reads in the same way. Lima gets only
// this form, so that the result of a check does not depend on how the author wrote the template.
func canonical(y *limayaml.LimaYAML) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(y); err != nil {
		return nil, err
	}
	text := []byte(escaped(b.String()))
	again, err := decode(text)
	if err != nil {
		return nil, fmt.Errorf("write the template in its plain form: %w", err)
	}
	b.Reset()
	if err := e.Encode(again); err != nil {
		return nil, err
	}
	if escaped(b.String()) != string(text) {
		return nil, lima.Permanentf("the template holds a text that its YAML parser doesn't read as it was written: use printable characters")
	}
	return text, nil
}

// escaped escapes the characters that are allowed in JSON strings but not in YAML.
func escaped(text string) string {
	if strings.IndexFunc(text, unprintable) < 0 {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		switch {
		case !unprintable(r):
			b.WriteRune(r)
		case r > 0xffff:
			fmt.Fprintf(&b, `\U%08x`, r) // YAML's own, which JSON lacks
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

func unprintable(r rune) bool { return !unicode.IsPrint(r) && r != '\n' }
