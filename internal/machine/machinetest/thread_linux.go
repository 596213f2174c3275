package machinetest

import (
	"runtime"
	"syscall"
)

// init keeps the main goroutine on the first thread, for endFirstThread.
func init() {
	if isFake() {
		runtime.LockOSThread()
	}
}

// endFirstThread ends the first thread while the others run on. As in a process that is about to end, /proc shows none of the
// files that it has open. Only the main goroutine may call it. Source: exit(2), proc_pid_fd(5).
func endFirstThread() {
	_, _, _ = syscall.Syscall(syscall.SYS_EXIT, 0, 0, 0)
}
