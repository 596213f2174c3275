//go:build unix

package core

import (
	"os"
	"syscall"
)

// closable makes Close end a Read. Each use of a file's Fd, such as to set the size of a terminal, makes the file blocking.
func closable(f *os.File) error { return syscall.SetNonblock(int(f.Fd()), true) }
