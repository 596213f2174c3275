package lima

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	limaqemu "github.com/lima-vm/lima/pkg/driver/qemu"
	"github.com/lima-vm/lima/pkg/limayaml"
	"github.com/lima-vm/lima/pkg/version"

	"rancherdesktop.io/rdd/internal/diag"
)

// Program is one that VMs need, and the Debian package that it comes with.
type Program struct{ Name, debian string }

// OpenSSH is the SSH client.
var OpenSSH = Program{"ssh", "openssh-client"}

// QEMUProgram is the QEMU that runs guests of an architecture.
func QEMUProgram(arch limayaml.Arch) Program {
	return Program{"qemu-system-" + arch, cmp.Or(qemuPackages[arch], "qemu-system-misc")}
}

var qemuPackages = map[limayaml.Arch]string{
	limayaml.X8664: "qemu-system-x86", limayaml.AARCH64: "qemu-system-arm", limayaml.ARMV7L: "qemu-system-arm", limayaml.PPC64LE: "qemu-system-ppc",
}

// CheckPrograms returns an error that names the programs that the VM needs and the service can't find.
func CheckPrograms(y *limayaml.LimaYAML) error {
	var missing []Program
	need := []Program{OpenSSH, {"ssh-keygen", "openssh-client"}}
	if *y.VMType == limayaml.QEMU {
		need = append(need, Program{"qemu-img", "qemu-utils"})
		if _, _, err := limaqemu.Exe(*y.Arch); err != nil {
			missing = append(missing, QEMUProgram(*y.Arch))
		}
	}
	for _, p := range need {
		if _, err := exec.LookPath(p.Name); err != nil {
			missing = append(missing, p)
		}
	}
	return MissingPrograms(missing...)
}

// MissingPrograms returns an error that names missing programs and says what to do; nil if there are none. This
// process was started by the service and has its PATH.
func MissingPrograms(missing ...Program) error {
	if len(missing) == 0 {
		return nil
	}
	var names, packages []string
	for _, p := range missing {
		names, packages = append(names, p.Name), append(packages, p.debian)
	}
	how := "install QEMU and OpenSSH"
	if runtime.GOOS == "linux" {
		slices.Sort(packages)
		how = "install them; on Debian: sudo apt-get install " + strings.Join(slices.Compact(packages), " ")
	}
	return Permanent(diag.Mark(diag.QEMUMissing, fmt.Errorf("programs that run virtual machines are not in the service's PATH: %s (its PATH is %q). If they are installed, restart the service from a terminal that finds them: rdd svc restart. Else %s",
		strings.Join(names, ", "), os.Getenv("PATH"), how)))
}

// GuestAgent is the path of the agent in share that fits the guest.
func GuestAgent(share string, y *limayaml.LimaYAML) (string, error) {
	base := filepath.Join(share, "lima", "lima-guestagent."+*y.OS+"-"+*y.Arch)
	for _, path := range []string{base, base + ".gz"} {
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", Permanent(diag.Errorf(diag.InstallBroken, "the guest agent for %s is missing: no %s: install RDD again, or use a template for another architecture", *y.Arch, base))
}

// NeedsGuestAgent reports whether Lima has to install its agent in the guest.
func NeedsGuestAgent(y *limayaml.LimaYAML) bool {
	return !*y.Plain && y.Env[builtinGuestAgent] != "builtin"
}

// HasGuestAgent reports whether the VM's image already holds the agent of this version of Lima.
func HasGuestAgent(y *limayaml.LimaYAML) bool {
	has, ok := imageSays(y, agentWord)
	return ok && has == version.Version
}

// HasEngine reports whether the VM's image is RDD's guest, which runs a container engine.
func HasEngine(y *limayaml.LimaYAML) bool {
	_, ok := imageSays(y, agentWord)
	return ok
}

// MountsData reports whether the VM's image mounts its data disk by itself.
func MountsData(y *limayaml.LimaYAML) bool {
	_, ok := imageSays(y, dataWord)
	return ok
}

// What RDD's guest says of itself in the command line of its kernel.
const (
	agentWord = "rdd.agent" // =VERSION: it has the agent of that version of Lima
	dataWord  = "rdd.data"  // it mounts the data disk by itself
)

// imageSays looks for a word in the command line of the kernel that comes with the VM's image.
func imageSays(y *limayaml.LimaYAML, word string) (value string, ok bool) {
	for _, img := range y.Images {
		if img.Arch != *y.Arch || img.Kernel == nil {
			continue
		}
		for _, w := range strings.Fields(img.Kernel.Cmdline) {
			if name, value, _ := strings.Cut(w, "="); name == word {
				return value, true
			}
		}
		return "", false
	}
	return "", false
}

// builtinGuestAgent is how a template says in its env that the image already holds the guest agent.
const builtinGuestAgent = "RDD_GUEST_AGENT"
