package main

import (
	"image"
	"testing"

	"rancherdesktop.io/rdd/internal/desktoptest"
)

func TestAClosedWindowWaitsForWhatItBegan(t *testing.T) {
	d := newDesk(t)
	d.RDD("svc", "start")
	welcomed(d)
	d.RDD("vm", "create", "demo", d.Template)
	if err := d.Stage.Set("boot", "late"); err != nil {
		t.Fatal(err)
	}
	window := d.Start("rdd-window", "--page", "machines")
	shown := seen(d, 1)[0]
	d.Bus.Accessible().Find(desktoptest.Application, "rdd-window").Find(desktoptest.Button, "Start demo").Press()
	d.Eventually("a hostagent", func() bool { return d.Stage.Counted("agents") == 1 })

	d.Screen.Close(shown)
	seen(d, 0)
	d.Start("rdd-window").Ends(0) // which finds it alive, and brings it back
	shown = seen(d, 1)[0]
	painted(d, shown)
	d.Screen.Close(shown)
	seen(d, 0)

	if err := d.Stage.Set("booted", ""); err != nil {
		t.Fatal(err)
	}
	window.Ends(0)
	if got := state(d, "demo"); got != "Started" {
		t.Errorf("rdd vm show says %q", got)
	}
}

func TestTheWindowOpensWhereItWasClosed(t *testing.T) {
	d := newDesk(t)
	d.RDD("svc", "create")
	window := d.Start("rdd-window")
	shown := seen(d, 1)[0]
	painted(d, shown)
	place := image.Rect(30, 50, 930, 650)
	d.Screen.Move(shown, place)
	d.Screen.Close(shown)
	window.Ends(0)

	d.Start("rdd-window")
	shown = seen(d, 1)[0]
	painted(d, shown)
	d.Eventually("it is in its old place", func() bool { return seen(d, 1)[0].Place == place })
}
