//go:build !linux && !darwin

package host

// Virtual says whether this computer is a virtual machine itself; false where nobody says so.
func Virtual() bool { return false }
