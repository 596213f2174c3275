//go:build unix

package tools

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

const suffix = ""

// read returns the path to which an entry leads. A relative one counts from the entry's folder.
func read(entry string) (string, error) {
	target, err := os.Readlink(entry)
	switch {
	case errors.Is(err, syscall.EINVAL): // a file or a folder
		return "", errForeign
	case err == nil && !filepath.IsAbs(target):
		target = filepath.Join(filepath.Dir(entry), target)
	}
	return target, err
}

// write makes an entry lead to a program. There is no moment without the entry.
func write(entry, program string) error {
	temporary := filepath.Join(filepath.Dir(entry), "."+filepath.Base(entry)+".new")
	_ = os.Remove(temporary) // of a run that was killed
	if err := os.Symlink(program, temporary); err != nil {
		return err
	}
	return os.Rename(temporary, entry)
}
