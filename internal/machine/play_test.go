//go:build unix

package machine

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rancherdesktop.io/rdd/internal/machine/event"
	"rancherdesktop.io/rdd/internal/machine/layout"
	"rancherdesktop.io/rdd/internal/proc"
)

// TestMain lets the test binary play rdd-lima, so that the tests cross real processes. How it plays
// is in files of the directory PLAY, which a test can change at any time.
func TestMain(m *testing.M) {
	dir := os.Getenv("PLAY")
	if dir == "" {
		os.Exit(m.Run())
	}
	p := &player{dir: dir, w: event.NewWriter(os.Stdout)}
	os.Exit(p.play(os.Args[1:]))
}

// player is one run of the pretended rdd-lima.
type player struct {
	dir string
	vm  layout.VM
	w   *event.Writer

	nonce string
}

// mode is how the named command is to be played.
func (p *player) mode(command string) string {
	b, _ := os.ReadFile(filepath.Join(p.dir, command))
	return string(b)
}

// count notes that something happened.
func (p *player) count(what string) {
	f, err := os.OpenFile(filepath.Join(p.dir, what+".count"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err == nil {
		_, _ = f.WriteString("x")
		_ = f.Close()
	}
}

// awaitFile waits until a test makes the file, or until the test's directory is gone.
func (p *player) awaitFile(name string) {
	for {
		if _, err := os.Stat(filepath.Join(p.dir, name)); err == nil {
			return
		}
		if _, err := os.Stat(p.dir); err != nil {
			os.Exit(1)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (p *player) play(args []string) int {
	command := args[0]
	fs := flag.NewFlagSet(command, flag.ExitOnError)
	fs.StringVar(&p.vm.Home, "lima-home", "", "")
	fs.StringVar(&p.vm.Logs, "log-dir", "", "")
	fs.StringVar(&p.nonce, "nonce", "", "")
	for _, unused := range []string{"share", "acceleration", "param"} {
		fs.String(unused, "", "")
	}
	fs.Bool("kill", false, "")
	_ = fs.Parse(args[1:])
	p.vm.Name = fs.Arg(0)
	p.count(command)
	switch mode := p.mode(command); mode {
	case "die":
		fmt.Fprintln(os.Stderr, "the sky fell")
		return 7
	case "garbage":
		fmt.Println("what is this?\n{]")
		return 0
	case "fail", "permanent":
		_ = p.w.Write(event.Event{Failure: &event.Failure{Field: "disk", Message: "disk: no", Permanent: mode == "permanent"}})
		return 1
	case "hang": // until interrupted
		interrupted := make(chan os.Signal, 1)
		signal.Notify(interrupted, os.Interrupt)
		_ = p.w.Write(event.Event{Phase: event.Image, Step: 1, Steps: 2, Bytes: 5, Total: 10})
		<-interrupted
		p.count("interrupted")
		return 1
	case "deaf":
		signal.Ignore(os.Interrupt)
		_ = p.w.Write(event.Event{Phase: event.Image, Step: 1, Steps: 2})
		p.awaitFile("never")
	}
	switch command {
	case "validate":
		_, _ = io.Copy(io.Discard, os.Stdin)
	case "prepare":
		must(os.MkdirAll(p.vm.Run(), 0o700))
		must(os.MkdirAll(p.vm.Dir(), 0o700))
		must(os.WriteFile(p.vm.Prepared(), nil, 0o600))
	case "remove":
		must(os.RemoveAll(p.vm.Dir()))
	case "clear":
		must(os.WriteFile(filepath.Join(p.dir, "qemu.end"), nil, 0o600))
		for held := true; held; held, _ = proc.Held(p.vm.QEMULock()) {
			time.Sleep(5 * time.Millisecond)
		}
	case "hostagent":
		return p.hostagent()
	case "qemu":
		lock, err := proc.Acquire(p.vm.QEMULock())
		must(err)
		p.awaitFile("qemu.end")
		must(lock.Release())
		return 0
	}
	_ = p.w.Write(event.Event{OK: true})
	return 0
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "player:", err)
		os.Exit(3)
	}
}

// hostagent plays a hostagent whose guest boots at once.
func (p *player) hostagent() int {
	lock, err := proc.Acquire(p.vm.AgentLock())
	if errors.Is(err, proc.ErrLocked) {
		fmt.Fprintln(os.Stderr, "the VM's hostagent runs already")
		return 1
	}
	must(err)
	defer func() { _ = lock.Release() }()
	p.count("agents")
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt)
	must(p.vm.WriteRecord(layout.Record{Nonce: p.nonce, PID: os.Getpid(), Logs: p.vm.Logs}))
	f, err := os.Create(p.vm.Events())
	must(err)
	p.w = event.NewWriter(f)
	must(p.w.Write(event.Event{Nonce: p.nonce}))
	must(p.w.Write(event.Event{Accelerator: &event.Accelerator{Name: "tcg", Reason: "HardwareHangs"}}))
	must(p.w.Write(event.Event{Phase: event.Boot, Step: 3, Steps: 5, Message: "booting", SSHPort: 2222}))
	mode := p.mode("boot")
	switch mode {
	case "crash":
		must(os.WriteFile(p.vm.SerialLog(), []byte("Kernel panic\x1b[0m - no init\n"), 0o600))
		return 7
	case "refuse":
		must(p.w.Write(event.Event{Exiting: true, Failure: &event.Failure{Message: "no hardware", Permanent: true}}))
		return 1
	case "late":
		p.awaitFile("booted")
	}
	running := event.Event{Phase: event.Ready, Running: true}
	if mode == "degraded" {
		running.Degraded = []string{"no port forwards"}
	}
	must(p.w.Write(running))
	select {
	case <-stop:
	case <-p.file("poweroff"):
		return 0
	}
	must(p.w.Write(event.Event{Phase: event.Stop, Message: "powering off"}))
	switch p.mode("stop") {
	case "slow":
		p.awaitFile("stopped")
	case "deaf":
		p.awaitFile("never")
	}
	must(p.w.Write(event.Event{Exiting: true}))
	return 0
}

// file returns a channel that is closed when a test makes the file.
func (p *player) file(name string) <-chan struct{} {
	made := make(chan struct{})
	go func() {
		p.awaitFile(name)
		close(made)
	}()
	return made
}

// script is a program that plays rdd-lima as the files in dir say.
func script(t *testing.T, dir string) string {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "rdd-lima")
	text := fmt.Sprintf("#!/bin/sh\nPLAY='%s' exec '%s' \"$@\"\n", strings.ReplaceAll(dir, "'", `'\''`), self)
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}
