package machinetest

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"rancherdesktop.io/rdd/internal/machine/event"
	"rancherdesktop.io/rdd/internal/machine/layout"
	"rancherdesktop.io/rdd/internal/proc"
)

// hostagent is a hostagent whose guest boots at once.
func (p *run) hostagent() int {
	runtime.LockOSThread() // QEMU ends with the thread that started it
	begun := func() bool { return p.fake.has("begun", p.vm.Name) }
	switch p.fake.mode("hostagent", p.vm.Name) {
	case "late":
		p.await(begun)
	case "dying":
		p.await(func() bool { return p.fake.has("dies", p.vm.Name) })
		go func() {
			p.await(begun)
			os.Exit(1)
		}()
		endFirstThread()
	}
	stop := interrupts()
	if err := os.MkdirAll(p.vm.Run(), 0o700); err != nil {
		return printError(err)
	}
	lock, err := p.lockHostagent()
	if err != nil {
		return printError(err)
	}
	defer func() { _ = lock.Release() }()
	disk, err := p.lockDisk()
	if err != nil {
		return printError(err)
	}
	defer func() { _ = disk.Release() }()
	if !layout.Exists(p.vm.Prepared()) {
		return printError(fmt.Errorf("VM %q has no disk yet", p.vm.Name))
	}
	if err := p.writeRecord(); err != nil {
		return printError(err)
	}
	if err := p.endLeftover(); err != nil {
		return printError(err)
	}
	return p.boot(stop)
}

// lockHostagent takes the hostagent's lock, unless it was inherited.
func (p *run) lockHostagent() (*proc.Lock, error) {
	if p.lock != "" {
		return proc.Inherited(p.lock, p.vm.HostagentLock())
	}
	return proc.Acquire(p.vm.HostagentLock())
}

func printError(err error) int {
	fmt.Fprintln(os.Stderr, "rdd-lima:", err)
	return 1
}

// writeRecord writes the record by which a service finds this hostagent, and its first events.
func (p *run) writeRecord() error {
	p.fake.count("agents")
	if err := os.MkdirAll(p.vm.Logs, 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(p.vm.Events(), os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	p.w = event.NewWriter(f)
	p.report(event.Event{Nonce: p.nonce})
	if err := p.vm.WriteRecord(layout.Record{Nonce: p.nonce, PID: os.Getpid(), Logs: p.vm.Logs}); err != nil {
		return err
	}
	p.report(event.Event{Accelerator: &accelerator})
	return nil
}

// boot starts the fake QEMU and serves it until it ends.
func (p *run) boot(stop <-chan os.Signal) int {
	mode := p.fake.mode("boot", p.vm.Name)
	switch mode {
	case "crash":
		_ = os.WriteFile(p.vm.SerialLog(), []byte("Kernel panic\x1b[0m - no init\n"), 0o600)
		return 7
	case "refuse":
		p.report(event.Event{Exiting: true, Failure: &event.Failure{Message: "no hardware", Permanent: true}})
		return 1
	}
	ended, err := p.startQEMU()
	if err != nil {
		return printError(err)
	}
	p.report(event.Event{Phase: event.Boot, Step: 3, Steps: 5, Message: "booting", SSHPort: 2222})
	done := make(chan struct{})
	booted := done
	go func() {
		defer close(done)
		if mode == "late" {
			p.await(func() bool { return p.fake.has("booted", p.vm.Name) })
		} else if d, err := time.ParseDuration(mode); err == nil {
			time.Sleep(d)
		}
	}()
	for {
		select {
		case <-booted:
			booted = nil // once
			if err := p.serveEngine(); err != nil {
				return printError(err)
			}
			running := event.Event{Phase: event.Ready, Step: 5, Steps: 5, Running: true}
			if mode == "degraded" {
				running.Degraded = []string{"no port forwards"}
			}
			p.report(running)
		case <-stop:
			return p.powerOff(ended)
		case <-ended: // as when the guest powers itself off
			return p.end()
		}
	}
}

// startQEMU starts the fake QEMU and returns when it runs. ended is closed when it has ended.
func (p *run) startQEMU() (ended <-chan struct{}, err error) {
	mode := p.fake.mode("qemu", p.vm.Name)
	cmd, err := p.fake.startQEMU(p.vm, mode != "orphan" && mode != "deaf")
	if err != nil {
		return nil, errors.Join(err, cmd.Wait())
	}
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		_ = cmd.Wait() // it fails for a QEMU that was killed
	}()
	return closed, nil
}

// powerOff asks the guest to power off and waits until it has.
func (p *run) powerOff(ended <-chan struct{}) int {
	p.report(event.Event{Phase: event.Stop, Message: "powering off"})
	switch mode := p.fake.mode("stop", p.vm.Name); mode {
	case "slow":
		p.await(func() bool { return p.fake.has("stopped", p.vm.Name) || isClosed(ended) })
	case "deaf":
		p.await(func() bool { return isClosed(ended) })
	default:
		if d, err := time.ParseDuration(mode); err == nil {
			time.Sleep(d)
		}
	}
	_ = send(p.vm, "powerdown") // fails when it has ended
	p.await(func() bool { return isClosed(ended) })
	return p.end()
}

func (p *run) end() int {
	p.report(event.Event{Exiting: true})
	return 0
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
