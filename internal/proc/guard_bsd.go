//go:build unix && !linux

package proc

import "os/exec"

// endWithUs can't be had here; the process group that both are in is killed by whoever started the guard.
func endWithUs(*exec.Cmd) {}
