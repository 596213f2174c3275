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

// Shell returns the ssh command that opens a login shell in the guest, or runs command there. With
// terminal the guest gets one. It begins in dir if the guest has that mounted, else at home.
func Shell(vm layout.VM, command []string, terminal bool, dir string) (*exec.Cmd, error) {
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
	if terminal {
		args = append(args, "-t")
	}
	script := ""
	if mounted(vm, dir) {
		script = "cd " + shellWord(dir) + " || cd; "
	}
	if len(command) == 0 {
		script += `exec "$SHELL" --login`
	} else {
		words := make([]string, len(command))
		for i, w := range command {
			words[i] = shellWord(w)
		}
		script += strings.Join(words, " ")
	}
	cmd := exec.Command(ssh, append(args, hostname.FromInstName(vm.Name), "--", script)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return cmd, nil
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
