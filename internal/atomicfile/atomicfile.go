// Package atomicfile replaces small files atomically: a reader gets the old content or the new one, never a part of it, even
// after a power cut. The service's record and all files with credentials are written with it.
package atomicfile

import (
	"os"
	"path/filepath"
)

// Write replaces the file at path. The new file has mode 0600 from its creation on.
func Write(path string, data []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	if _, err = f.Write(data); err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = retryWhileBusy(func() error { return os.Rename(f.Name(), path) })
	}
	return err
}

// Read reads a file that may be replaced at any time.
func Read(path string) (data []byte, err error) {
	err = retryWhileBusy(func() error {
		data, err = os.ReadFile(path)
		return err
	})
	return data, err
}
