package main

import (
	"encoding/json"
	"os"
	"syscall"
	"testing"

	"rancherdesktop.io/rdd/internal/desktoptest"
	"rancherdesktop.io/rdd/internal/machine/machinetest"
)

func TestMain(m *testing.M) {
	machinetest.Main()
	os.Exit(m.Run())
}

// box is a desk with the tray. Its rdd-window is played, too.
type box struct{ *desktoptest.Desk }

func newBox(tb testing.TB) *box {
	tb.Helper()
	return &box{desktoptest.NewDesk(tb, "rdd-tray")}
}

// window makes an rdd-window that notes its arguments, and then does what script says.
func (b *box) window(script string) {
	b.Helper()
	b.Write("libexec/rdd/rdd-window", "#!/bin/sh\necho \"$@\" >>"+b.Home+"/window.log\n"+script)
}

func (b *box) tray() *desktoptest.Program { b.Helper(); return b.Start("rdd-tray") }

// kill ends the service as a crash would.
func kill(t *testing.T, b *box) {
	t.Helper()
	var status struct{ PID int }
	if err := json.Unmarshal([]byte(b.RDD("svc", "status", "-o", "json")), &status); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(status.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}
