package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// accelerationFile is where rdd-lima stores the result of its probe, in a Lima home.
const accelerationFile = "_run/acceleration.json"

// probeOnce probes this host's hardware acceleration with the built rdd-lima and returns the stored result.
var probeOnce = sync.OnceValues(func() ([]byte, error) {
	program, err := filepath.Abs(filepath.Join("..", "..", "dist", "libexec", "rdd", "rdd-lima"))
	if err != nil {
		return nil, err
	}
	home, err := os.MkdirTemp("", "rp")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(home)
	if out, err := exec.Command(program, "probe", "--lima-home", home).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	return os.ReadFile(filepath.Join(home, accelerationFile))
})

// keepProbe stores the result of the one probe in a Lima home in which VMs will boot. On hosts where guests hang under
// KVM, each probe takes 5 s of CPU time.
func keepProbe(limaHome string) error {
	result, err := probeOnce()
	if err != nil {
		return err
	}
	path := filepath.Join(limaHome, accelerationFile)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return os.WriteFile(path, result, 0o600)
}

func mustKeepProbe(t testing.TB, limaHome string) {
	t.Helper()
	if err := keepProbe(limaHome); err != nil {
		t.Fatal(err)
	}
}
