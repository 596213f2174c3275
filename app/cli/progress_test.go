package cli

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rancherdesktop.io/rdd/core"
)

func TestPlainProgressOfADownloadHasFewLines(t *testing.T) {
	var out bytes.Buffer
	p := &plainLines{out: &out}
	defer p.finish()
	p.event(core.Event{Phase: core.PhaseLog, Message: "/home/me/serial.log"})
	for done := int64(0); done <= 1<<20; done += 1 << 10 {
		p.event(core.Event{Phase: "image", Step: 2, Steps: 5, Message: "debian.qcow2", Bytes: done, Total: 1 << 20})
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 12 || !strings.Contains(lines[0], "boot log: /home/me/serial.log") || !strings.Contains(lines[6], "[2/5] image 50 % of 1MiB: debian.qcow2") {
		t.Errorf("%d lines:\n%s", len(lines), &out)
	}
}

func TestPlainProgressRepeatsALongStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := &plainLines{out: &out}
		p.event(core.Event{Phase: "boot", Message: "waiting for SSH", Elapsed: 2 * time.Second})
		time.Sleep(65 * time.Second)
		p.finish()
		time.Sleep(time.Hour)
		if got := out.String(); got != "  2.0s  boot: waiting for SSH\n   32s  boot: waiting for SSH\n  1m2s  boot: waiting for SSH\n" {
			t.Errorf("%s", got)
		}
	})
}

func TestProgressOnATerminalDoesNotHangWhenADownloadBegins(t *testing.T) {
	b := &bar{out: io.Discard}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for round := range 200 {
			b.event(core.Event{Phase: "check", Message: "checking"})
			for bytes := range int64(50) {
				b.event(core.Event{Phase: "image", Message: "debian.qcow2", Bytes: bytes, Total: 50, Step: round})
			}
		}
		b.finish()
	}()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Fatal("the progress hangs")
	}
}
