package lima

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"

	limaqemu "github.com/lima-vm/lima/pkg/driver/qemu"
	"github.com/lima-vm/lima/pkg/limayaml"
)

// program is one that VMs need, and the Debian package that it comes with.
type program struct{ name, debian string }

var openSSH = program{"ssh", "openssh-client"}

// system is the QEMU that runs guests of an architecture.
func system(arch limayaml.Arch) program {
	p := program{"qemu-system-" + arch, "qemu-system-misc"}
	switch arch {
	case limayaml.X8664:
		p.debian = "qemu-system-x86"
	case limayaml.AARCH64, limayaml.ARMV7L:
		p.debian = "qemu-system-arm"
	case limayaml.PPC64LE:
		p.debian = "qemu-system-ppc"
	}
	return p
}

// checkPrograms says which programs the VM needs that the service can't find.
func checkPrograms(y *limayaml.LimaYAML) error {
	var missing []program
	need := []program{openSSH, {"ssh-keygen", "openssh-client"}}
	if *y.VMType == limayaml.QEMU {
		need = append(need, program{"qemu-img", "qemu-utils"})
		if _, _, err := limaqemu.Exe(*y.Arch); err != nil {
			missing = append(missing, system(*y.Arch))
		}
	}
	for _, p := range need {
		if _, err := exec.LookPath(p.name); err != nil {
			missing = append(missing, p)
		}
	}
	return notFound(missing...)
}

// notFound says that the service can't find programs, and what to do about it; nil when there are none. This
// process was started by the service and has its PATH.
func notFound(missing ...program) error {
	if len(missing) == 0 {
		return nil
	}
	var names, packages []string
	for _, p := range missing {
		names, packages = append(names, p.name), append(packages, p.debian)
	}
	how := "install QEMU and OpenSSH"
	if runtime.GOOS == "linux" {
		slices.Sort(packages)
		how = "install them; on Debian: sudo apt-get install " + strings.Join(slices.Compact(packages), " ")
	}
	return &PermanentError{Err: fmt.Errorf("programs that run virtual machines are not in the service's PATH: %s (its PATH is %q). If they are installed, restart the service from a terminal that finds them: rdd svc restart. Else %s",
		strings.Join(names, ", "), os.Getenv("PATH"), how)}
}
