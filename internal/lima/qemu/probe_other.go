//go:build !linux

package qemu

import "rancherdesktop.io/rdd/internal/machine/event"

// checkDevice has nothing to look at: QEMU itself says what is missing.
func (p *prober) checkDevice() (acc event.Accelerator, bad bool) { return acc, false }

// bootID is not known; only a new QEMU is probed again.
func bootID() string { return "" }
