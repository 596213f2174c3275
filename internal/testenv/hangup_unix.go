//go:build unix

package testenv

import (
	"os"
	"os/signal"
	"syscall"
	"testing"
)

// TakeHangups makes SIGHUP end the programs that the test starts, as it does by default. Under nohup they would inherit that it is
// ignored.
func TakeHangups(t testing.TB) {
	t.Helper()
	taken := make(chan os.Signal, 1)
	signal.Notify(taken, syscall.SIGHUP)
	t.Cleanup(func() { signal.Stop(taken) })
}
