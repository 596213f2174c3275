package atomicfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
)

// DamagedError means that a file does not contain what was written to it.
type DamagedError struct {
	File string
	Err  error
}

func (e *DamagedError) Error() string { return fmt.Sprintf("%s is damaged: %v", e.File, e.Err) }
func (e *DamagedError) Unwrap() error { return e.Err }

// ReadJSON decodes a file that contains one JSON object. The error is a *DamagedError when the file contains something else, and
// wraps fs.ErrNotExist when there is no file.
func ReadJSON(path string, to any) error {
	b, err := Read(path)
	if err != nil {
		return err
	}
	return ParseJSON(path, b, to, false)
}

// WriteJSON replaces the file at path with v as one line of JSON.
func WriteJSON(path string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return Write(path, append(b, '\n'))
}

// ParseJSON is ReadJSON for the content b of the file at path. If it is strict, a field that to doesn't have is an error.
func ParseJSON(path string, b []byte, to any, strict bool) error {
	if err := object(b); err != nil {
		return &DamagedError{path, err}
	}
	d := json.NewDecoder(bytes.NewReader(b))
	if strict {
		d.DisallowUnknownFields()
	}
	err := d.Decode(to)
	if err == nil && d.More() {
		err = errors.New("something follows its JSON object")
	}
	if err != nil {
		return &DamagedError{path, err}
	}
	return nil
}

// object returns why b is not a JSON object.
func object(b []byte) error {
	switch text := bytes.TrimSpace(b); {
	case len(text) == 0:
		return errors.New("it is empty")
	case len(bytes.Trim(text, "\x00")) == 0:
		return errors.New("it holds nothing but zeros")
	case text[0] != '{':
		return errors.New("it holds no JSON object")
	}
	return nil
}

// Aside returns the path to which PutAside would rename and CopyAside copy the file at path now.
func Aside(path string) string {
	for n := 1; ; n++ {
		to := path + ".damaged"
		if n > 1 {
			to = fmt.Sprintf("%s.damaged-%d", path, n)
		}
		if _, err := os.Lstat(to); errors.Is(err, os.ErrNotExist) {
			return to
		}
	}
}

// PutAside renames the file at path and returns its new path. No other process may use the file.
func PutAside(path string) (aside string, err error) {
	aside = Aside(path)
	return aside, Rename(path, aside)
}

// CopyAside copies the file at path and returns the path of the copy. It is for a file whose absence means something.
func CopyAside(path string) (aside string, err error) {
	b, err := Read(path)
	if err != nil {
		return "", err
	}
	aside = Aside(path)
	return aside, Write(aside, b)
}
