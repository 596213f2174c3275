package proc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"golang.org/x/sys/windows"
)

// detach gives cmd a console of its own, without a window, so that no terminal's Ctrl-C reaches it. Without a console, each
// console program that cmd starts would open a window.
func detach(cmd *exec.Cmd) {
	attributes(cmd).CreationFlags = windows.CREATE_NEW_PROCESS_GROUP | windows.CREATE_NO_WINDOW
}

// Interruptible returns a context that ends when this process is asked to stop: by Interrupt, by Ctrl-C, by the end of its
// console, or by the system. The mains call it before they take a lock.
func Interruptible(parent context.Context) (context.Context, context.CancelFunc, error) {
	name, err := eventName(os.Getpid())
	if err != nil {
		return nil, nil, err
	}
	const manualReset, notSet = 1, 0
	event, err := windows.CreateEvent(nil, manualReset, notSet, name)
	if event == 0 { // otherwise err may only say that the event existed already
		return nil, nil, os.NewSyscallError("CreateEvent", err)
	}
	signaled, stop := signal.NotifyContext(parent, os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithCancelCause(signaled)
	go func() {
		_, _ = windows.WaitForSingleObject(event, windows.INFINITE)
		cancel(errInterrupted)
	}()
	return ctx, func() { _ = windows.SetEvent(event); stop() }, nil
}

var errInterrupted = errors.New("interrupted")

// interrupt sets the event for which Interruptible of that process waits. To send a signal to the console of that process,
// this process would have to leave its own.
func interrupt(p *os.Process) error {
	name, err := eventName(p.Pid)
	if err != nil {
		return err
	}
	event, err := windows.OpenEvent(windows.EVENT_MODIFY_STATE, false, name)
	if err != nil {
		return os.NewSyscallError("OpenEvent", err)
	}
	defer func() { _ = windows.CloseHandle(event) }()
	return os.NewSyscallError("SetEvent", windows.SetEvent(event))
}

// eventName returns the name of the process's event, which is the same in all sessions of a user.
func eventName(pid int) (*uint16, error) {
	return windows.UTF16PtrFromString(fmt.Sprintf(`Global\rdd-interrupt-%d`, pid))
}

// Become runs cmd on this process's terminal to its end, because Windows can't replace a process.
func Become(cmd *exec.Cmd) error {
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return cmd.Run()
}
