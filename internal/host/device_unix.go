//go:build unix

package host

import (
	"fmt"
	"os"
	"syscall"
)

// device returns the number of the file system of info.
func device(_ string, info os.FileInfo) string {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return fmt.Sprint(stat.Dev)
	}
	return ""
}
