//go:build unix

package core

import (
	"os"
	"syscall"
)

// closable makes Close end a Read. Setting a size leaves the file blocking, as every use of its Fd does.
func closable(f *os.File) error { return syscall.SetNonblock(int(f.Fd()), true) }
