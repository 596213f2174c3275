// Package atomicfile replaces small files atomically: a reader gets the old content or the new one, never a part of it, even
// after a power cut. The service's record and all files with credentials are written with it.
package atomicfile

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Write replaces the file at path. The new file has mode 0600 from its creation on.
func Write(path string, data []byte) (err error) {
	return write(path, data, func(*os.File) error { return nil })
}

// WriteLike replaces the file at path, which is no link, by one with the mode and the owner of like. It calls last just before,
// when all else is done, and replaces nothing if that returns an error.
func WriteLike(path string, data []byte, like fs.FileInfo, last func() error) error {
	return write(path, data, func(f *os.File) error {
		if err := imitate(f, like); err != nil {
			return fmt.Errorf("keep mode and owner of %s: %w", path, err)
		}
		return last()
	})
}

func write(path string, data []byte, last func(*os.File) error) (err error) {
	f, err := temporary(path)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name()) // while it is locked, so it is still ours
		}
		_ = f.Close() // after Sync it has nothing left to report
	}()
	if err = f.Truncate(0); err == nil {
		_, err = f.Write(data)
	}
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = last(f)
	}
	if err == nil {
		err = Rename(f.Name(), path)
	}
	return err
}

// maxTries bounds how often a temporary file is looked for.
const maxTries = 100

// temporary opens the file that will replace the one at path: the first of .NAME.0, .NAME.1 and so on that can be opened and that
// no other writer has locked. So a writer takes over the file that a killed one has left, and killed writers leave no more and
// more files. Where this doesn't work, such as in a file system without locks, each writer creates a file of its own.
func temporary(path string) (*os.File, error) {
	dir, name := filepath.Dir(path), filepath.Base(path)
	next := true
	for n := 0; next && n < maxTries; n++ {
		var f *os.File
		if f, next = open(filepath.Join(dir, fmt.Sprintf(".%s.%d", name, n))); f != nil {
			return f, nil
		}
	}
	return create(dir, fmt.Sprintf(".%s.tmp-", name))
}

// Read reads a file that may be replaced at any time.
func Read(path string) (data []byte, err error) {
	err = retryWhileBusy(func() error {
		data, err = os.ReadFile(path)
		return err
	})
	return data, err
}

// Rename renames a file or a folder. On Windows it waits for those who have it open.
func Rename(from, to string) error {
	return retryWhileBusy(func() error { return os.Rename(from, to) })
}
