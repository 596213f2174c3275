//go:build unix

package scratch

import (
	"os"
	"syscall"
)

// own says whether path is a folder of this user: others write to the place of temporary folders, too.
func own(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || !info.IsDir() || info.Mode().Perm()&0o077 != 0 {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Geteuid()
}
