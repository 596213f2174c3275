package main

import (
	"strings"
	"syscall"
	"testing"

	"rancherdesktop.io/rdd/internal/desktoptest"
	"rancherdesktop.io/rdd/internal/testenv"
)

// waitForMenu waits until the menu contains the text.
func waitForMenu(p *desktoptest.Panel, text string) {
	p.Helper()
	p.AwaitMenu("it says "+text, func(menu string) bool { return strings.Contains(menu, text) })
}

func click(p *desktoptest.Panel, path ...string) {
	p.Helper()
	if call := <-p.Click(p.Find(path...)).Done; call.Err != nil {
		p.Fatal(call.Err)
	}
}

func TestClicksStartAndStopARealService(t *testing.T) {
	e := newTestEnv(t)
	panel, notes := e.Bus.Panel(), e.Bus.Notifications(true)
	tray := e.tray()
	panel.AwaitTray()

	waitForMenu(panel, "(RDD is not set up yet)\nStart RDD\n")
	click(panel, "Start RDD")
	waitForMenu(panel, "(RDD is running)\nStop RDD\nStart the container engine\n--\n(No virtual machines)\n")
	e.RDD("vm", "create", "demo", e.Template)
	waitForMenu(panel, "demo: stopped\n\tStart\n")
	click(panel, "demo: stopped", "Start")
	waitForMenu(panel, "(RDD is running, 1 of 1 virtual machines running)\n")
	waitForMenu(panel, "demo: running\n\t(Start)\n\tStop\n\tRestart\n")
	if got := e.Fake.Counted("agents"); got != 1 {
		t.Errorf("%d hostagents were started", got)
	}
	click(panel, "demo: running", "Restart")
	e.Eventually("a second hostagent", func() bool { return e.Fake.Counted("agents") == 2 })
	waitForMenu(panel, "demo: running\n")

	_ = e.Fake.Set("stop", "deaf")
	click(panel, "demo: running", "Stop")
	click(panel, "demo: stopping*", "Force stop (unsaved data is lost)")
	waitForMenu(panel, "demo: stopped\n")
	_ = e.Fake.Unset("stop")

	_ = e.Fake.Set("boot", "late")
	click(panel, "demo: stopped", "Start")
	waitForMenu(panel, "\tCancel start\n")
	e.Eventually("a third hostagent", func() bool { return e.Fake.Counted("agents") == 3 })
	click(panel, "demo: starting*", "Cancel start")
	waitForMenu(panel, "demo: stopped\n")
	_ = e.Fake.Unset("boot")

	click(panel, "Quit")
	var question desktoptest.Note
	for question.Title != "Quit RDD?" {
		question = notes.Next()
	}
	if !strings.Contains(question.Body, "No virtual machines") || !strings.Contains(strings.Join(question.Actions, " "), "stop Stop all") {
		t.Errorf("%+v", question)
	}
	notes.Choose(question.ID, "stop")
	tray.MustExit(0)
	if got := e.Read(".local/share/rdd/default/settings.json"); !strings.Contains(got, `"onQuit": "stop"`) {
		t.Errorf("settings: %s", got)
	}

	// The answer is remembered.
	e.RDD("svc", "start")
	tray = e.tray()
	panel.AwaitTray()
	waitForMenu(panel, "RDD is running")
	click(panel, "Quit")
	tray.MustExit(0)
	e.tray()
	panel.AwaitTray()
	waitForMenu(panel, "(RDD is stopped)\nStart RDD\n")
}

func TestTheMenuStartsTheContainerEngineAndStopsAContainer(t *testing.T) {
	e := newTestEnv(t)
	e.withApp("web nginx:1 running\ndb postgres:17 exited\n")
	e.fakeWindow("")
	panel := e.Bus.Panel()
	e.RDD("svc", "start")
	e.tray()
	panel.AwaitTray()
	click(panel, "Start the container engine")
	waitForMenu(panel, "(Running: moby 26.1.5 in rd)\nStop the container engine\nContainers (1 running)\n\tweb\n\t\tLogs…\n\t\tStop\n\tAll containers…\n")
	click(panel, "Containers (1 running)", "web", "Logs…")
	e.Eventually("the window opens on the logs", func() bool {
		_, page, found := strings.Cut(e.Read("window.log"), "--instance default --page containers/")
		id, found2 := strings.CutSuffix(page, "/logs\n")
		return found && found2 && len(id) == 64
	})
	click(panel, "Containers (1 running)", "web", "Stop")
	waitForMenu(panel, "Containers (0 running)\n\tAll containers…\n")
	click(panel, "Stop the container engine")
	waitForMenu(panel, "(The container engine is stopped)\nStart the container engine\n")
	e.RDD("delete", "--yes", "--force")
}

func TestAStartThatFailsBecomesANotification(t *testing.T) {
	e := newTestEnv(t)
	e.fakeWindow("")
	panel, notes := e.Bus.Panel(), e.Bus.Notifications(true)
	e.RDD("svc", "start")
	e.RDD("vm", "create", "demo", e.Template)
	e.tray()
	panel.AwaitTray()
	waitForMenu(panel, "demo: stopped\n")
	_ = e.Fake.Set("validate", "fail")
	_ = e.Fake.Set("prepare", "permanent")
	_ = e.Fake.Set("hostagent", "permanent")
	click(panel, "demo: stopped", "Start")
	note := notes.Next()
	for note.Closed || !strings.HasSuffix(note.Title, "failed") {
		note = notes.Next()
	}
	if note.Title != "Start virtual machine demo: failed" || note.Body == "" {
		t.Errorf("%+v", note)
	}
	waitForMenu(panel, "demo: start failed\n")
	notes.Choose(note.ID, "default")
	e.Eventually("the window opens on the operation", func() bool {
		return strings.Contains(e.Read("window.log"), "--instance default --operation start/demo\n")
	})
	for _, setting := range []string{"validate", "prepare", "hostagent"} {
		_ = e.Fake.Unset(setting)
	}
}

func TestTheWindowOpensOnWhatWasClicked(t *testing.T) {
	e := newTestEnv(t)
	e.fakeWindow("")
	panel := e.Bus.Panel()
	e.RDD("svc", "start")
	e.RDD("vm", "create", "demo", e.Template, "--start")
	e.tray()
	panel.AwaitTray()
	waitForMenu(panel, "demo: running\n")
	for _, step := range []struct{ click, want string }{
		{"Open RDD…", "--instance default"},
		{"Settings…", "--instance default --page settings"},
		{"demo: running|Shell…", "--instance default --page vm/demo/shell"},
		{"demo: running|Logs…", "--instance default --page vm/demo/logs"},
	} {
		click(panel, strings.Split(step.click, "|")...)
		e.Eventually(step.want, func() bool { return strings.Contains(e.Read("window.log"), step.want+"\n") })
	}

	// A second tray opens the window, too, and ends.
	before := e.Read("window.log")
	e.tray().MustExit(0)
	if got := strings.TrimPrefix(e.Read("window.log"), before); got != "--instance default\n" {
		t.Errorf("a second tray: the window's arguments are %q", got)
	}
}

// A second tray outlived its terminal, and Ctrl-C did not end it, until its window was closed.
func TestASecondTrayEndsBeforeItsWindow(t *testing.T) {
	testenv.TakeHangups(t)
	e := newTestEnv(t)
	e.fakeWindow("until [ -e " + e.Home + "/close ]; do sleep 0.1; done")
	t.Cleanup(func() { e.Write("close", "") })
	panel := e.Bus.Panel()
	e.tray()
	panel.AwaitTray()
	second := e.tray()
	e.Eventually("the window opens", func() bool { return e.Read("window.log") != "" })
	if err := second.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	second.MustExit(0)
}

func TestQuitAsksInTheWindowWithoutNotifications(t *testing.T) {
	e := newTestEnv(t)
	e.fakeWindow(`case "$*" in *--ask*) echo '{"theme": "dark", "onQuit": "keep-running"}' >` + e.Home + `/.local/share/rdd/default/settings.json;; esac`)
	panel := e.Bus.Panel()
	e.RDD("svc", "start")
	e.RDD("vm", "create", "demo", e.Template, "--start")
	tray := e.tray()
	panel.AwaitTray()
	waitForMenu(panel, "demo: running\n")
	click(panel, "Quit")
	tray.MustExit(0)
	if !strings.Contains(e.Read("window.log"), "--ask quit") {
		t.Error("the window did not ask")
	}
	if got := e.RDD("vm", "list"); !strings.Contains(got, "Running") {
		t.Errorf("the VM no longer runs:\n%s", got)
	}
}

func TestQuitLeavesEverythingRunningIfItCannotAsk(t *testing.T) {
	e := newTestEnv(t)
	panel := e.Bus.Panel()
	e.RDD("svc", "start")
	e.RDD("vm", "create", "demo", e.Template, "--start")
	tray := e.tray()
	panel.AwaitTray()
	waitForMenu(panel, "demo: running\n")
	click(panel, "Quit")
	tray.MustExit(0)
	if got := e.RDD("vm", "list"); !strings.Contains(got, "Running") {
		t.Errorf("the VM no longer runs:\n%s", got)
	}
}

func TestStartAtLoginCanBeTurnedOnAndOff(t *testing.T) {
	e := newTestEnv(t)
	panel := e.Bus.Panel()
	e.tray()
	panel.AwaitTray()
	waitForMenu(panel, "[ ] Start at login\n")
	click(panel, "Start at login")
	waitForMenu(panel, "[x] Start at login\n")
	if text := e.Read(".config/autostart/rdd-tray.desktop"); !strings.Contains(text, "rdd-tray") {
		t.Errorf("autostart entry: %q", text)
	}
	if text := e.Read(".config/systemd/user/default.target.wants/rdd.service"); !strings.Contains(text, `"service" "start"`) {
		t.Errorf("unit: %q", text)
	}
	click(panel, "Start at login")
	waitForMenu(panel, "[ ] Start at login\n")
	if text := e.Read(".config/autostart/rdd-tray.desktop") + e.Read(".config/systemd/user/rdd.service"); text != "" {
		t.Errorf("left behind: %q", text)
	}
}

func TestTheMenuShowsThatTheServiceWasKilled(t *testing.T) {
	e := newTestEnv(t)
	panel := e.Bus.Panel()
	e.RDD("svc", "start")
	e.tray()
	panel.AwaitTray()
	waitForMenu(panel, "RDD is running")
	killService(t, e)
	waitForMenu(panel, "(RDD is stopped: the last run ended unexpectedly)\nStart RDD\n")
	click(panel, "Start RDD")
	waitForMenu(panel, "RDD is running")
}

func TestWithoutAPanelTheWindowOpensOnceAndTheIconComesLater(t *testing.T) {
	e := newTestEnv(t)
	e.fakeWindow("")
	e.tray()
	e.Eventually("the window opens", func() bool { return e.Read("window.log") == "--instance default\n" })
	panel := e.Bus.Panel()
	panel.AwaitTray()
	waitForMenu(panel, "(RDD is not set up yet)\nStart RDD\n")
	if got := e.Read("window.log"); got != "--instance default\n" {
		t.Errorf("the window was opened with %q", got)
	}
}
