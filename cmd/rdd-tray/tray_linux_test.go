package main

import (
	"strings"
	"testing"

	"rancherdesktop.io/rdd/internal/desktoptest"
)

// says waits for a menu with that text.
func says(p *desktoptest.Panel, text string) {
	p.Helper()
	p.Until("it says "+text, func(menu string) bool { return strings.Contains(menu, text) })
}

func click(p *desktoptest.Panel, path ...string) {
	p.Helper()
	if call := <-p.Click(p.Find(path...)).Done; call.Err != nil {
		p.Fatal(call.Err)
	}
}

func TestClicksStartAndStopARealService(t *testing.T) {
	b := newBox(t)
	panel, notes := b.Bus.Panel(), b.Bus.Notifications(true)
	tray := b.tray()
	panel.Registered()

	says(panel, "(RDD is not set up yet)\nStart RDD\n")
	click(panel, "Start RDD")
	says(panel, "(RDD is running)\nStop RDD\n--\n(No virtual machines)\n")
	b.RDD("vm", "create", "demo", b.Template)
	says(panel, "demo: stopped\n\tStart\n")
	click(panel, "demo: stopped", "Start")
	says(panel, "(RDD is running, 1 of 1 virtual machines running)\n")
	says(panel, "demo: running\n\t(Start)\n\tStop\n\tRestart\n")
	if got := b.Stage.Counted("agents"); got != 1 {
		t.Errorf("%d hostagents were started", got)
	}
	click(panel, "demo: running", "Restart")
	b.Eventually("a second hostagent", func() bool { return b.Stage.Counted("agents") == 2 })
	says(panel, "demo: running\n")

	_ = b.Stage.Set("stop", "deaf")
	click(panel, "demo: running", "Stop")
	click(panel, "demo: stopping*", "Force stop (unsaved data is lost)")
	says(panel, "demo: stopped\n")
	_ = b.Stage.Unset("stop")

	_ = b.Stage.Set("boot", "late")
	click(panel, "demo: stopped", "Start")
	says(panel, "\tCancel start\n")
	b.Eventually("a third hostagent", func() bool { return b.Stage.Counted("agents") == 3 })
	click(panel, "demo: starting*", "Cancel start")
	says(panel, "demo: stopped\n")
	_ = b.Stage.Unset("boot")

	click(panel, "Quit")
	var question desktoptest.Note
	for question.Title != "Quit RDD?" {
		question = notes.Next()
	}
	if !strings.Contains(question.Body, "No virtual machines") || !strings.Contains(strings.Join(question.Actions, " "), "stop Stop all") {
		t.Errorf("%+v", question)
	}
	notes.Choose(question.ID, "stop")
	tray.Ends(0)
	if got := b.Read(".local/share/rdd/default/settings.json"); !strings.Contains(got, `"onQuit": "stop"`) {
		t.Errorf("remembered: %s", got)
	}

	// The answer is remembered.
	b.RDD("svc", "start")
	tray = b.tray()
	panel.Registered()
	says(panel, "RDD is running")
	click(panel, "Quit")
	tray.Ends(0)
	b.tray()
	panel.Registered()
	says(panel, "(RDD is stopped)\nStart RDD\n")
}

func TestAStartThatFailsBecomesANotification(t *testing.T) {
	b := newBox(t)
	b.window("")
	panel, notes := b.Bus.Panel(), b.Bus.Notifications(true)
	b.RDD("svc", "start")
	b.RDD("vm", "create", "demo", b.Template)
	b.tray()
	panel.Registered()
	says(panel, "demo: stopped\n")
	_ = b.Stage.Set("validate", "fail")
	_ = b.Stage.Set("prepare", "permanent")
	_ = b.Stage.Set("hostagent", "permanent")
	click(panel, "demo: stopped", "Start")
	note := notes.Next()
	for note.Gone || !strings.HasSuffix(note.Title, "failed") {
		note = notes.Next()
	}
	if note.Title != "Start virtual machine demo: failed" || note.Body == "" {
		t.Errorf("%+v", note)
	}
	says(panel, "demo: start failed\n")
	notes.Choose(note.ID, "default")
	b.Eventually("the window opens on the operation", func() bool {
		return strings.Contains(b.Read("window.log"), "--instance default --operation start/demo\n")
	})
	for _, setting := range []string{"validate", "prepare", "hostagent"} {
		_ = b.Stage.Unset(setting)
	}
}

func TestTheWindowOpensOnWhatWasClicked(t *testing.T) {
	b := newBox(t)
	b.window("")
	panel := b.Bus.Panel()
	b.RDD("svc", "start")
	b.RDD("vm", "create", "demo", b.Template, "--start")
	b.tray()
	panel.Registered()
	says(panel, "demo: running\n")
	for _, step := range []struct{ click, want string }{
		{"Open RDD…", "--instance default"},
		{"Settings…", "--instance default --page settings"},
		{"demo: running|Shell…", "--instance default --page vm/demo/shell"},
		{"demo: running|Logs…", "--instance default --page vm/demo/logs"},
	} {
		click(panel, strings.Split(step.click, "|")...)
		b.Eventually(step.want, func() bool { return strings.Contains(b.Read("window.log"), step.want+"\n") })
	}

	// A second tray opens the window, too, and ends.
	before := b.Read("window.log")
	b.tray().Ends(0)
	if got := strings.TrimPrefix(b.Read("window.log"), before); got != "--instance default\n" {
		t.Errorf("a second tray: the window's arguments are %q", got)
	}
}

func TestQuitAsksInTheWindowWhereNotificationsCannot(t *testing.T) {
	b := newBox(t)
	b.window(`case "$*" in *--ask*) echo '{"theme": "dark", "onQuit": "keep-running"}' >` + b.Home + `/.local/share/rdd/default/settings.json;; esac`)
	panel := b.Bus.Panel()
	b.RDD("svc", "start")
	b.RDD("vm", "create", "demo", b.Template, "--start")
	tray := b.tray()
	panel.Registered()
	says(panel, "demo: running\n")
	click(panel, "Quit")
	tray.Ends(0)
	if !strings.Contains(b.Read("window.log"), "--ask quit") {
		t.Error("nobody was asked")
	}
	if got := b.RDD("vm", "list"); !strings.Contains(got, "Running") {
		t.Errorf("the VM was to run on:\n%s", got)
	}
}

func TestQuitLeavesEverythingRunningWhereNobodyCanBeAsked(t *testing.T) {
	b := newBox(t)
	panel := b.Bus.Panel()
	b.RDD("svc", "start")
	b.RDD("vm", "create", "demo", b.Template, "--start")
	tray := b.tray()
	panel.Registered()
	says(panel, "demo: running\n")
	click(panel, "Quit")
	tray.Ends(0)
	if got := b.RDD("vm", "list"); !strings.Contains(got, "Running") {
		t.Errorf("the VM was to run on:\n%s", got)
	}
}

func TestStartAtLoginIsAClickAway(t *testing.T) {
	b := newBox(t)
	panel := b.Bus.Panel()
	b.tray()
	panel.Registered()
	says(panel, "[ ] Start at login\n")
	click(panel, "Start at login")
	says(panel, "[x] Start at login\n")
	if text := b.Read(".config/autostart/rdd-tray.desktop"); !strings.Contains(text, "rdd-tray") {
		t.Errorf("autostart entry: %q", text)
	}
	if text := b.Read(".config/systemd/user/default.target.wants/rdd.service"); !strings.Contains(text, `"service" "start"`) {
		t.Errorf("unit: %q", text)
	}
	click(panel, "Start at login")
	says(panel, "[ ] Start at login\n")
	if text := b.Read(".config/autostart/rdd-tray.desktop") + b.Read(".config/systemd/user/rdd.service"); text != "" {
		t.Errorf("left behind: %q", text)
	}
}

func TestTheMenuSaysThatTheServiceWasKilled(t *testing.T) {
	b := newBox(t)
	panel := b.Bus.Panel()
	b.RDD("svc", "start")
	b.tray()
	panel.Registered()
	says(panel, "RDD is running")
	kill(t, b)
	says(panel, "(RDD is stopped: the last run ended unexpectedly)\nStart RDD\n")
	click(panel, "Start RDD")
	says(panel, "RDD is running")
}

func TestWithoutAPanelTheWindowOpensOnceAndTheIconComesLater(t *testing.T) {
	b := newBox(t)
	b.window("")
	b.tray()
	b.Eventually("the window opens", func() bool { return b.Read("window.log") == "--instance default\n" })
	panel := b.Bus.Panel()
	panel.Registered()
	says(panel, "(RDD is not set up yet)\nStart RDD\n")
	if got := b.Read("window.log"); got != "--instance default\n" {
		t.Errorf("the window was opened with %q", got)
	}
}
