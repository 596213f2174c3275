package proc

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// interrupted reports whether a signal of the terminal has ended a child that was just started. Source: proc(5).
func interrupted(pid int) bool {
	for range 100 {
		if _, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); err == nil {
			return false // it is running
		}
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return false
		}
		fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
		if len(fields) > 1 && string(fields[0]) == "Z" {
			code, err := strconv.Atoi(string(fields[len(fields)-1])) // as waitpid(2) gives it
			status := unix.WaitStatus(code)
			return err == nil && status.Signaled() && (status.Signal() == unix.SIGINT || status.Signal() == unix.SIGQUIT || status.Signal() == unix.SIGHUP)
		}
		time.Sleep(time.Millisecond) // it is about to end
	}
	return false
}
