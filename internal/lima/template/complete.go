package template

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"unicode"

	"github.com/lima-vm/lima/pkg/limayaml"

	"rancherdesktop.io/rdd/internal/lima"
)

// guestUser is the guest's user when RDD runs as root, because the guest's user can't be root.
const guestUser = "lima"

const guestUID = 1000

// Complete returns the template in its canonical form, with values for its params, and, when RDD runs
// as root, with an ordinary user for the guest. Lima would otherwise give the guest the user that runs it.
func Complete(text []byte, params map[string]string, asRoot bool) ([]byte, error) {
	y, err := decode(text)
	if err != nil {
		return nil, err
	}
	if y.User.Name != nil && *y.User.Name == "root" || y.User.UID != nil && *y.User.UID == 0 {
		return nil, lima.FieldErrorf("user", "the guest's user can't be root: give it another name and a uid such as 1000, or leave user out")
	}
	if y.Param == nil {
		y.Param = map[string]string{}
	}
	maps.Copy(y.Param, params)
	if asRoot {
		y.User.Name = cmp.Or(y.User.Name, new(guestUser))
		y.User.UID = cmp.Or(y.User.UID, new(uint32(guestUID)))
		y.User.Comment = cmp.Or(y.User.Comment, new("RDD"))
	}
	return canonical(y)
}

// canonical writes a decoded template as JSON, which is YAML that every parser reads in the same way. Lima gets only
// this form, so that the result of a check doesn't depend on how the author wrote the template.
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
			fmt.Fprintf(&b, `\U%08x`, r) // JSON has no such escape, but YAML has
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

func unprintable(r rune) bool { return !unicode.IsPrint(r) && r != '\n' }
