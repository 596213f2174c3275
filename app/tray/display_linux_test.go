package tray

import (
	"slices"
	"strings"
	"testing"
	"time"

	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/internal/desktoptest"
	"rancherdesktop.io/rdd/internal/testenv"
)

func TestThePanelSeesEveryItemOfEachView(t *testing.T) {
	path := desktoptest.Path(t)
	bus := desktoptest.StartBus(t, path)
	p, panel := newTray(t, desktoptest.Address(path)), bus.Panel()
	few, many := manyVMs(3), manyVMs(50)
	changed := slices.Clone(few)
	changed[1] = testVM("vm-01", true, "Unknown", "Starting")
	failed := slices.Clone(few)
	failed[0] = testVM("vm-00", true, "False", "StartFailed")
	failed[0].Status.Conditions[0].Message = "no driver for virtio_net in _all_"
	atLogin := up(few...)
	atLogin.AtLogin, atLogin.Findings = true, 2
	for i, s := range []State{
		{Instance: "default"},
		{Instance: "default", Seen: true, Snapshot: core.Snapshot{Service: core.ServiceStatus{State: core.ServiceStarting}}},
		up(), up(few...), up(changed...), up(failed...), atLogin, up(few...), up(few[1:]...), up(few[:2]...),
		up(manyVMs(11)...), up(manyVMs(20)...), up(many...), up(many[1:]...), up(many[:49]...), up(manyVMs(15)...), up(),
		{Instance: "default", Seen: true, Snapshot: core.Snapshot{Service: core.ServiceStatus{State: core.ServiceStopped}}},
	} {
		v := Look(s)
		p.show(v)
		if i == 0 {
			panel.AwaitTray()
		}
		panel.Await(outline(v.Items, ""))
	}
}

func TestOf1000ClicksNoneIsLost(t *testing.T) {
	path := desktoptest.Path(t)
	bus := desktoptest.StartBus(t, path)
	p, panel := newTray(t, desktoptest.Address(path)), bus.Panel()
	v := Look(up(manyVMs(3)...))
	p.show(v)
	panel.AwaitTray()
	panel.Await(outline(v.Items, ""))
	targets := map[ID]int32{
		{Verb: StopService}:  panel.Find("Stop RDD"),
		{StopVM, "vm-00"}:    panel.Find("vm-00: running", "Stop"),
		{StartVM, "vm-01"}:   panel.Find("vm-01: stopped", "Start"),
		{Logs, "vm-02"}:      panel.Find("vm-02: running", "Logs…"),
		{Verb: Quit}:         panel.Find("Quit"),
		{Verb: Login}:        panel.Find("Start at login"),
		{RestartVM, "vm-00"}: panel.Find("vm-00: running", "Restart"),
		{Verb: Diagnostics}:  panel.Find("Diagnostics…"),
		{Verb: Settings}:     panel.Find("Settings…"),
		{Shell, "vm-02"}:     panel.Find("vm-02: running", "Shell…"),
	}
	const each = 100
	for range each {
		for _, number := range targets {
			panel.Click(number)
		}
	}
	heard := map[ID]int{}
	for range each * len(targets) {
		heard[p.click()]++
	}
	for id := range targets {
		if heard[id] != each {
			t.Errorf("%v: %d clicks of %d", id, heard[id], each)
		}
	}
}

// While VMs are created and deleted, a click is for the VM of the clicked item, or for none.
func TestAClickIsNeverForAnotherVM(t *testing.T) {
	path := desktoptest.Path(t)
	bus := desktoptest.StartBus(t, path)
	p, panel := newTray(t, desktoptest.Address(path)), bus.Panel()
	vms := manyVMs(3)
	v := Look(up(vms[:2]...))
	p.show(v)
	panel.AwaitTray()
	panel.Await(outline(v.Items, ""))
	second := panel.Find("vm-01: stopped", "Start")
	for i := range 40 {
		p.show(Look(up(vms[i%2 : i%2+2]...)))
		for range 5 {
			panel.Click(second)
		}
	}
	v = Look(up(vms[1:]...))
	p.show(v)
	panel.Await(outline(v.Items, ""))
	<-panel.Click(panel.Find("vm-02: running", "Restart")).Done
	<-panel.Click(panel.Find("Quit")).Done
	restarted := false
	for {
		switch id := p.click(); id {
		case ID{StartVM, "vm-01"}:
		case ID{RestartVM, "vm-02"}:
			restarted = true
		case ID{Verb: Quit}:
			if !restarted {
				t.Error("the click on vm-02 was lost")
			}
			return
		default:
			t.Fatalf("a click on vm-01 or vm-02 was for %v", id)
		}
	}
}

func TestTheIconComesBackWhenThePanelDoes(t *testing.T) {
	path := desktoptest.Path(t)
	bus := desktoptest.StartBus(t, path)
	p := newTray(t, desktoptest.Address(path))
	v := Look(up(manyVMs(2)...))
	p.show(v)
	if !p.event().NoHost {
		t.Fatal("there is no panel, and NoHost was not called")
	}
	for range 3 {
		panel := bus.Panel()
		panel.AwaitTray()
		panel.Await(outline(v.Items, ""))
		panel.Close()
	}
	select {
	case w := <-p.events:
		t.Errorf("it was reported before: %+v", w)
	default:
	}
}

// A tray and a panel that start together at login can miss each other.
func TestTheIconComesAlthoughThePanelWasNotReady(t *testing.T) {
	path := desktoptest.Path(t)
	bus := desktoptest.StartBus(t, path)
	panel := bus.PanelThatRejects(1)
	newTray(t, desktoptest.Address(path)).show(Look(up()))
	panel.AwaitTray()
	panel.Await(outline(Look(up()).Items, ""))
}

func TestAnotherProgramsIconIsNotTakenForOurs(t *testing.T) {
	for item, want := range map[string]bool{
		":1.4": true, ":1.4/StatusNotifierItem": true, ":1.4@/StatusNotifierItem": true,
		":1.45/StatusNotifierItem": false, "org.kde.StatusNotifierItem-4-1": false, "": false,
	} {
		if belongsTo(item, ":1.4") != want {
			t.Errorf("%q: want %t", item, want)
		}
	}
}

func TestATrayThatStartsBeforeTheSessionBus(t *testing.T) {
	path := desktoptest.Path(t)
	p := newTray(t, desktoptest.Address(path))
	v := Look(up())
	if !p.event().NoHost {
		t.Fatal("there is no bus, and NoHost was not called")
	}
	bus := desktoptest.StartBus(t, path)
	panel := bus.Panel()
	p.show(v)
	panel.AwaitTray()
	panel.Await(outline(v.Items, ""))

	bus.End()
	select {
	case err := <-p.ended:
		p.ended <- err
		if err == nil || err.Error() != "exit status 1" {
			t.Errorf("the bus has ended: %v", err) // a panic would be exit status 2
		}
	case <-time.After(testenv.Timeout):
		t.Error("the bus has ended, and the tray has not")
	}
}

func TestATrayWithoutABusEndsWhenAsked(t *testing.T) {
	p := newTray(t, desktoptest.Address(desktoptest.Path(t)))
	if !p.event().NoHost {
		t.Fatal("there is no bus, and NoHost was not called")
	}
	_ = p.in.Close()
	select {
	case err := <-p.ended:
		p.ended <- err
		if err != nil {
			t.Error(err)
		}
	case <-time.After(testenv.Timeout):
		t.Error("it does not end")
	}
}

func TestTheIconOfAStartIsAnimated(t *testing.T) {
	path := desktoptest.Path(t)
	bus := desktoptest.StartBus(t, path)
	p, panel := newTray(t, desktoptest.Address(path)), bus.Panel()
	p.show(Look(up()))
	panel.AwaitTray()
	still := panel.Pixels()
	starting := up()
	starting.Snapshot.Service.State = core.ServiceStarting
	p.show(Look(starting))
	frames := map[string]bool{}
	late := time.After(testenv.Timeout)
	for len(frames) < iconFrames {
		select {
		case s := <-panel.Changes:
			if strings.HasSuffix(s.Name, ".NewIcon") {
				frames[panel.Pixels()] = true
			}
		case <-late:
			t.Fatalf("%d pictures", len(frames))
		}
	}
	if frames[still] {
		t.Error("a picture of the start is that of a running service")
	}
}
