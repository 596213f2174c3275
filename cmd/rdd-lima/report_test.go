//go:build unix

package main

import (
	"bufio"
	"os"
	"os/exec"
	"testing"

	"rancherdesktop.io/rdd/internal/machine/event"
	"rancherdesktop.io/rdd/internal/machine/layout"
	"rancherdesktop.io/rdd/internal/proc"
)

// The service ends a command that is silent for a minute, and a removal or the end of a QEMU may take longer.
func TestCommandThatTakesLongIsNotSilent(t *testing.T) {
	for _, command := range []string{"clear", "remove"} {
		t.Run(command, func(t *testing.T) {
			vm := layout.VM{Home: t.TempDir(), Name: "rd"}
			if err := os.MkdirAll(vm.Run(), 0o700); err != nil {
				t.Fatal(err)
			}
			lock, err := proc.Acquire(vm.DiskLock()) // for which the command waits
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = lock.Release() }()
			cmd := exec.Command(os.Args[0], command, "--lima-home", vm.Home, vm.Name)
			cmd.Env = append(os.Environ(), "TEST_PROGRAM=rdd-lima")
			out, err := cmd.StdoutPipe()
			if err == nil {
				err = cmd.Start()
			}
			if err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(out)
			lines.Scan()
			if e, ok := event.Parse(lines.Bytes()); !ok || e.OK || e.Failure != nil {
				t.Errorf("while it waited, it said %q", lines.Text())
			}
			if err := lock.Release(); err != nil {
				t.Fatal(err)
			}
			for lines.Scan() {
			}
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
}
