//go:build unix

package host

import (
	"fmt"

	"golang.org/x/sys/unix"
)

func diskOf(path string) (Disk, error) {
	var fs unix.Statfs_t
	var file unix.Stat_t
	if err := unix.Statfs(path, &fs); err != nil {
		return Disk{}, fmt.Errorf("statfs %s: %w", path, err)
	}
	if err := unix.Stat(path, &file); err != nil {
		return Disk{}, fmt.Errorf("stat %s: %w", path, err)
	}
	block := uint64(fs.Bsize)
	// What is reserved for root counts as neither: df does the same.
	used := (fs.Blocks - fs.Bfree) * block
	free := fs.Bavail * block
	return Disk{Name: fmt.Sprint(file.Dev), Total: used + free, Free: free}, nil
}
