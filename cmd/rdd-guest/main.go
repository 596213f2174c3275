// Command rdd-guest runs in guests, where the hostagent puts and starts it: it carries UDP datagrams, which SSH can't. It
// is a small static program, so that every Linux guest can run it. It ends with its stdin.
package main

import (
	"os"
	"path/filepath"
	"strings"

	"rancherdesktop.io/rdd/internal/forward/datagram"
)

// usage is printed for a person who finds the program.
const usage = "rdd-guest is a part of RDD (Rancher Desktop) that carries UDP for forwarded ports. The hostagent starts it.\n"

func main() {
	if len(os.Args) != 2 || os.Args[1] != "udp" {
		_, _ = os.Stdout.WriteString(usage)
		return
	}
	// It runs on without its file, and nothing is left in the guest.
	path, err := os.Executable()
	if dir := filepath.Dir(path); err == nil && strings.HasPrefix(filepath.Base(dir), "rdd-guest.") {
		_ = os.Remove(path)
		_ = os.Remove(dir)
	}
	if err := datagram.Relay(os.Stdin, os.Stdout); err != nil {
		_, _ = os.Stderr.WriteString("rdd-guest: " + err.Error() + "\n")
		os.Exit(1)
	}
}
