package host

import "golang.org/x/sys/unix"

// Virtual says whether this computer is a virtual machine itself.
func Virtual() bool {
	guest, err := unix.SysctlUint32("kern.hv_vmm_present")
	return err == nil && guest == 1
}
