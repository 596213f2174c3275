//go:build unix

package qemu

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/lima-vm/lima/pkg/limayaml"

	"rancherdesktop.io/rdd/internal/proc"
)

// TestMain lets the test binary stand in for a hostagent that starts QEMU, for the wrapper of QEMU, and for rdd-lima.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == GuardCommand {
		os.Exit(runGuard(os.Args[2], os.Args[3:]...))
	}
	switch os.Getenv("TEST_PROGRAM") {
	case "hostagent":
		runtime.LockOSThread()
		cmd := exec.Command(os.Args[0], os.Args[1:]...)
		cmd.Env = append(os.Environ(), "TEST_PROGRAM=qemu", "PARENT="+strconv.Itoa(os.Getpid()))
		cmd.Stderr = os.Stderr
		_ = cmd.Run()
		os.Exit(1)
	case "probe":
		ctx, _, _ := proc.Interruptible(context.Background())
		p := &prober{exe: os.Args[1], arch: limayaml.X8664, cache: os.Args[2], timeout: time.Hour}
		_, _ = p.runGuest(ctx)
		os.Exit(1)
	case "qemu":
		parent, _ := strconv.Atoi(os.Getenv("PARENT"))
		fmt.Fprintln(os.Stderr, Exec(os.Args[1], os.Getenv("LOCK"), parent, os.Args[2:]))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// runGuard does what the command "guard" of rdd-lima does.
func runGuard(program string, args ...string) int {
	ctx, stop, err := proc.Interruptible(context.Background())
	if err == nil {
		defer stop()
		err = proc.EndWithParent(os.Getenv(proc.EnvTether))
	}
	code := 1
	if err == nil {
		code, err = proc.Guard(ctx, os.Stdout, os.Stderr, program, args...)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	return code
}
