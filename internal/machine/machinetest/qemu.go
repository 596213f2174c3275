package machinetest

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"rancherdesktop.io/rdd/internal/machine/event"
	"rancherdesktop.io/rdd/internal/machine/layout"
	"rancherdesktop.io/rdd/internal/proc"
)

// socket is where the fake QEMU takes the commands powerdown and quit.
func socket(vm layout.VM) string { return filepath.Join(vm.Dir(), "qmp.sock") }

func pidFile(vm layout.VM) string { return filepath.Join(vm.Dir(), "qemu.pid") }

// qemu is a QEMU: it holds the VM's QEMU lock, uses the disk, and ends when it is asked to.
func (p *run) qemu() int {
	lock, err := proc.Acquire(p.vm.QEMULock())
	if err != nil {
		p.fake.count("second-qemu")
		return printError(err)
	}
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	asked := make(chan string)
	listener, err := listen(socket(p.vm), asked)
	if err == nil {
		err = errors.Join(os.WriteFile(pidFile(p.vm), []byte(strconv.Itoa(os.Getpid())), 0o600), appendLine(Disk(p.vm), "on"))
	}
	if err != nil {
		return printError(err)
	}
	fmt.Println("ready")
	p.serve(asked, term)
	err = errors.Join(appendLine(Disk(p.vm), "off"), os.Remove(pidFile(p.vm)), listener.Close(), lock.Release())
	if err != nil {
		return printError(err)
	}
	return 0
}

// idlePollInterval is how often a running QEMU checks the settings. Many of them must not keep a machine busy.
const idlePollInterval = 50 * time.Millisecond

// serve returns when the guest has powered off, or QEMU was asked to end.
func (p *run) serve(asked <-chan string, term <-chan os.Signal) {
	deaf := p.fake.mode("qemu", p.vm.Name) == "deaf"
	for {
		p.exitIfRemoved()
		select {
		case <-asked:
		case <-term:
		case <-time.After(idlePollInterval):
			if !p.fake.has("poweroff", p.vm.Name) {
				continue
			}
		}
		if !deaf {
			return
		}
	}
}

// listen takes commands, one per connection.
func listen(path string, asked chan<- string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	go func() {
		for c, err := l.Accept(); err == nil; c, err = l.Accept() {
			line, _ := bufio.NewReader(c).ReadString('\n')
			_ = c.Close()
			asked <- strings.TrimSpace(line)
		}
	}()
	return l, nil
}

// send sends a command to the VM's QEMU.
func send(vm layout.VM, command string) error {
	c, err := net.Dial("unix", socket(vm))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(c, command)
	return errors.Join(err, c.Close())
}

// clear ends a QEMU whose hostagent has ended.
func (p *run) clear() error {
	lock, err := p.lockDisk()
	if err != nil {
		return err
	}
	defer func() { _ = lock.Release() }()
	return p.endLeftover()
}

// endLeftover ends a QEMU whose hostagent has ended, and removes the files of both. It first asks the guest to power off. The
// caller holds the disk lock.
func (p *run) endLeftover() error {
	steps := []struct {
		act   func() error
		grace time.Duration
	}{
		{func() error { return nil }, 300 * time.Millisecond},
		{func() error { return send(p.vm, "powerdown") }, time.Second},
		{p.killQEMU, time.Minute},
	}
	if p.kill {
		steps = steps[2:]
	}
	for _, s := range steps {
		if held, err := proc.Held(p.vm.QEMULock()); !held || err != nil {
			return errors.Join(err, clearStale(p.vm))
		}
		p.report(event.Event{Phase: event.Leftover, Message: "a QEMU without a hostagent was found"})
		_ = s.act() // fails when it is just ending
		late := time.Now().Add(s.grace)
		p.await(func() bool {
			held, err := proc.Held(p.vm.QEMULock())
			return !held || err != nil || time.Now().After(late)
		})
	}
	if held, err := proc.Held(p.vm.QEMULock()); held || err != nil {
		return errors.Join(err, errors.New("its QEMU can't be ended"))
	}
	return clearStale(p.vm)
}

func (p *run) killQEMU() error {
	b, err := os.ReadFile(pidFile(p.vm))
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(string(b))
	if err != nil {
		return err
	}
	return proc.Kill(pid, func() bool { return proc.Holds(pid, p.vm.QEMULock()) })
}

func clearStale(vm layout.VM) error {
	for _, path := range []string{socket(vm), pidFile(vm)} {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}
