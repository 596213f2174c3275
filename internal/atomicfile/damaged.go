package atomicfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
)

// DamagedError means that a file of ours is there and can't be what we wrote.
type DamagedError struct {
	File string
	Err  error
}

func (e *DamagedError) Error() string { return fmt.Sprintf("%s is damaged: %v", e.File, e.Err) }
func (e *DamagedError) Unwrap() error { return e.Err }

// ReadJSON fills to from a file that holds one JSON object. The error is a *DamagedError when the file
// holds something else, and wraps fs.ErrNotExist when there is none.
func ReadJSON(path string, to any) error {
	b, err := Read(path)
	if err != nil {
		return err
	}
	return ParseJSON(path, b, to, nil)
}

// WriteJSON replaces the file at path with v as one line of JSON.
func WriteJSON(path string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return Write(path, append(b, '\n'))
}

// Strict makes ParseJSON refuse fields that it doesn't know.
func Strict(d *json.Decoder) { d.DisallowUnknownFields() }

// ParseJSON is ReadJSON for the content b of the file at path. The option may be nil.
func ParseJSON(path string, b []byte, to any, option func(*json.Decoder)) error {
	if err := object(b); err != nil {
		return &DamagedError{path, err}
	}
	d := json.NewDecoder(bytes.NewReader(b))
	if option != nil {
		option(d)
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

// object says why b is no JSON object.
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

// Aside is where PutAside would put the file at path now.
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

// PutAside keeps the file at path under another name, which it returns. The caller has the file to
// itself.
func PutAside(path string) (aside string, err error) {
	aside = Aside(path)
	return aside, patiently(func() error { return os.Rename(path, aside) })
}
