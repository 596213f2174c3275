//go:build unix

package scratch

import (
	"os"
	"syscall"
)

// own reports whether path is a private folder of this user. All users write to the directory of temporary files.
func own(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || !info.IsDir() || info.Mode().Perm()&0o077 != 0 {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Geteuid()
}
