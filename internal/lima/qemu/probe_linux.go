package qemu

import (
	"errors"
	"io/fs"
	"os"
	"strings"

	"rancherdesktop.io/rdd/internal/machine/event"
)

const kvmDevice = "/dev/kvm"

// checkDevice reports why KVM can't be tried at all.
func checkDevice() (acc event.Accelerator, unusable bool) {
	f, err := os.OpenFile(kvmDevice, os.O_RDWR, 0)
	switch {
	case err == nil:
		_ = f.Close()
		return acc, false
	case errors.Is(err, fs.ErrPermission):
		return emulated(event.NoPermission, "you may not use "+kvmDevice+", so VMs are emulated, several times slower. Add yourself to its group (sudo usermod -aG kvm $USER), then log in again."), true
	}
	return emulated(event.NoHardwareDevice, "there is no usable "+kvmDevice+" ("+err.Error()+"), so VMs are emulated, several times slower. Switch virtualization on in the firmware, or nested virtualization in the hypervisor."), true
}

// bootID differs for each boot of the host. Source: random(4).
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
