//go:build unix

package host

import (
	"fmt"
	"os"
	"syscall"
)

// device is the number of the file system that info is of.
func device(_ string, info os.FileInfo) string {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return fmt.Sprint(stat.Dev)
	}
	return ""
}
