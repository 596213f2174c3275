//go:build !windows

package hostagent

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	limaqemu "github.com/lima-vm/lima/pkg/driver/qemu"
	"github.com/lima-vm/lima/pkg/limayaml"
	"github.com/lima-vm/lima/pkg/localpathutil"
	"golang.org/x/sys/unix"

	"rancherdesktop.io/rdd/internal/lima"
	"rancherdesktop.io/rdd/internal/machine/layout"
)

// The environment variables that tell the wrappers of QEMU and ssh what to do.
const (
	EnvQEMU   = "RDD_LIMA_QEMU"   // the real QEMU
	EnvSSH    = "RDD_LIMA_SSH"    // the real ssh
	EnvLock   = "RDD_LIMA_LOCK"   // QEMU's lock
	EnvParent = "RDD_LIMA_PARENT" // the hostagent
	EnvAgent  = "RDD_LIMA_AGENT"  // the hostagent's lock
	EnvPaths  = "RDD_LIMA_PATHS"  // the folders of the files in QEMU's options, as a JSON list
)

// wrapPrograms makes Lima start QEMU and ssh through this program: see qemu.Exec and ssh.Exec. Lima takes
// QEMU, with flags, from a variable, and ssh from the PATH.
func (h *hostagent) wrapPrograms(y *limayaml.LimaYAML, flags []string) error {
	exe, args, err := limaqemu.Exe(*y.Arch)
	if err != nil {
		return err
	}
	sshPath, err := exec.LookPath(lima.OpenSSH.Name)
	if err != nil {
		return lima.MissingPrograms(lima.OpenSSH)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	paths, err := optionPaths(h.vm, y)
	if err != nil {
		return err
	}
	bin := filepath.Join(h.vm.Programs(), "bin") // Lima looks for firmware in ../share
	if err := os.MkdirAll(bin, 0o700); err != nil {
		return err
	}
	qemuLink := filepath.Join(bin, filepath.Base(exe))
	for link, target := range map[string]string{
		qemuLink:                                self,
		filepath.Join(bin, "ssh"):               self,
		filepath.Join(h.vm.Programs(), "share"): filepath.Join(filepath.Dir(filepath.Dir(exe)), "share"),
	} {
		if err := relink(target, link); err != nil {
			return err
		}
	}
	for k, v := range map[string]string{
		EnvQEMU: exe, EnvSSH: sshPath, EnvPaths: paths, EnvLock: h.vm.QEMULock(), EnvAgent: h.vm.HostagentLock(), EnvParent: strconv.Itoa(os.Getpid()),
		qemuVariable(*y.Arch): lima.ShellQuote(slices.Concat([]string{qemuLink}, args, flags)...), // Lima splits it by a shell's rules
		"PATH":                bin + string(filepath.ListSeparator) + h.o.Path,
	} {
		if err := os.Setenv(k, v); err != nil {
			return err
		}
	}
	return nil
}

// optionPaths lists, as JSON, the folders of all files that Lima names in QEMU's options.
func optionPaths(vm layout.VM, y *limayaml.LimaYAML) (string, error) {
	paths := []string{vm.Home}
	if home, err := localpathutil.Expand("~"); err == nil { // firmware may be there
		paths = append(paths, home)
	}
	for _, m := range y.Mounts {
		paths = append(paths, m.Location)
	}
	b, err := json.Marshal(paths)
	return string(b), err
}

// endChildren ends the ssh processes that Lima started and doesn't wait for, with a signal to the process group that
// a hostagent leads. The hostagent itself handles the signal.
func endChildren() {
	if unix.Getpgrp() == os.Getpid() {
		_ = unix.Kill(0, unix.SIGTERM)
	}
}

// qemuVariable is where Lima looks for the command that starts QEMU.
func qemuVariable(arch limayaml.Arch) string {
	switch arch {
	case limayaml.ARMV7L:
		arch = "arm"
	case limayaml.PPC64LE:
		arch = "ppc64"
	}
	return "QEMU_SYSTEM_" + strings.ToUpper(arch)
}

// relink points link to target.
func relink(target, link string) error {
	err := os.RemoveAll(link)
	if err == nil {
		err = os.Symlink(target, link)
	}
	if err != nil {
		return fmt.Errorf("put %s before Lima: %w", filepath.Base(link), err)
	}
	return nil
}
