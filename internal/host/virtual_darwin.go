package host

import "golang.org/x/sys/unix"

// Virtual reports whether this computer is itself a virtual machine.
func Virtual() bool {
	guest, err := unix.SysctlUint32("kern.hv_vmm_present")
	return err == nil && guest == 1
}
