package host

import "golang.org/x/sys/unix"

// MemoryOf returns this computer's memory, without what is available.
func MemoryOf() (Memory, error) {
	total, err := unix.SysctlUint64("hw.memsize")
	return Memory{Total: total}, err
}

// Virtual says whether this computer is known to be a virtual machine itself.
func Virtual() bool {
	guest, err := unix.SysctlUint32("kern.hv_vmm_present")
	return err == nil && guest == 1
}
