// Package templatetext reads the text of a Lima template in the way that the rest of RDD agrees on. The
// clients and rdd-lima call it before they give the text to a YAML parser, so that all of them
// accept and refuse the same texts.
package templatetext

import (
	"bytes"
	"fmt"
	"unicode/utf8"

	"github.com/docker/go-units"
)

// MaxBytes is the largest size of a template, whichever way it comes in.
const MaxBytes = 256 << 10

// The smallest sizes that a template may give to a VM. Anything below is most likely a forgotten unit.
const (
	MinMemory = 64 << 20
	MinDisk   = 16 << 20
)

// EnvScript begins the script that gives a guest its environment variables. What follows repeats their
// values, which can be secret.
const EnvScript = "#!/bin/sh\n# Made by RDD from the template's env and the host's proxies.\n"

// Check says whether text can be a template at all: it is UTF-8 and not too large.
func Check(text []byte) error {
	if len(text) > MaxBytes {
		return fmt.Errorf("the template is too large: %s, and at most %s are allowed: move large files and scripts out of it, to where a provision script can download them",
			units.BytesSize(float64(len(text))), units.BytesSize(MaxBytes))
	}
	return CheckUTF8(text)
}

// CheckUTF8 says on which line text is not UTF-8.
func CheckUTF8(text []byte) error {
	for number, line := range bytes.Split(text, []byte("\n")) {
		if !utf8.Valid(line) {
			return fmt.Errorf("line %d: this is not UTF-8 text: save the template with the encoding UTF-8", number+1)
		}
	}
	return nil
}

// byteOrderMark is what some editors put before UTF-8 text.
const byteOrderMark = "\ufeff"

// Plain returns the text without what YAML allows and its parsers disagree on: a byte order mark,
// line ends with a carriage return, and directives such as %YAML, which become comments. Lines keep
// their numbers.
func Plain(text []byte) []byte {
	text = bytes.TrimPrefix(text, []byte(byteOrderMark))
	text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
	lines := bytes.SplitAfter(text, []byte("\n"))
	for i, line := range lines {
		switch trimmed := bytes.TrimSpace(line); {
		case bytes.HasPrefix(line, []byte("%")):
			lines[i] = append([]byte("#"), line[1:]...)
		case len(trimmed) > 0 && trimmed[0] != '#': // the document has begun
			return bytes.Join(lines, nil)
		}
	}
	return bytes.Join(lines, nil)
}
