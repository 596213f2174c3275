//go:build !linux && !darwin

package host

// Virtual reports whether this computer is itself a virtual machine. On this system it is unknown, so it returns false.
func Virtual() bool { return false }
