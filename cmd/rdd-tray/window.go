package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"

	"rancherdesktop.io/rdd/internal/instance"
	"rancherdesktop.io/rdd/internal/proc"
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
	output, err := os.CreateTemp("", "rdd-tray-*.out") // with a pipe the window would end with the tray
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(output.Name()) }()
	defer output.Close()
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Stderr = inst.Home(), output
	if err = proc.Spawn(cmd); err == nil {
		err = cmd.Wait()
	}
	if exit, failed := errors.AsType[*exec.ExitError](err); failed {
		text, _ := os.ReadFile(output.Name())
		if reason := strings.TrimSpace(string(text[max(0, len(text)-maxReason):])); reason != "" {
			return errors.New(reason)
		}
		return fmt.Errorf("%s: %w", program, exit)
	}
	return err
}
