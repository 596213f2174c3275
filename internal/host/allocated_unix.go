//go:build unix

package host

import (
	"os"
	"syscall"
)

// Allocated returns the bytes that a file uses on its disk, without its holes. Blocks have 512 bytes on each file system (stat(2)).
func Allocated(info os.FileInfo) int64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Blocks * 512
	}
	return info.Size()
}
