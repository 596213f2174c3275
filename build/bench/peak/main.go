// Command peak runs one command and prints its wall time and peak memory, in JSON, as the last line of stderr.
// The bench runs all that it measures through it: on Linux a child's peak memory starts with that of its parent,
// so the parent must be small.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"time"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: peak COMMAND [ARG...]")
		os.Exit(2)
	}
	// An interrupt reaches the command, which decides how it ends. It is not ignored here, because the command
	// would then ignore it as well.
	signal.Notify(make(chan os.Signal, 1), os.Interrupt)
	cmd := exec.Command(os.Args[1], os.Args[2:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	began := time.Now()
	err := cmd.Run()
	wall := time.Since(began)
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(127)
	}
	line, _ := json.Marshal(map[string]int64{"wall": int64(wall), "peak": peakBytes(cmd.ProcessState)})
	fmt.Fprintf(os.Stderr, "\n%s\n", line)
	if code := cmd.ProcessState.ExitCode(); code >= 0 {
		os.Exit(code)
	}
	os.Exit(1) // a signal ended it
}
