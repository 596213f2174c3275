package datastoretest

import (
	"syscall"
	"testing"
)

func unprivileged(testing.TB, string) *syscall.SysProcAttr { return &syscall.SysProcAttr{} }
