package server_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"rancherdesktop.io/rdd/internal/lifecycle"
)

// Without the kubeconfig no client can use a running service, and svc start would wait until its deadline.
func TestKubeconfigOfARunningServiceIsWrittenAgain(t *testing.T) {
	inst := newInstance(t)
	r := start(t, inst, "n", lifecycle.Config{})
	r.awaitReady()
	defer r.stop()
	path := inst.KubeConfig()
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func() error{
		"gone":      func() error { return os.Remove(path) },
		"empty":     func() error { return os.WriteFile(path, nil, 0o600) },
		"zeros":     func() error { return os.WriteFile(path, make([]byte, len(want)), 0o600) },
		"cut short": func() error { return os.Truncate(path, int64(len(want)/2)) },
		"with another's token": func() error {
			return os.WriteFile(path, []byte(strings.Replace(string(want), "token: ", "token: A", 1)), 0o600)
		},
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		deadline := time.After(limit)
		for {
			if c, err := tryOutside(inst); err == nil {
				if _, err = discovered(t, c); err == nil {
					break
				}
			}
			select {
			case <-deadline:
				t.Fatalf("%s: it was not written again", name)
			case <-time.Tick(20 * time.Millisecond):
			}
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
}
