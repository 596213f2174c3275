package enginetest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"

	"rancherdesktop.io/rdd/internal/testenv"
)

// Daemon is an engine's own program, which all tests of a package share.
type Daemon struct {
	Dir string // for all that it has

	once   sync.Once
	failed error
	cmd    *exec.Cmd
	ended  chan struct{}
}

// Need calls start once, when the first test needs the daemon. If that has failed, the test is skipped.
func (d *Daemon) Need(t *testing.T, start func() error) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("the engine needs root")
	}
	d.once.Do(func() {
		if d.Dir, d.failed = os.MkdirTemp("", "rdd"); d.failed == nil { // a socket's path is short
			d.failed = start()
		}
	})
	if d.failed != nil {
		testenv.Missing(t, "the engine can't run here: %v", d.failed)
	}
}

// Start starts the daemon's command, and waits until it answers. The daemon ends with the tests.
func (d *Daemon) Start(cmd *exec.Cmd, answers func() bool) error {
	logPath := filepath.Join(d.Dir, "log")
	log, err := os.Create(logPath)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGTERM
	d.ended = make(chan struct{})
	started := make(chan error)
	go func() {
		defer close(d.ended)
		runtime.LockOSThread() // the signal comes when this thread ends
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return err
	}
	d.cmd = cmd
	ready := testenv.Within(func() bool { return d.hasEnded() || answers() })
	if ready && !d.hasEnded() {
		return nil
	}
	said, _ := os.ReadFile(logPath)
	return fmt.Errorf("it does not answer: %s", said[max(0, len(said)-2000):])
}

func (d *Daemon) hasEnded() bool {
	select {
	case <-d.ended:
		return true
	default:
		return false
	}
}

// Stop ends the daemon, if it was started. clean is called before.
func (d *Daemon) Stop(clean func()) {
	if d.cmd != nil {
		clean()
		_ = d.cmd.Process.Signal(syscall.SIGTERM)
		<-d.ended
	}
	_ = os.RemoveAll(d.Dir)
}

// Box builds the program in ../testdata/box, which runs in the tests' containers.
func (d *Daemon) Box() ([]byte, error) {
	box := filepath.Join(d.Dir, "box")
	build := exec.Command("go", "build", "-ldflags=-s -w", "-o", box, "../testdata/box")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, errors.Join(fmt.Errorf("build box: %s", out), err)
	}
	return os.ReadFile(box)
}
