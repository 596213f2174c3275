package proc

import (
	"errors"
	"os/exec"
)

// Spawn starts cmd so that it outlives this process: no terminal's Ctrl-C or hang-up reaches it, and it
// holds no file open but those that cmd names. The files that whoever started this process gave it,
// such as the lock of a script, stay with this process.
func Spawn(cmd *exec.Cmd) error {
	detach(cmd)
	for range maxSpawnTries {
		try := *cmd // which can be started once
		if err := startAlone(&try); err != nil {
			return err
		}
		if !interrupted(try.Process.Pid) {
			*cmd = try
			return nil
		}
		_ = try.Wait() // a Ctrl-C came between fork and setsid, when it was still in our session
	}
	return errors.New("it was interrupted each time that it was started: try again")
}

// maxSpawnTries is how often Spawn starts a process that a Ctrl-C ends at once.
const maxSpawnTries = 10

// OwnFiles keeps the files that whoever started this process gave it from every child from now on, also
// from those that a library starts, such as a browser. A program that becomes another one doesn't call it.
func OwnFiles() { ownFiles() }
