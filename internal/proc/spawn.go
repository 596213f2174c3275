package proc

import "os/exec"

// Spawn starts cmd so that it outlives this process: no terminal's Ctrl-C or hang-up reaches it, and it
// holds no file open but those that cmd names. The files that whoever started this process gave it,
// such as the lock of a script, stay with this process.
func Spawn(cmd *exec.Cmd) error {
	detach(cmd)
	return startAlone(cmd)
}

// OwnFiles keeps the files that whoever started this process gave it from every child from now on, also
// from those that a library starts, such as a browser. A program that becomes another one doesn't call it.
func OwnFiles() { ownFiles() }
