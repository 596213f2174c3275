package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"

	"rancherdesktop.io/rdd/internal/instance"
	"rancherdesktop.io/rdd/internal/proc"
)

// desk opens the instance's window.
type desk struct{ inst instance.Instance }

// open opens the window with these arguments, or its page in a browser where there is no window, and
// returns when it has ended. The window outlives the tray.
func (d desk) open(args ...string) error {
	program, err := d.inst.Program("rdd-window")
	args = append([]string{"--instance", d.inst.Name}, args...)
	if err != nil {
		if slices.Contains(args, "--ask") {
			return err // a browser may come up or not; a question needs an answer
		}
		if program, err = d.inst.CLI(); err != nil {
			return err
		}
		args = []string{"--instance", d.inst.Name, "dashboard"}
	}
	said, err := os.CreateTemp("", "rdd-tray-*.out") // a pipe would end the window with the tray
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(said.Name()) }()
	defer said.Close()
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Stderr = d.inst.Home(), said
	if err = proc.Spawn(cmd); err == nil {
		err = cmd.Wait()
	}
	if exit, failed := errors.AsType[*exec.ExitError](err); failed {
		if words := lastWords(said); words != "" {
			return errors.New(words)
		}
		return fmt.Errorf("%s: %w", program, exit)
	}
	return err
}

// lastWords is the end of what a program said.
func lastWords(f *os.File) string {
	const most = 1000
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return ""
	}
	text, err := io.ReadAll(io.NewSectionReader(f, max(0, size-most), most))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}
