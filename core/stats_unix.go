//go:build unix

package core

import (
	"os"
	"syscall"
)

// allocatedBytes is what a file takes on its disk; it may have holes. Blocks are of 512 bytes
// whatever the file system (stat(2)).
func allocatedBytes(info os.FileInfo) int64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Blocks * 512
	}
	return info.Size()
}
