//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestBrowserWithARealService clicks through the page in Chromium, against a service whose guests are
// played, with timeouts and a kill.
func TestBrowserWithARealService(t *testing.T) {
	need(t, "/usr/bin/chromium", "setup")
	need(t, filepath.Join("..", "..", "frontend", "node_modules", "playwright-core"), "frontend")
	t.Run("played guests", func(t *testing.T) {
		t.Parallel()
		b := newBox(t)
		if err := os.Symlink(filepath.Join(dist(t), "share"), filepath.Join(b.home, "share")); err != nil {
			t.Fatal(err)
		}
		play := filepath.Join(b.libexec(), "play")
		b.browse([]string{
			fmt.Sprintf("RDD_HOLD=mkdir -p %[1]s && rm -f %[1]s/booted && printf late >%[1]s/boot", play),
			fmt.Sprintf("RDD_RELEASE=: >%s/booted", play), "RDD_PATIENCE=60000",
		})
	})
}

// browse runs the browser tests whose names hold one of the parts, all if there is none.
func (b *box) browse(env []string, parts ...string) {
	b.t.Helper()
	address, interrupt := b.dashboard(nil, "--no-open")
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", append([]string{"e2e/run.mjs"}, parts...)...)
	cmd.Dir = filepath.Join("..", "..", "frontend")
	cmd.Env = append(os.Environ(), append(env, "RDD_URL="+address, "RDD_SHOTS="+b.t.TempDir())...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.WaitDelay = 10 * time.Second // the browser's processes may hold the pipe
	if err := cmd.Run(); err != nil {
		b.t.Errorf("%v\n%s", err, &said)
	}
	b.t.Logf("%s", &said)
	if code := interrupt(); code != 0 {
		b.t.Error("Ctrl-C: exit code", code)
	}
}
