//go:build unix

package main

import (
	"os"
	"path/filepath"
	"syscall"
)

// ownBytes returns the bytes on the disk of the files in a folder that have no other name.
func ownBytes(dir string) (bytes int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok && (d.IsDir() || st.Nlink == 1) {
			bytes += st.Blocks * 512
		}
		return nil
	})
	return bytes, err
}
