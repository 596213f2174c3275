package proc

import (
	"errors"
	"os/exec"
	"time"
)

// spawnTimeout is for how long Spawn tries again to start a process that a Ctrl-C ends at once. A number of
// tries would be too few on a busy machine, where every try takes longer.
const spawnTimeout = 10 * time.Second

// Spawn starts cmd so that it outlives this process: no terminal's Ctrl-C or hang-up reaches it. The
// child inherits only the files that cmd names. It doesn't inherit what this process was given by its
// parent, such as the lock of a script.
func Spawn(cmd *exec.Cmd) error {
	detach(cmd)
	for began := time.Now(); ; {
		try := *cmd // an exec.Cmd can be started only once
		if err := startAlone(&try); err != nil {
			return err
		}
		if !interrupted(try.Process.Pid) {
			*cmd = try
			return nil
		}
		_ = try.Wait() // a Ctrl-C came between fork and setsid, when the child was still in our session
		if time.Since(began) > spawnTimeout {
			return errors.New("it was interrupted each time that it was started: try again")
		}
	}
}

// OwnFiles keeps every child from inheriting the files that this process was given by its parent, also children that a library
// starts, such as a browser. A program that calls Become must not call it.
func OwnFiles() { ownFiles() }
