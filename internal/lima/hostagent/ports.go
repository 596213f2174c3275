package hostagent

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/shirou/gopsutil/v4/process"
	"github.com/sirupsen/logrus"

	"rancherdesktop.io/rdd/internal/machine/event"
	"rancherdesktop.io/rdd/internal/machine/layout"
)

// ports watches the guest's ports that Lima forwards. Lima reports only in its log that something else has a
// port of the host, and lets two VMs listen on one.
type ports struct {
	vm     layout.VM
	report func(event.Event)
	list   func(context.Context) ([]listener, error) // everything that listens on this host
	self   int                                       // our process
	wake   chan struct{}                             // holds a token when the forwards have changed

	settleDelay, checkInterval time.Duration // how long Lima may take to listen, and the time between two checks

	mu       sync.Mutex
	forwards []forward
}

// forward is a port of the guest and where Lima forwards it to.
type forward struct{ protocol, guest, host string }

// listener is something that listens on a port of this host.
type listener struct {
	protocol string // tcp or udp
	ip       string
	port     int
	pid      int    // 0: not known
	socket   string // how the system names it among a process's files; empty if it doesn't
}

func newPorts(vm layout.VM, say func(event.Event)) *ports {
	return &ports{vm: vm, report: say, list: listeners, self: os.Getpid(), wake: make(chan struct{}, 1), settleDelay: time.Second, checkInterval: 30 * time.Second}
}

// Levels are those at which Lima logs forwards.
func (p *ports) Levels() []logrus.Level { return []logrus.Level{logrus.InfoLevel, logrus.DebugLevel} }

// Fire is called for each log line. If Lima changes its messages, reports about ports are lost, and nothing else.
func (p *ports) Fire(e *logrus.Entry) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var f forward
	switch {
	case scanLog(e.Message, "Forwarding %s from %s to %s", &f.protocol, &f.guest, &f.host):
		f.protocol = strings.ToLower(f.protocol)
		p.forwards = append(p.forwards, f)
	case scanLog(e.Message, "Port forwarding closed proto:%s host:%s guest:%s", &f.protocol, &f.host, &f.guest):
		p.forwards = slices.DeleteFunc(p.forwards, func(other forward) bool { return other == f })
	default:
		return nil
	}
	select {
	case p.wake <- struct{}{}:
	default:
	}
	return nil
}

// run reports what is wrong with the forwards, whenever that changes, until ctx ends.
func (p *ports) run(ctx context.Context) {
	var said []string
	look := time.NewTimer(p.settleDelay)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.wake:
			look.Reset(p.settleDelay)
			continue
		case <-look.C:
			look.Reset(p.checkInterval)
		}
		now, err := p.problems(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			logrus.WithError(err).Warn("who listens on this host can't be found out")
		case err == nil && !slices.Equal(now, said):
			said = now
			p.report(event.Event{Trouble: &event.Trouble{Source: event.FromPorts, Messages: now}})
		}
	}
}

// problems lists what is wrong with the forwards now.
func (p *ports) problems(ctx context.Context) ([]string, error) {
	p.mu.Lock()
	forwards := slices.Clone(p.forwards)
	p.mu.Unlock()
	if len(forwards) == 0 {
		return nil, nil
	}
	all, err := p.list(ctx)
	if err != nil {
		return nil, err
	}
	var said []string
	for _, f := range forwards {
		if problem := p.problem(f, all); problem != "" && !slices.Contains(said, problem) {
			said = append(said, problem)
		}
	}
	slices.Sort(said)
	return said, nil
}

// problem returns what is wrong with one forward; empty if nothing is.
func (p *ports) problem(f forward, all []listener) string {
	host, portText, err := net.SplitHostPort(f.host)
	port, e := strconv.Atoi(portText)
	if err != nil || e != nil {
		return "" // a socket; Connection looks after it
	}
	_, guest, _ := net.SplitHostPort(f.guest)
	var mine *listener
	var others []listener
	for i, l := range all {
		switch {
		case l.protocol != f.protocol || l.port != port || !covers(l.ip, host):
		case l.pid == p.self:
			mine = &all[i]
		default:
			others = append(others, l)
		}
	}
	const choose = "choose another hostPort for it in the template's portForwards (rdd vm edit NAME), then restart the VM"
	switch {
	case mine == nil && len(others) > 0:
		return fmt.Sprintf("port %s of the guest can't be reached on this host: %s listens on %s already. End that and restart the VM, or %s", guest, p.holder(others[0]), f.host, choose)
	case mine == nil:
		return fmt.Sprintf("port %s of the guest can't be reached on this host: nobody could listen on %s for it. `rdd vm logs NAME` says why; ports below 1024 may need rights that you lack: then %s", guest, f.host, choose)
	}
	for _, l := range others {
		if l.ip == mine.ip { // else the connections are told apart by their address
			return fmt.Sprintf("port %s of the guest shares %s with %s, so a connection may reach either. End the other one, or %s", guest, f.host, p.holder(l), choose)
		}
	}
	return ""
}

// covers reports whether a listener on ip receives what is sent to host.
func covers(ip, host string) bool {
	a, b := net.ParseIP(ip), net.ParseIP(host)
	return a.Equal(b) || a != nil && a.IsUnspecified() || b != nil && b.IsUnspecified()
}

// holder names the program or VM that listens.
func (p *ports) holder(l listener) string {
	if l.pid == 0 && l.socket != "" {
		l.pid = processOf(l.socket)
	}
	if l.pid == 0 {
		return "another user's program"
	}
	proc, err := process.NewProcess(int32(l.pid))
	if err != nil {
		return fmt.Sprintf("process %d", l.pid)
	}
	args, _ := proc.CmdlineSlice() // it may be gone, or not ours to look at
	if vm, ok := hostagentOf(args); ok {
		if vm.Home == p.vm.Home {
			return fmt.Sprintf("VM %q", vm.Name)
		}
		return fmt.Sprintf("VM %q of the instance %q", vm.Name, filepath.Base(filepath.Dir(vm.Home)))
	}
	name, err := proc.Name()
	if err != nil {
		return fmt.Sprintf("process %d", l.pid)
	}
	return fmt.Sprintf("%s (process %d)", name, l.pid)
}

// hostagentOf says which VM's hostagent has that command line.
func hostagentOf(args []string) (vm layout.VM, ok bool) {
	if len(args) < 3 || args[1] != "hostagent" {
		return vm, false
	}
	vm.Name = args[len(args)-1]
	if i := slices.Index(args, "--lima-home"); i > 0 && i+1 < len(args) {
		vm.Home = args[i+1]
	}
	return vm, true
}
