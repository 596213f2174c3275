package machinetest

import (
	"runtime"
	"syscall"
)

// endFirstThread ends the first thread while the others run on, and never returns. As in a process that is about to end, /proc
// shows none of the files that it has open. Source: exit(2), proc_pid_fd(5).
func endFirstThread() {
	runtime.LockOSThread()
	if syscall.Gettid() == syscall.Getpid() {
		_, _, _ = syscall.Syscall(syscall.SYS_EXIT, 0, 0, 0)
	}
	go endFirstThread() // this thread is taken, so it gets another one
	select {}
}
