package dockerconfig

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"rancherdesktop.io/rdd/internal/atomicfile"
)

const (
	configFile = "config.json"
	backupFile = "config.json.rdd-backup"
	maxConfig  = 1 << 20 // bytes
)

// config is docker's config.json as it was read.
type config struct {
	path string      // of the file itself, if it is reached through links
	info fs.FileInfo // nil: there is no file
	text []byte
}

// errUnreadable means that nobody can read the file, and so docker can't.
var errUnreadable = errors.New("can't be read")

// readConfig reads config.json in the folder. That there is none is no error.
func readConfig(dir string) (*config, error) {
	link := filepath.Join(dir, configFile)
	path, err := filepath.EvalSymlinks(link)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Lstat(link); err == nil {
			return nil, fmt.Errorf("it %w: it is a link to a file that is missing", errUnreadable)
		}
		return &config{path: link}, nil
	}
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, fmt.Errorf("it %w: it is a folder", errUnreadable)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("it %w: it is not a regular file", errUnreadable)
	case info.Size() > maxConfig:
		return nil, fmt.Errorf("it has more than %d bytes", maxConfig)
	}
	text, err := atomicfile.Read(path)
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("it %w: %w", errUnreadable, err)
	}
	return &config{path: path, info: info, text: text}, err
}

// errChanged means that another program has written the file since it was read.
var errChanged = errors.New("another program keeps writing it")

// unchanged returns errChanged if the file is no longer as it was read.
func (c *config) unchanged() error {
	text, err := atomicfile.Read(c.path)
	switch {
	case c.info == nil && errors.Is(err, fs.ErrNotExist):
		return nil
	case c.info == nil && err == nil:
		return errChanged
	case err != nil:
		return err
	}
	if info, err := os.Stat(c.path); err != nil || !os.SameFile(info, c.info) || !bytes.Equal(text, c.text) {
		return errChanged
	}
	return nil
}

// writable returns why the file must not be replaced. A replacement needs only a writable folder, but who makes a file read-only
// doesn't want it to change.
func (c *config) writable() error {
	if c.info == nil {
		return nil
	}
	if c.info.Mode().Perm()&0o200 == 0 {
		return errors.New("it is read-only")
	}
	dir, err := os.Stat(filepath.Dir(c.path))
	if err == nil && dir.Mode().Perm()&0o222 == 0 {
		return fmt.Errorf("it is in the folder %s, which is read-only", filepath.Dir(c.path))
	}
	return err
}

// replace writes the text. A new file is for this user only.
func (c *config) replace(text []byte) error {
	if err := c.writable(); err != nil {
		return err
	}
	if c.info != nil {
		return atomicfile.WriteLike(c.path, text, c.info, c.unchanged)
	}
	if err := os.MkdirAll(filepath.Dir(c.path), 0o700); err != nil {
		return err
	}
	if err := c.unchanged(); err != nil {
		return err
	}
	return atomicfile.Write(c.path, text)
}

// backUp copies the text beside config.json before the first change, for this user only: it may hold passwords.
func (c *config) backUp(dir string) error {
	if c.info == nil {
		return nil
	}
	path := filepath.Join(dir, backupFile)
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return atomicfile.Write(path, c.text)
}

// dropBackUp removes the backup if useless says so of its text.
func dropBackUp(dir string, useless func(text []byte) bool) error {
	path := filepath.Join(dir, backupFile)
	if b, err := atomicfile.Read(path); err != nil || !useless(b) {
		return nil
	}
	return os.Remove(path)
}

// bare reports whether a text says nothing but what the current context is.
func bare(text []byte) bool {
	d, err := parse(text)
	return err == nil && all(d.members)
}

// dockerReads is the current context that docker finds in a text, also in one that parse refuses: docker reads the first JSON
// value, and goes on after some errors in it.
func dockerReads(text []byte) string {
	var c struct {
		CurrentContext string `json:"currentContext"`
	}
	_ = json.NewDecoder(bytes.NewReader(text)).Decode(&c)
	return c.CurrentContext
}

// tries is how often a change is tried while other programs write the file, too.
const tries = 5

// change replaces the value of the current context by what next returns for the text as it is: raw, and whether to change it at
// all. It returns the new text; ok is false if there was nothing to change. An error says why the file was left alone.
func change(dir string, next func(d *document) (raw string, ok bool, err error)) (text []byte, ok bool, err error) {
	for range tries {
		if text, ok, err = changeOnce(dir, next); !errors.Is(err, errChanged) {
			break
		}
	}
	return text, ok, err
}

func changeOnce(dir string, next func(d *document) (raw string, ok bool, err error)) (text []byte, ok bool, err error) {
	c, err := readConfig(dir)
	if err != nil {
		return nil, false, err
	}
	d, err := parse(c.text)
	if err != nil {
		return nil, false, err
	}
	d.missing = c.info == nil
	raw, ok, err := next(d)
	if err != nil || !ok {
		return c.text, false, err
	}
	if text, err = d.with(raw); err != nil {
		return nil, false, err
	}
	if err = c.writable(); err == nil {
		err = c.backUp(dir)
	}
	if err == nil {
		err = c.replace(text)
	}
	return text, err == nil, err
}
