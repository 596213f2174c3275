package qemu

import (
	"strings"

	"github.com/lima-vm/lima/pkg/limayaml"

	"rancherdesktop.io/rdd/internal/machine/event"
)

// AccelerationFlags are the flags that go before Lima's own. Where Lima sets the same flag, ours wins.
func AccelerationFlags(arch limayaml.Arch, cpu string, acc event.Accelerator) []string {
	if acc.Hardware || !limayaml.IsNativeArch(arch) {
		return nil // Lima's own choice
	}
	machine := "virt"
	if arch == limayaml.X8664 {
		machine = "q35,vmport=off"
	}
	if cpu == "" || strings.HasPrefix(cpu, "host") || cpu == "max" {
		cpu = emulatedCPU(arch)
	}
	return []string{"-machine", machine, "-accel", "tcg,thread=multi,tb-size=512", "-cpu", cpu}
}

// MonitorFlags give a monitor its control socket, and make QEMU exit when its guest reboots or panics. A reset would
// lose shares and forwards; a new boot by a hostagent sets them up again. The caller of Exec quotes the path.
func MonitorFlags(arch limayaml.Arch, socket string) []string {
	flags := []string{"-no-reboot", "-chardev", "socket,id=rdd,server=on,wait=off,path=" + socket, "-mon", "chardev=rdd,mode=control"}
	switch arch { // the device by which Linux tells QEMU of a panic
	case limayaml.X8664:
		return append(flags, "-device", "pvpanic")
	case limayaml.AARCH64:
		return append(flags, "-device", "pvpanic-pci")
	}
	return flags
}

// emulatedCPU is a processor that current kernels boot on under emulation. QEMU 7.2 (Debian 12)
// crashes Linux 6.12 on one with cmpxchg16b.
func emulatedCPU(arch limayaml.Arch) string {
	if arch != limayaml.X8664 {
		return "max"
	}
	return "max,-cx16"
}
