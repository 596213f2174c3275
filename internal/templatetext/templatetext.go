// Package templatetext prepares the text of a Lima template for a YAML parser, and reads and edits the resources and mounts
// in it. The clients, the App's controller and rdd-lima call it first, so that all of them accept and refuse the same texts.
package templatetext

import (
	"bytes"
	"fmt"
	"unicode/utf8"

	"github.com/docker/go-units"
)

// MaxBytes limits the size of a template.
const MaxBytes = 256 << 10

// The minimum sizes in a template. With a smaller number, most likely the unit is missing.
const (
	MinMemory = 64 << 20
	MinDisk   = 16 << 20
)

// EnvScript is the beginning of the script that sets a guest's environment variables. The rest contains their values,
// which can be secret.
const EnvScript = "#!/bin/sh\n# Made by RDD from the template's env and the host's proxies.\n"

// Check reports why text can't be a template: it is too large or not UTF-8.
func Check(text []byte) error {
	if len(text) > MaxBytes {
		return fmt.Errorf("the template is too large: %s, and at most %s are allowed. Move large files and scripts to a server from which a provision script can download them",
			units.BytesSize(float64(len(text))), units.BytesSize(MaxBytes))
	}
	return CheckUTF8(text)
}

// CheckUTF8 reports the line on which text is not UTF-8.
func CheckUTF8(text []byte) error {
	for number, line := range bytes.Split(text, []byte("\n")) {
		if !utf8.Valid(line) {
			return fmt.Errorf("line %d: this is not UTF-8 text: save the template with the encoding UTF-8", number+1)
		}
	}
	return nil
}

// byteOrderMark is put before UTF-8 text by some editors.
const byteOrderMark = "\ufeff"

// Plain returns the text without the parts of YAML that parsers treat differently: a byte order mark, carriage returns
// at line ends, and directives such as %YAML, which become comments. Line numbers stay the same.
func Plain(text []byte) []byte {
	text = bytes.TrimPrefix(text, []byte(byteOrderMark))
	text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
	lines := bytes.SplitAfter(text, []byte("\n"))
	for i, line := range lines {
		switch trimmed := bytes.TrimSpace(line); {
		case bytes.HasPrefix(line, []byte("%")):
			lines[i] = append([]byte("#"), line[1:]...)
		case len(trimmed) > 0 && trimmed[0] != '#': // the document begins here
			return bytes.Join(lines, nil)
		}
	}
	return bytes.Join(lines, nil)
}
