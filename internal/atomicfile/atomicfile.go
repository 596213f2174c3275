// Package atomicfile replaces small files atomically: a reader gets the old content or the new one, never a part of it, even
// after a power cut. The service's record and all files with credentials are written with it.
package atomicfile

import (
	"fmt"
	"os"
	"path/filepath"
)

// Write replaces the file at path. The new file has mode 0600 from its creation on.
func Write(path string, data []byte) (err error) {
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
		err = retryWhileBusy(func() error { return os.Rename(f.Name(), path) })
	}
	return err
}

// temporary opens the file that will replace the one at path: the first of .NAME.0, .NAME.1 and so on that no other writer has
// locked. So a writer takes over the file that a killed one has left, and killed writers leave no more and more files.
func temporary(path string) (f *os.File, err error) {
	for n := 0; f == nil && err == nil; n++ {
		f, err = open(filepath.Join(filepath.Dir(path), fmt.Sprintf(".%s.%d", filepath.Base(path), n)))
	}
	return f, err
}

// Read reads a file that may be replaced at any time.
func Read(path string) (data []byte, err error) {
	err = retryWhileBusy(func() error {
		data, err = os.ReadFile(path)
		return err
	})
	return data, err
}
