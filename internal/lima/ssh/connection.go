// Package ssh reaches into guests over SSH: it opens shells, runs commands, waits for a guest's SSH server, and
// keeps up the connection that carries shared folders and forwarded sockets.
package ssh

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lima-vm/lima/pkg/instance/hostname"
	"github.com/lima-vm/lima/pkg/limayaml"
	"github.com/lima-vm/lima/pkg/store/filenames"
	"github.com/lima-vm/sshocker/pkg/reversesshfs"
	sshocker "github.com/lima-vm/sshocker/pkg/ssh"
	"github.com/sirupsen/logrus"

	"rancherdesktop.io/rdd/internal/lima"
	"rancherdesktop.io/rdd/internal/machine/event"
	"rancherdesktop.io/rdd/internal/machine/layout"
)

// Connection keeps up the one SSH connection that carries a guest's forwarded sockets and shared folders.
// Lima connects at boot, and doesn't notice when the connection ends.
type Connection struct {
	vm     layout.VM
	y      *limayaml.LimaYAML
	report func(event.Event)

	retryInterval  time.Duration // between attempts
	attemptTimeout time.Duration // of one attempt
	checkInterval  time.Duration // between checks whether everything is there
}

// NewConnection returns the connection of a VM with the configuration y. It reports what doesn't work.
func NewConnection(vm layout.VM, y *limayaml.LimaYAML, report func(event.Event)) *Connection {
	return &Connection{vm: vm, y: y, report: report, retryInterval: 2 * time.Second, attemptTimeout: 2 * time.Minute, checkInterval: time.Minute}
}

// sshCommand returns an ssh command with the VM's configuration. args must name the host.
func sshCommand(ctx context.Context, vm layout.VM, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "ssh", append([]string{"-F", filepath.Join(vm.Dir(), filenames.SSHConfig)}, args...)...)
	cmd.WaitDelay = time.Second
	return cmd
}

// Command returns an ssh command that runs a command in the guest, without a terminal.
func Command(ctx context.Context, vm layout.VM, command ...string) *exec.Cmd {
	return sshCommand(ctx, vm, append([]string{"-T", hostname.FromInstName(vm.Name), "--"}, command...)...)
}

// resource is one thing that the connection carries.
type resource struct {
	name   string
	create func(context.Context) error
}

// Run reconnects whenever the connection ends, and restores everything that it carries, until ctx ends. It reports
// what doesn't work meanwhile.
func (c *Connection) Run(ctx context.Context) {
	if *c.y.Plain || runtime.GOOS == "windows" { // nothing depends on it; Windows' ssh has no such connections
		return
	}
	var todo []resource
	var pause time.Duration // before the next attempt
	check := func() {
		if todo, pause = c.missing(ctx), 0; len(todo) > 0 {
			c.reportTrouble(retryingMessage, todo, nil)
		}
	}
	check() // what Lima could not set up at boot
	lost := c.closed(ctx)
	look := time.NewTicker(c.checkInterval)
	defer look.Stop()
	for {
		var again <-chan time.Time
		if lost == nil || len(todo) > 0 {
			again = time.After(pause)
		}
		select {
		case <-ctx.Done():
			return
		case <-lost:
			logrus.Warn("the SSH connection to the guest was lost; reconnecting")
			lost, todo, pause = nil, c.resources(), 0
			c.reportTrouble(reconnectingMessage, todo, nil)
			continue
		case <-look.C:
			if lost != nil && len(todo) == 0 {
				check()
			}
			continue
		case <-again:
		}
		var err error
		if lost == nil {
			if err = c.connect(ctx); err == nil {
				lost = c.closed(ctx)
			}
		}
		if err == nil {
			todo, err = c.restore(ctx, todo)
		}
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			logrus.WithError(err).Warn("some of what uses the SSH connection to the guest could not be restored")
		}
		c.reportTrouble(retryingMessage, todo, err)
		pause = min(max(2*pause, c.retryInterval), 15*c.retryInterval)
	}
}

// What is reported while something is missing.
const (
	reconnectingMessage = "the SSH connection to the guest was lost; reconnecting"
	retryingMessage     = "some of what uses the SSH connection to the guest is missing; retrying"
)

// closed returns a channel that is closed when the connection ends: ssh keeps a client on its control
// socket for as long as it lives. It is closed at once when there is none.
func (c *Connection) closed(ctx context.Context) <-chan struct{} {
	lost := make(chan struct{})
	go func() {
		defer close(lost)
		var d net.Dialer
		conn, err := d.DialContext(ctx, "unix", filepath.Join(c.vm.Dir(), filenames.SSHSock))
		if err != nil {
			return
		}
		defer conn.Close()
		defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
		_, _ = io.Copy(io.Discard, conn)
	}()
	return lost
}

// reportTrouble reports what doesn't work, if anything.
func (c *Connection) reportTrouble(what string, todo []resource, err error) {
	t := &event.Trouble{Source: event.FromConnection}
	if len(todo) > 0 || err != nil {
		if len(todo) > 0 {
			var names []string
			for _, p := range todo {
				names = append(names, p.name)
			}
			what += ". These don't work until then: " + strings.Join(names, ", ")
		}
		if err != nil {
			what += "\n" + err.Error()
		}
		t.Messages = []string{what}
	}
	c.report(event.Event{Trouble: t})
}

// resources lists everything that the connection carries.
func (c *Connection) resources() []resource {
	all := c.forwards(func(limayaml.PortForward) bool { return true })
	for _, m := range c.mounts() {
		all = append(all, c.share(m))
	}
	if *c.y.SSH.ForwardAgent {
		all = append(all, resource{"the forwarded SSH agent", c.linkAgent})
	}
	return all
}

// forwards lists those of the template's forwards of sockets that match.
func (c *Connection) forwards(match func(limayaml.PortForward) bool) (all []resource) {
	for _, f := range c.y.PortForwards {
		if f.GuestSocket != "" && f.HostSocket != "" && match(f) {
			all = append(all, resource{f.HostSocket, func(ctx context.Context) error { return c.forward(ctx, f) }})
		}
	}
	return all
}

func (c *Connection) mounts() []limayaml.Mount {
	if *c.y.MountType != limayaml.REVSSHFS {
		return nil // QEMU carries the others
	}
	return c.y.Mounts
}

// missing lists the forwards of sockets and the shared folders that don't exist.
func (c *Connection) missing(ctx context.Context) []resource {
	forwards := c.forwards(func(f limayaml.PortForward) bool {
		info, err := os.Lstat(f.HostSocket)
		return !f.Reverse && (err != nil || info.Mode().Type() != os.ModeSocket)
	})
	return append(forwards, c.missingMounts(ctx)...)
}

// missingMounts lists the shared folders that the guest lacks, or whose process on this host has ended.
func (c *Connection) missingMounts(ctx context.Context) (all []resource) {
	mounts := c.mounts()
	if len(mounts) == 0 {
		return nil
	}
	var look strings.Builder
	for i, m := range mounts {
		// A share whose process has ended may still be in the mount table, but can't be read. Every guest has these commands.
		fmt.Fprintf(&look, "%s && [ -d %s ] || echo %d\n", inMountTable(m), lima.ShellQuote(*m.MountPoint), i)
	}
	ctx, cancel := c.withTimeout(ctx)
	defer cancel()
	gone, err := Command(ctx, c.vm, look.String()).Output()
	if err != nil {
		return nil // unknown without a connection; the next one restores everything
	}
	for i, m := range mounts {
		if slices.Contains(strings.Fields(string(gone)), strconv.Itoa(i)) {
			all = append(all, c.share(m))
		}
	}
	return all
}

// share is the resource of a shared folder.
func (c *Connection) share(m limayaml.Mount) resource {
	return resource{"the shared folder " + m.Location, func(ctx context.Context) error { return c.mount(ctx, m) }}
}

// connect opens the connection.
func (c *Connection) connect(ctx context.Context) error {
	ctx, cancel := c.withTimeout(ctx)
	defer cancel()
	return c.runSSH(ctx, "connect to the guest over SSH", c.host(), "--", "true")
}

// restore creates resources, and returns those that failed.
func (c *Connection) restore(ctx context.Context, parts []resource) (left []resource, err error) {
	ctx, cancel := c.withTimeout(ctx)
	defer cancel()
	var errs []error
	for i, p := range parts {
		err := p.create(ctx)
		if err != nil {
			left, errs = append(left, p), append(errs, err)
			continue
		}
		if rest := slices.Concat(left, parts[i+1:]); len(rest) > 0 {
			c.reportTrouble(reconnectingMessage, rest, errors.Join(errs...))
		}
	}
	return left, errors.Join(errs...)
}

// withTimeout bounds one attempt.
func (c *Connection) withTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, c.attemptTimeout, fmt.Errorf("%w: the guest has not answered within %s", context.DeadlineExceeded, c.attemptTimeout))
}

// linkAgent puts the forwarded SSH agent where Lima does.
func (c *Connection) linkAgent(ctx context.Context) error {
	return c.runSSH(ctx, "link the SSH agent", "-T", c.host(), "--",
		`sudo mkdir -p -m 700 /run/host-services && sudo ln -sf "$SSH_AUTH_SOCK" /run/host-services/ssh-auth.sock && sudo chown -R "$USER" /run/host-services`)
}

func (c *Connection) host() string { return hostname.FromInstName(c.vm.Name) }

// runSSH runs ssh to its end. Its error holds ssh's output.
func (c *Connection) runSSH(ctx context.Context, what string, args ...string) error {
	cmd := sshCommand(ctx, c.vm, args...)
	var said bytes.Buffer
	cmd.Stderr = &said
	err := cmd.Run()
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", what, context.Cause(ctx))
	}
	return fmt.Errorf("%s: %s: %w", what, OutputTail(said.String(), err.Error()), err)
}

// forward forwards one socket. On the host it replaces nothing but a socket.
func (c *Connection) forward(ctx context.Context, f limayaml.PortForward) error {
	if f.Reverse {
		what := fmt.Sprintf("forward %s to the guest's %s", f.HostSocket, f.GuestSocket)
		if err := c.runSSH(ctx, what, "-T", c.host(), "--", "rm -f "+lima.ShellQuote(f.GuestSocket)); err != nil {
			return err
		}
		return c.runSSH(ctx, what, "-O", "forward", "-R", f.GuestSocket+":"+f.HostSocket, c.host())
	}
	what := fmt.Sprintf("forward the guest's %s to %s", f.GuestSocket, f.HostSocket)
	info, err := os.Lstat(f.HostSocket)
	switch {
	case errors.Is(err, os.ErrNotExist):
		err = os.MkdirAll(filepath.Dir(f.HostSocket), 0o750)
	case err == nil && info.Mode().Type() != os.ModeSocket:
		err = errors.New("there is something else at that path: move it away, or name another hostSocket in the template")
	case err == nil:
		err = os.Remove(f.HostSocket)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return c.runSSH(ctx, what, "-O", "forward", "-L", f.HostSocket+":"+f.GuestSocket, c.host())
}

// mount shares one folder again, as Lima does at boot.
func (c *Connection) mount(ctx context.Context, m limayaml.Mount) error {
	what := fmt.Sprintf("share %s", m.Location)
	// The old share has ended with its connection, but the guest may not have noticed.
	if err := c.runSSH(ctx, what, "-T", c.host(), "--", fmt.Sprintf("while %s; do sudo umount -l %s || exit 1; done", inMountTable(m), lima.ShellQuote(*m.MountPoint))); err != nil {
		return err
	}
	options := "allow_other"
	if !*m.SSHFS.Cache {
		options += ",cache=no"
	}
	if *m.SSHFS.FollowSymlinks {
		options += ",follow_symlinks"
	}
	share := &reversesshfs.ReverseSSHFS{
		Driver:    *m.SSHFS.SFTPDriver,
		SSHConfig: &sshocker.SSHConfig{ConfigFile: filepath.Join(c.vm.Dir(), filenames.SSHConfig)},
		LocalPath: m.Location, Host: c.host(), RemotePath: *m.MountPoint, Readonly: !*m.Writable,
		SSHFSAdditionalArgs: []string{"-o", options},
	}
	err := share.Prepare()
	if err == nil {
		err = share.Start()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return c.runSSH(ctx, what, "-T", c.host(), "--", inMountTable(m))
}

// inMountTable is the guest's command that reports whether a folder is in its mount table.
func inMountTable(m limayaml.Mount) string {
	asRegexp := strings.NewReplacer(`\`, `\\134`, " ", `\\040`, "\t", `\\011`, "'", `'\''`, ".", `\.`, "*", `\*`, "[", `\[`, "^", `\^`, "$", `\$`)
	return fmt.Sprintf("grep -q ' %s fuse.sshfs ' /proc/mounts", asRegexp.Replace(*m.MountPoint))
}
