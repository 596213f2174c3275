package lima

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/lima-vm/lima/pkg/instance/hostname"
	"github.com/lima-vm/lima/pkg/limayaml"
	"github.com/lima-vm/lima/pkg/store"
	"github.com/lima-vm/lima/pkg/store/filenames"

	"rancherdesktop.io/rdd/internal/machine/layout"
	"rancherdesktop.io/rdd/internal/proc"
)

// ShellOptions say what runs in the guest, and where.
type ShellOptions struct {
	Command  []string // empty: a login shell
	Terminal bool     // the guest gets one
	Dir      string   // of the caller; it is begun in if the guest has it mounted, else at home
	Workdir  string   // in the guest, to begin in instead of Dir; fails if that can't be; empty: as Dir says
	Shell    string   // of the guest, as a login shell, which also runs Command; empty: the user's own
}

// Shell returns the ssh command that opens a login shell in the guest, or runs a command there.
func Shell(vm layout.VM, o ShellOptions) (*exec.Cmd, error) {
	running, err := proc.Held(vm.AgentLock())
	if err != nil {
		return nil, err
	}
	config := filepath.Join(vm.Dir(), filenames.SSHConfig)
	if !running || !exists(config) {
		return nil, fmt.Errorf("VM %q does not run: start it with `rdd limavm start %s`", vm.Name, vm.Name)
	}
	ssh, err := exec.LookPath("ssh")
	if err != nil {
		return nil, fmt.Errorf("ssh is missing: install it; its Debian package is openssh-client: %w", err)
	}
	args := []string{"-F", config, "-q"}
	if o.Terminal {
		args = append(args, "-t")
	}
	cmd := exec.Command(ssh, append(args, hostname.FromInstName(vm.Name), "--", o.script(mounted(vm, o.Dir)))...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return cmd, nil
}

// script is what the guest's shell is told. Mounted says whether the guest has Dir.
func (o ShellOptions) script(mounted bool) (script string) {
	switch {
	case o.Workdir != "":
		complaint := shellWord("rdd: the guest has no folder " + o.Workdir + ", or you may not enter it")
		script = "cd -- " + shellWord(o.Workdir) + " 2>/dev/null || { echo " + complaint + " >&2; exit 1; }; "
	case mounted:
		script = "cd " + shellWord(o.Dir) + " || cd; "
	}
	words := make([]string, len(o.Command))
	for i, w := range o.Command {
		words[i] = shellWord(w)
	}
	command := strings.Join(words, " ")
	switch {
	case o.Shell != "" && command != "":
		return script + "exec " + shellWord(o.Shell) + " -l -c " + shellWord(command)
	case o.Shell != "":
		return script + "exec " + shellWord(o.Shell) + " -l" // as dash and BusyBox know it, too
	case command != "":
		return script + command
	}
	return script + `exec "$SHELL" --login`
}

// mounted says whether the guest sees this host's directory dir under the same name.
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

// shellWord quotes a word for the guest's shell.
func shellWord(w string) string { return "'" + strings.ReplaceAll(w, "'", `'\''`) + "'" }
