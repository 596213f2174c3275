//go:build unix

package core

import (
	"os"
	"syscall"
)

// allocatedBytes returns the bytes that a file uses on its disk, without its holes. Blocks have 512 bytes on each file system
// (stat(2)).
func allocatedBytes(info os.FileInfo) int64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Blocks * 512
	}
	return info.Size()
}

// closable makes Close end a Read. Each use of a file's Fd, such as to set the size of a terminal, makes the file blocking.
func closable(f *os.File) error { return syscall.SetNonblock(int(f.Fd()), true) }
