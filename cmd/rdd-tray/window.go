package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"rancherdesktop.io/rdd/internal/instance"
	"rancherdesktop.io/rdd/internal/proc"
	"rancherdesktop.io/rdd/internal/scratch"
)

// maxReason is how much of a program's last output becomes the error, in bytes.
const maxReason = 1000

// openWindow opens the instance's window with these arguments, or the page in a browser when there is no window
// program. It returns when that has ended. The window outlives the tray.
func openWindow(inst instance.Instance, args ...string) error {
	program, err := inst.Program("rdd-window")
	args = append([]string{"--instance", inst.Name}, args...)
	if err != nil {
		if slices.Contains(args, "--ask") {
			return err // a browser might not open, and a question needs an answer
		}
		if program, err = inst.CLI(); err != nil {
			return err
		}
		args = []string{"--instance", inst.Name, "dashboard"}
	}
	output, done, err := temporaryFile() // with a pipe the window would end with the tray
	if err != nil {
		return err
	}
	defer done()
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Stderr = inst.Home(), output
	if err = proc.Spawn(cmd); err == nil {
		err = cmd.Wait()
	}
	if exit, failed := errors.AsType[*exec.ExitError](err); failed {
		if reason := strings.TrimSpace(end(output)); reason != "" {
			return errors.New(reason)
		}
		return fmt.Errorf("%s: %w", program, exit)
	}
	return err
}

// temporaryFile returns a file without a name, which is gone once no process has it open. Windows can't remove an open file:
// done does, or the next call if this process ends before.
func temporaryFile() (f *os.File, done func(), err error) {
	dir, err := scratch.New("rdd-tray-")
	if err != nil {
		return nil, nil, err
	}
	f, err = os.Create(filepath.Join(dir.Path, "output"))
	if err != nil || runtime.GOOS != "windows" {
		err = errors.Join(err, dir.Close())
		return f, func() { _ = f.Close() }, err
	}
	return f, func() { _, _ = f.Close(), dir.Close() }, nil
}

// end returns the last maxReason bytes of a file.
func end(f *os.File) string {
	info, err := f.Stat()
	if err != nil {
		return ""
	}
	text := make([]byte, maxReason)
	n, _ := f.ReadAt(text, max(0, info.Size()-maxReason))
	return string(text[:n])
}
