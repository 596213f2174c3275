package proc

import (
	"errors"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/windows"
)

func lockFile(f *os.File, exclusive bool) (ok bool, err error) {
	flags := uint32(windows.LOCKFILE_FAIL_IMMEDIATELY)
	if exclusive {
		flags |= windows.LOCKFILE_EXCLUSIVE_LOCK
	}
	err = windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, &windows.Overlapped{})
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return false, nil
	}
	return err == nil, err
}

// Detach gives cmd a hidden console of its own, so that no terminal's Ctrl-C reaches it. (Without
// any console it could not be interrupted.)
func Detach(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{HideWindow: true, CreationFlags: windows.CREATE_NEW_PROCESS_GROUP | windows.CREATE_NEW_CONSOLE}
}

// interrupt sends a Ctrl-Break on the process's own console.
func interrupt(p *os.Process) error {
	kernel := windows.NewLazySystemDLL("kernel32.dll")
	// A process can be attached to one console only, and a signal reaches that console only.
	_, _, _ = kernel.NewProc("FreeConsole").Call()
	if ok, _, err := kernel.NewProc("AttachConsole").Call(uintptr(p.Pid)); ok == 0 {
		return err
	}
	defer func() {
		_, _, _ = kernel.NewProc("FreeConsole").Call()
		const parent = ^uintptr(0)
		_, _, _ = kernel.NewProc("AttachConsole").Call(parent)
	}()
	return windows.GenerateConsoleCtrlEvent(windows.CTRL_BREAK_EVENT, uint32(p.Pid))
}

// Become runs cmd on this process's terminal to its end, because Windows can't replace a process.
func Become(cmd *exec.Cmd) error {
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return cmd.Run()
}
