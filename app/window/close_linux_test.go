package window_test

import (
	"image"
	"strings"
	"testing"

	"rancherdesktop.io/rdd/internal/desktoptest"
)

// slow creates a VM, demo, whose boot lasts until the setting booted exists.
func slow(d *desktoptest.Session) {
	d.Helper()
	d.RDD("svc", "start")
	d.RDD("vm", "create", "demo", d.Template)
	if err := d.Fake.Set("boot", "late"); err != nil {
		d.Fatal(err)
	}
}

func TestAClosedWindowWaitsForWhatItBegan(t *testing.T) {
	d := newSession(t)
	slow(d)
	welcomed(d)
	window := d.Start("rdd-window", "--page", "machines")
	shown := seen(d, 1)[0]
	d.Bus.Accessible().Find(desktoptest.Application, "rdd-window").Find(desktoptest.Button, "Start demo").Press()
	d.Eventually("a hostagent", func() bool { return d.Fake.Counted("agents") == 1 })

	d.Screen.Close(shown)
	seen(d, 0)
	d.Start("rdd-window").MustExit(0) // which finds it alive, and brings it back
	shown = seen(d, 1)[0]
	painted(d, shown)
	d.Screen.Close(shown)
	seen(d, 0)

	if err := d.Fake.Set("booted", ""); err != nil {
		t.Fatal(err)
	}
	window.MustExit(0)
	if got := state(d, "demo"); got != "Started" {
		t.Errorf("rdd vm show says %q", got)
	}
}

func TestTheWindowOpensWhereItWasClosed(t *testing.T) {
	d := newSession(t)
	d.RDD("svc", "create")
	window := d.Start("rdd-window")
	shown := seen(d, 1)[0]
	painted(d, shown)
	place := image.Rect(30, 50, 930, 650)
	d.Screen.Move(shown, place)
	d.Screen.Close(shown)
	window.MustExit(0)

	d.Start("rdd-window")
	shown = seen(d, 1)[0]
	painted(d, shown)
	d.Eventually("it is in its old place", func() bool { return seen(d, 1)[0].Place == place })
}

func TestTheWindowOpensOnTheScreenWhenItsPlaceIsNoLongerThere(t *testing.T) {
	d := newSession(t)
	d.RDD("svc", "create")
	screen := image.Rect(0, 0, 1280, 800)
	d.Write(".local/share/rdd/default/settings.json", `{"firstRunDone": true, "window": {"x": 2500, "y": 100, "width": 1500, "height": 700}}`)
	window := d.Start("rdd-window")
	d.Eventually("it is on the screen", func() bool { return seen(d, 1)[0].Place.In(screen) })

	// The screen is removed while the window is open: a second start moves the window to the other screen.
	for _, away := range []image.Rectangle{image.Rect(3000, 100, 3900, 700), image.Rect(100, -2000, 1000, -1400)} {
		d.Screen.Move(seen(d, 1)[0], away)
		d.Eventually("it has moved", func() bool { return seen(d, 1)[0].Place == away })
		d.Start("rdd-window").MustExit(0)
		d.Eventually("it is back on the screen", func() bool { return seen(d, 1)[0].Place.In(screen) })
	}
	d.Screen.Close(seen(d, 1)[0])
	window.MustExit(0)
}

// hurried sets the timeouts to one second.
func hurried(d *desktoptest.Session) {
	d.Helper()
	d.Write(".local/share/rdd/default/settings.json", `{"firstRunDone": true, "vmTimeout": 1}`)
}

func TestTheQuestionOfAClosedWindowIsANotificationThatOpensItAgain(t *testing.T) {
	d := newSession(t)
	notes := d.Bus.Notifications(true)
	slow(d)
	hurried(d)
	window := d.Start("rdd-window", "--page", "machines")
	shown := seen(d, 1)[0]
	page := d.Bus.Accessible().Find(desktoptest.Application, "rdd-window")
	page.Find(desktoptest.Button, "Start demo").Press()
	d.Eventually("a hostagent", func() bool { return d.Fake.Counted("agents") == 1 })
	d.Screen.Close(shown)
	seen(d, 0)

	ask := func() desktoptest.Note {
		t.Helper()
		for {
			if note := notes.Next(); !note.Closed {
				return note
			}
		}
	}
	note := ask()
	if note.Title != "Start virtual machine demo" || !note.Urgent || len(note.Actions) != 10 || !strings.Contains(note.Body, "lost") {
		t.Errorf("%+v", note)
	}
	notes.Choose(note.ID, "keep")
	again := ask()
	notes.Choose(again.ID, "show")
	shown = seen(d, 1)[0]
	page.Find(desktoptest.Button, "Stop waiting")
	d.Screen.Save("question")
	if err := d.Fake.Set("booted", ""); err != nil {
		t.Fatal(err)
	}
	page.Find(desktoptest.Link, "demo Running*") // the question has closed by itself
	d.Screen.Close(shown)
	window.MustExit(0)
}

func TestTheTraysQuestionOpensTheWindowOnItsOperation(t *testing.T) {
	d := desktoptest.NewSession(t, "rdd-window", "rdd-tray")
	d.Screen = desktoptest.StartScreen(t, 1280, 800)
	panel, notes := d.Bus.Panel(), d.Bus.Notifications(true)
	slow(d)
	hurried(d)
	d.Start("rdd-tray")
	panel.AwaitTray()
	<-panel.Click(panel.Find("demo: stopped", "Start")).Done
	note := notes.Next()
	for note.Title != "Start virtual machine demo" || !note.Urgent {
		note = notes.Next()
	}
	notes.Choose(note.ID, "show")
	seen(d, 1)
	page := d.Bus.Accessible().Find(desktoptest.Application, "rdd-window")
	page.Find(desktoptest.Button, "Stop waiting") // the window's own question, after its own time
	page.Find(desktoptest.Button, "Force stop").Press()
	panel.Find("demo: stopped")
	if n := d.Fake.Counted("agents"); n != 1 {
		t.Errorf("%d hostagents: to look at an operation began another one", n)
	}
}
