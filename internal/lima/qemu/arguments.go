package qemu

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/lima-vm/lima/pkg/limayaml"

	"rancherdesktop.io/rdd/internal/machine/event"
)

// AccelerationFlags are the flags that go before Lima's own. Where Lima sets the same flag, ours wins.
func AccelerationFlags(arch limayaml.Arch, cpu string, acc event.Accelerator) []string {
	if acc.Hardware || !limayaml.IsNativeArch(arch) {
		return nil // Lima's own choice
	}
	// Current kernels boot on these processors under emulation. QEMU 7.2 (Debian 12) crashes Linux 6.12 on one with
	// cmpxchg16b.
	machine, emulated := "virt", "max"
	if arch == limayaml.X8664 {
		machine, emulated = "q35,vmport=off", "max,-cx16"
	}
	if cpu == "" || strings.HasPrefix(cpu, "host") || cpu == "max" {
		cpu = emulated
	}
	return []string{"-machine", machine, "-accel", "tcg,thread=multi,tb-size=512", "-cpu", cpu}
}

// MonitorFlags give a monitor its control socket, and make QEMU exit when its guest reboots or panics. A reset would
// lose shares and forwards; a new boot by a hostagent sets them up again. The caller of Exec quotes the path.
func MonitorFlags(arch limayaml.Arch, socket string) []string {
	flags := []string{"-no-reboot", "-chardev", "socket,id=rdd,server=on,wait=off,path=" + socket, "-mon", "chardev=rdd,mode=control"}
	switch arch { // the device by which Linux reports a panic to QEMU
	case limayaml.X8664:
		return append(flags, "-device", "pvpanic")
	case limayaml.AARCH64:
		return append(flags, "-device", "pvpanic-pci")
	}
	return flags
}

// splitting lists the options whose values QEMU splits at commas. Lima doesn't quote the commas of paths in them.
var splitting = []string{"-drive", "-chardev", "-virtfs", "-fsdev", "-netdev", "-device", "-object", "-blockdev"}

// QuoteCommas doubles the commas of the paths, a JSON list, where QEMU would split an option at them.
func QuoteCommas(args []string, paths string) ([]string, error) {
	if paths == "" {
		return args, nil
	}
	var all []string
	if err := json.Unmarshal([]byte(paths), &all); err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b string) int { return len(b) - len(a) }) // a path before those above it
	var pairs []string
	for _, path := range all {
		if strings.Contains(path, ",") {
			pairs = append(pairs, path, strings.ReplaceAll(path, ",", ",,"))
		}
	}
	quote := strings.NewReplacer(pairs...)
	args = slices.Clone(args)
	for i := range args[:max(0, len(args)-1)] {
		if slices.Contains(splitting, args[i]) {
			args[i+1] = quote.Replace(args[i+1])
		}
	}
	return args, nil
}

// DataSerial is the serial number by which a guest finds its data disk.
const DataSerial = "rdd-data"

// DataDiskFlags give a guest its data disk. What the guest discards, and zeros that it writes, take no space on the host. The caller
// of Exec quotes the path.
func DataDiskFlags(arch limayaml.Arch, path string) []string {
	device := "virtio-blk-pci,drive=rdd-data,serial=" + DataSerial
	if arch == limayaml.S390X {
		device = "virtio-blk-ccw,drive=rdd-data,serial=" + DataSerial
	} else {
		// QEMU would give it the first free slot, before the system disk's, and so the name /dev/vda in the guest.
		device += ",addr=0x1c"
	}
	return []string{"-drive", "id=rdd-data,if=none,format=qcow2,discard=unmap,detect-zeroes=unmap,file=" + path, "-device", device}
}
