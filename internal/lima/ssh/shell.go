package ssh

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/lima-vm/lima/pkg/instance/hostname"
	"github.com/lima-vm/lima/pkg/limayaml"
	"github.com/lima-vm/lima/pkg/store"
	"github.com/lima-vm/lima/pkg/store/filenames"

	"rancherdesktop.io/rdd/internal/diag"
	"rancherdesktop.io/rdd/internal/lima"
	"rancherdesktop.io/rdd/internal/lima/template"
	"rancherdesktop.io/rdd/internal/machine/layout"
	"rancherdesktop.io/rdd/internal/proc"
)

// ShellOptions say what to run in the guest, and where.
type ShellOptions struct {
	Command  []string // empty: a login shell
	Terminal bool     // give the command a terminal in the guest
	Dir      string   // the caller's directory, to start in if the guest has mounted it; otherwise in the home directory
	Workdir  string   // a directory of the guest to start in instead; it must exist
	Shell    string   // the guest's login shell that runs Command; empty: the user's own

	WaitTimeout time.Duration // wait this long for the guest's SSH server first; 0: the server is known to answer
}

// Shell returns the ssh command that opens a login shell in the guest, or runs a command there.
func Shell(ctx context.Context, vm layout.VM, o ShellOptions) (*exec.Cmd, error) {
	running, err := proc.Held(vm.HostagentLock())
	if err != nil {
		return nil, err
	}
	config := filepath.Join(vm.Dir(), filenames.SSHConfig)
	switch there := running && layout.Exists(config); {
	case !there && o.WaitTimeout > 0:
		return nil, fmt.Errorf("VM %q is still being prepared or is about to restart, so there is no guest to log in to yet: `rdd vm show %s` shows its progress", vm.Name, vm.Name)
	case !there:
		return nil, fmt.Errorf("VM %q does not run: start it with `rdd vm start %s`", vm.Name, vm.Name)
	}
	ssh, err := exec.LookPath("ssh")
	if err != nil {
		return nil, diag.Errorf(diag.QEMUMissing, "ssh is missing: install it; its Debian package is openssh-client: %w", err)
	}
	if o.WaitTimeout > 0 {
		if err := awaitSSH(ctx, vm, o.WaitTimeout); err != nil {
			return nil, err
		}
	}
	// A shell uses the hostagent's connection, but never becomes the master on which others depend.
	// With this LogLevel ssh prints the reasons for a failure and nothing else.
	args := []string{"-F", config, "-o", "ControlMaster=no", "-o", "LogLevel=ERROR"}
	if o.WaitTimeout > 0 {
		// The hostagent's own connection may hang where a new one is answered.
		args = append(args, "-o", "ControlPath=none", "-o", fmt.Sprintf("ConnectTimeout=%d", int(o.WaitTimeout.Seconds())))
	}
	if o.Terminal {
		args = append(args, "-t")
	} else {
		args = append(args, "-T")
	}
	cmd := exec.Command(ssh, append(args, hostname.FromInstName(vm.Name), "--", o.script(mounted(vm, o.Dir)))...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return cmd, nil
}

// script returns the command for the guest's shell. mounted says whether the guest has Dir.
func (o ShellOptions) script(mounted bool) (script string) {
	script = template.ReadEnvCommand + "; "
	switch {
	case o.Workdir != "":
		complaint := lima.ShellQuote("rdd: the guest has no folder " + o.Workdir + ", or you may not enter it")
		script += "cd -- " + lima.ShellQuote(o.Workdir) + " 2>/dev/null || { echo " + complaint + " >&2; exit 1; }; "
	case mounted:
		script += "cd " + lima.ShellQuote(o.Dir) + " || cd; "
	}
	command := lima.ShellQuote(o.Command...)
	switch {
	case o.Shell != "" && command != "":
		return script + "exec " + lima.ShellQuote(o.Shell) + " -l -c " + lima.ShellQuote(command)
	case o.Shell != "":
		return script + "exec " + lima.ShellQuote(o.Shell) + " -l" // the form that dash and BusyBox know, too
	case command != "":
		return script + command
	}
	return script + `exec "$SHELL" --login`
}

// awaitSSH waits until the guest's SSH server answers a new connection.
func awaitSSH(ctx context.Context, vm layout.VM, patience time.Duration) error {
	address, err := Address(vm)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("VM %q runs, but its SSH server has not answered within %s, so logins don't work: it is still booting, or it hangs. "+
		"See its console with `rdd vm logs %s --source serial`; try again later, or restart it with `rdd vm restart %s`", vm.Name, patience, vm.Name, vm.Name))
	defer cancel()
	for {
		err := Ping(ctx, address)
		if err == nil {
			return nil
		}
		if held, e := proc.Held(vm.HostagentLock()); e == nil && !held {
			return fmt.Errorf("VM %q has ended meanwhile", vm.Name)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(time.Second):
		}
	}
}

// mounted reports whether the guest sees this host's directory dir under the same name.
func mounted(vm layout.VM, dir string) bool {
	inst, err := store.Inspect(vm.Name)
	if err != nil || inst.Config == nil || dir == "" {
		return false
	}
	return slices.ContainsFunc(inst.Config.Mounts, func(m limayaml.Mount) bool {
		below, err := filepath.Rel(m.Location, dir)
		return err == nil && filepath.IsLocal(below) && *m.MountPoint == m.Location
	})
}
