//go:build !linux

package machinetest

import "os/exec"

// dieWithUs does nothing: elsewhere a QEMU may outlive its hostagent.
func dieWithUs(*exec.Cmd) {}
