package lima

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	limaqemu "github.com/lima-vm/lima/pkg/driver/qemu"
	"github.com/lima-vm/lima/pkg/limayaml"

	"rancherdesktop.io/rdd/internal/machine/event"
	"rancherdesktop.io/rdd/internal/machine/layout"
)

// The values of spec.acceleration.
const (
	Auto      = "Auto"
	Hardware  = "Hardware"
	Emulation = "Emulation"
)

// ProbeTimeout is how long guest code may take in a probe. It takes a tenth of a second where hardware works.
const ProbeTimeout = 5 * time.Second

const emulator = "tcg"

// Accelerate decides how guest code for arch is run. Hardware that is asked for and does not work is
// a *PermanentError.
func Accelerate(ctx context.Context, home string, arch limayaml.Arch, choice string) (event.Accelerator, error) {
	switch choice {
	case "", Auto, Hardware:
	case Emulation:
		return event.Accelerator{Name: emulator, Reason: event.EmulationRequested, Message: "emulated, as asked for: several times slower than hardware acceleration"}, nil
	default:
		return event.Accelerator{}, &PermanentError{Err: fmt.Errorf("acceleration must be %s, %s or %s; got %q", Auto, Hardware, Emulation, choice)}
	}
	acc := emulated(event.ForeignArchitecture, fmt.Sprintf("the guest's architecture %s is not this host's, so it is emulated", arch))
	if limayaml.IsNativeArch(arch) {
		exe, _, err := limaqemu.Exe(arch)
		if err != nil {
			return acc, notFound(system(arch))
		}
		p := &prober{exe: exe, arch: arch, cache: layout.AccelerationFile(home), timeout: ProbeTimeout}
		if acc, err = p.probe(ctx); err != nil {
			return acc, err
		}
	}
	if choice == Hardware && !acc.Hardware {
		return acc, &PermanentError{Err: errors.New("hardware acceleration is required, and this host can't give it: " + acc.Message + " Set spec.acceleration to Auto or Emulation to run the VM emulated, slower.")}
	}
	return acc, nil
}

func emulated(reason, message string) event.Accelerator {
	return event.Accelerator{Name: emulator, Reason: reason, Message: message}
}

// accelerator is what QEMU calls this system's hardware acceleration, and people too.
func accelerator() (name, title string) {
	switch runtime.GOOS {
	case "darwin":
		return "hvf", "the Hypervisor framework"
	case "windows":
		return "whpx", "the Windows Hypervisor Platform"
	}
	return "kvm", "KVM"
}
