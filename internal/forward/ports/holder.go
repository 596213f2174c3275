package ports

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/shirou/gopsutil/v4/process"
	"github.com/sirupsen/logrus"

	"rancherdesktop.io/rdd/internal/machine/layout"
)

// socket is something that listens on a port of this host.
type socket struct {
	protocol string // tcp or udp
	at       netip.AddrPort
	pid      int    // 0: not known
	name     string // how the system names it among a process's files; empty if it doesn't
}

// holder finds out who has a port of this host.
type holder struct {
	vm    layout.VM
	list  func(context.Context) ([]socket, error) // everything that listens on this host
	known map[socket]string                       // names of processes, which are dear to find

	listed  bool
	sockets []socket // as of the last call of list
}

func newHolder(vm layout.VM) *holder {
	return &holder{vm: vm, list: sockets, known: map[socket]string{}}
}

// forget makes the next call of inUse look again at what listens.
func (h *holder) forget() { h.listed = false }

// inUse says who has the address that w wants, after the attempt to listen has failed with err.
func (h *holder) inUse(ctx context.Context, w *want, err error) string {
	if !errors.Is(err, syscall.EADDRINUSE) {
		return err.Error()
	}
	if !h.listed {
		h.listed = true
		var err error
		if h.sockets, err = h.list(ctx); err != nil && ctx.Err() == nil {
			logrus.WithError(err).Warn("who listens on this host can't be found out")
		}
	}
	who := "another program"
	for _, s := range h.sockets {
		if s.protocol == w.protocol && s.at.Port() == w.host.Port() && covers(s.at.Addr(), w.host.Addr()) {
			who = h.owner(s)
			break
		}
	}
	return who + " has that port already. As soon as it is free, RDD takes it"
}

// covers reports whether a socket on ip is in the way of one on host.
func covers(ip, host netip.Addr) bool {
	return ip == host || ip.IsUnspecified() && (ip.Is6() || host.Is4()) || host.IsUnspecified() && host.Is4() == ip.Is4()
}

// owner names the program or VM that has a socket.
func (h *holder) owner(s socket) string {
	name, ok := h.known[s]
	if !ok {
		name = h.ownerOf(s)
		h.known[s] = name
	}
	return name
}

func (h *holder) ownerOf(s socket) string {
	if s.pid == 0 && s.name != "" {
		s.pid = processOf(s.name)
	}
	if s.pid == 0 {
		return "another user's program"
	}
	if s.pid == os.Getpid() {
		return "another forward of this VM"
	}
	proc, err := process.NewProcess(int32(s.pid))
	if err != nil {
		return fmt.Sprintf("process %d", s.pid)
	}
	args, _ := proc.CmdlineSlice() // it may be gone, or not ours to look at
	if vm, ok := hostagentOf(args); ok {
		if vm.Home == h.vm.Home {
			return fmt.Sprintf("VM %q", vm.Name)
		}
		return fmt.Sprintf("VM %q of the instance %q", vm.Name, filepath.Base(filepath.Dir(vm.Home)))
	}
	name, err := proc.Name()
	if err != nil {
		return fmt.Sprintf("process %d", s.pid)
	}
	return fmt.Sprintf("%s (process %d)", name, s.pid)
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
