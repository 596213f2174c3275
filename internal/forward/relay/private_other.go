//go:build !linux

package relay

import "syscall"

// private does nothing: the permissions of a socket's file can't be set before it exists. Its directory keeps others out.
func private(_, _ string, _ syscall.RawConn) error { return nil }
