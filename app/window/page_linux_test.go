package window_test

import (
	"encoding/json"
	"image"
	"os"
	"strings"
	"testing"

	"rancherdesktop.io/rdd/internal/desktoptest"
)

// painted waits until the window shows the page. A blank window has one colour, text has many.
func painted(d *desktoptest.Session, w desktoptest.Window) {
	d.Helper()
	d.Eventually("the page is painted", func() bool { return d.Screen.Colours(w.Place, text) >= text })
}

// text is the least number of colours of a part of the screen with text.
const text = 16

// webKits returns the processes of WebKit in the session, by PID.
func webKits(d *desktoptest.Session) map[int]string {
	d.Helper()
	all := d.Processes()
	for pid, line := range all {
		if !strings.Contains(line, "WebKit") {
			delete(all, pid)
		}
	}
	return all
}

// welcomed stores that the first-run dialog was shown.
func welcomed(d *desktoptest.Session) {
	d.Helper()
	d.Write(".local/share/rdd/default/settings.json", `{"firstRunDone": true}`)
}

// What a new user does in the window: start the service, see a VM, start it, close the window.
func TestTheWindowStartsTheServiceAndAVM(t *testing.T) {
	d := newSession(t)
	window := d.Start("rdd-window")
	shown := seen(d, 1)[0]
	painted(d, shown)
	if got := d.Screen.Icon(shown); got != image.Pt(128, 128) {
		t.Errorf("the window's icon has %v pixels", got)
	}
	page := d.Bus.Accessible().Find(desktoptest.Application, "rdd-window")

	page.Find(desktoptest.Button, "Not now").Press() // of the welcome
	page.Find(desktoptest.Link, "Troubleshooting").Press()
	page.Find(desktoptest.Button, "Start the service").Press()
	page.Find(desktoptest.Link, "Virtual machines*").Press()
	page.Find(desktoptest.Heading, "Virtual machines")
	d.RDD("vm", "create", "demo", d.Template)
	page.Find(desktoptest.Link, "demo Stopped*")
	d.Screen.Save("stopped")
	if n := d.Fake.Counted("agents"); n != 0 {
		t.Errorf("%d hostagents were started by looking", n)
	}
	page.Find(desktoptest.Button, "Start demo").Press()
	page.Find(desktoptest.Link, "demo Running*")
	page.Find(desktoptest.Button, "Stop demo")
	d.Screen.Save("running")
	if n := d.Fake.Counted("agents"); n != 1 {
		t.Errorf("%d hostagents were started", n)
	}
	if got := state(d, "demo"); got != "Started" {
		t.Errorf("rdd vm show says %q", got)
	}

	if len(webKits(d)) == 0 {
		t.Error("no process of WebKit was found, so the end of none will be seen")
	}
	d.Screen.Close(shown)
	window.MustExit(0)
	d.Eventually("WebKit's processes have ended and given their memory back", func() bool { return len(webKits(d)) == 0 })
	if got := state(d, "demo"); got != "Started" {
		t.Errorf("with the window closed, rdd vm show says %q", got)
	}
}

// state returns the reason of the VM's condition Running, as the CLI prints it.
func state(d *desktoptest.Session, vm string) string {
	d.Helper()
	var shown struct {
		Status struct {
			Conditions []struct{ Type, Reason string }
		}
	}
	if err := json.Unmarshal([]byte(d.RDD("vm", "show", vm, "-o", "json")), &shown); err != nil {
		d.Error(err)
	}
	for _, c := range shown.Status.Conditions {
		if c.Type == "Running" {
			return c.Reason
		}
	}
	return ""
}

func TestTrayAndWindowShowTheSame(t *testing.T) {
	d := desktoptest.NewSession(t, "rdd-window", "rdd-tray")
	d.Screen = desktoptest.StartScreen(t, 1280, 800)
	panel := d.Bus.Panel()
	click := func(path ...string) {
		t.Helper()
		if call := <-panel.Click(panel.Find(path...)).Done; call.Err != nil {
			t.Fatal(call.Err)
		}
	}
	d.RDD("svc", "start")
	welcomed(d)
	d.RDD("vm", "create", "demo", d.Template)
	tray := d.Start("rdd-tray")
	panel.AwaitTray()
	click("Open RDD…")
	shown := seen(d, 1)[0]
	page := d.Bus.Accessible().Find(desktoptest.Application, "rdd-window")
	page.Find(desktoptest.Link, "Virtual machines*").Press()
	page.Find(desktoptest.Button, "Start demo").Press()
	panel.Find("demo: running")
	click("demo: running", "Stop")
	page.Find(desktoptest.Link, "demo Stopped*")

	_ = tray.Signal(os.Interrupt)
	tray.MustExit(0)
	page.Find(desktoptest.Button, "Start demo").Press() // the window outlives the tray
	page.Find(desktoptest.Link, "demo Running*")
	d.Screen.Close(shown)
	d.Eventually("the window's processes have ended", func() bool { return len(windows(d))+len(webKits(d)) == 0 })
}
