//go:build !linux

package qemu

import "rancherdesktop.io/rdd/internal/machine/event"

// checkDevice does nothing on this system: QEMU itself says what is missing.
func checkDevice() (acc event.Accelerator, unusable bool) { return acc, false }

// bootID is not known; only a new QEMU is probed again.
func bootID() string { return "" }
