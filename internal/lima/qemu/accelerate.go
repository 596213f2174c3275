// Package qemu runs QEMU: it probes how guest code can run on this host, changes QEMU's arguments, watches a QEMU
// that runs, and ends one that has outlived its hostagent. Packages hostagent and vm call it.
package qemu

import (
	"context"
	"fmt"
	"runtime"
	"time"

	limaqemu "github.com/lima-vm/lima/pkg/driver/qemu"
	"github.com/lima-vm/lima/pkg/limayaml"

	"rancherdesktop.io/rdd/internal/diag"
	"rancherdesktop.io/rdd/internal/lima"
	"rancherdesktop.io/rdd/internal/machine/event"
	"rancherdesktop.io/rdd/internal/machine/layout"
)

// The values of spec.acceleration.
const (
	Auto      = "Auto"
	Hardware  = "Hardware"
	Emulation = "Emulation"
)

// probeTimeout is how long guest code may take in a probe. It takes a tenth of a second where hardware works.
const probeTimeout = 5 * time.Second

const emulator = "tcg"

// Accelerate decides how guest code for arch runs. The error is a *PermanentError when choice requires hardware
// acceleration and it doesn't work.
func Accelerate(ctx context.Context, home string, arch limayaml.Arch, choice string) (event.Accelerator, error) {
	switch choice {
	case "", Auto, Hardware:
	case Emulation:
		return event.Accelerator{Name: emulator, Reason: event.EmulationRequested, Message: "emulated, as asked for: several times slower than hardware acceleration"}, nil
	default:
		return event.Accelerator{}, lima.Permanentf("acceleration must be %s, %s or %s; got %q", Auto, Hardware, Emulation, choice)
	}
	acc := emulated(event.ForeignArchitecture, fmt.Sprintf("the guest's architecture %s is not this host's, so it is emulated", arch))
	if limayaml.IsNativeArch(arch) {
		exe, _, err := limaqemu.Exe(arch)
		if err != nil {
			return acc, lima.MissingPrograms(lima.QEMUProgram(arch))
		}
		unusable := false
		if acc, unusable = checkDevice(); !unusable { // checked each time: it is cheap, and can change without a reboot
			p := &prober{exe: exe, arch: arch, cache: layout.AccelerationFile(home), timeout: probeTimeout}
			if acc, err = p.runGuestCached(ctx); err != nil {
				return acc, err
			}
		}
	}
	if choice == Hardware && !acc.Hardware {
		err := fmt.Errorf("hardware acceleration is required but not available: %s To run the VM without it, which is slower, set spec.acceleration to Auto or Emulation", acc.Message)
		return acc, lima.Permanent(diag.Restore(err, string(acc.Problem()), false))
	}
	return acc, nil
}

func emulated(reason, message string) event.Accelerator {
	return event.Accelerator{Name: emulator, Reason: reason, Message: message}
}

// accelerator names this system's hardware acceleration, for QEMU and for people.
func accelerator() (name, title string) {
	switch runtime.GOOS {
	case "darwin":
		return "hvf", "the Hypervisor framework"
	case "windows":
		return "whpx", "the Windows Hypervisor Platform"
	}
	return "kvm", "KVM"
}
