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

// Interrupt asks a process to stop in order, with a Ctrl-Break on its own console.
// Call it only while the process's lock is held.
func Interrupt(pid int) error {
	kernel := windows.NewLazySystemDLL("kernel32.dll")
	// A process can be attached to one console only, and a signal reaches that console only.
	_, _, _ = kernel.NewProc("FreeConsole").Call()
	if ok, _, err := kernel.NewProc("AttachConsole").Call(uintptr(pid)); ok == 0 {
		return err
	}
	defer func() {
		_, _, _ = kernel.NewProc("FreeConsole").Call()
		const parent = ^uintptr(0)
		_, _, _ = kernel.NewProc("AttachConsole").Call(parent)
	}()
	return windows.GenerateConsoleCtrlEvent(windows.CTRL_BREAK_EVENT, uint32(pid))
}

// Kill ends a process at once. Call it only while the process's lock is held.
func Kill(pid int) error {
	p, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	defer func() { _ = p.Release() }()
	return p.Kill()
}
