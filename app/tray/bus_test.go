//go:build linux

package tray

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/godbus/dbus/v5/prop"
)

// startBus runs a session bus of its own at a path, and ends it with the test.
func startBus(t *testing.T, path string) (end func()) {
	t.Helper()
	if _, err := exec.LookPath("dbus-daemon"); err != nil {
		if os.Getenv("RDD_TEST_REQUIRE") != "" {
			t.Fatal("there is no dbus-daemon; install the package dbus")
		}
		t.Skip("there is no dbus-daemon")
	}
	cmd := exec.Command("dbus-daemon", "--session", "--nofork", "--nopidfile", "--print-address", "--address=unix:path="+path)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err == nil {
		_, err = bufio.NewReader(out).ReadString('\n') // it listens
	}
	if err != nil {
		t.Fatal(err)
	}
	ended := false
	end = func() {
		if !ended {
			ended = true
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	}
	t.Cleanup(end)
	return end
}

func connect(t *testing.T, path string) *dbus.Conn {
	t.Helper()
	conn, err := dbus.Connect("unix:path=" + path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// panel is a StatusNotifierWatcher and host, as a desktop's panel is.
type panel struct {
	*testing.T
	conn    *dbus.Conn
	items   chan string // who registers
	changes chan *dbus.Signal
	item    dbus.BusObject // the last one that registered
	menu    dbus.BusObject
}

// RegisterStatusNotifierItem is called over the bus.
func (p *panel) RegisterStatusNotifierItem(sender dbus.Sender, _ string) *dbus.Error {
	p.items <- string(sender)
	return nil
}

// newPanel starts a panel on the bus at path.
func newPanel(t *testing.T, path string) *panel {
	t.Helper()
	p := &panel{T: t, conn: connect(t, path), items: make(chan string, 10), changes: make(chan *dbus.Signal, 100000)}
	err := p.conn.Export(p, watcherPath, watcherName)
	if err == nil {
		_, err = prop.Export(p.conn, watcherPath, prop.Map{watcherName: {"IsStatusNotifierHostRegistered": {Value: true}}})
	}
	if err == nil {
		err = p.conn.AddMatchSignal(dbus.WithMatchPathNamespace("/StatusNotifierItem"))
	}
	p.conn.Signal(p.changes)
	if err == nil {
		_, err = p.conn.RequestName(watcherName, dbus.NameFlagDoNotQueue)
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// registered waits for the tray.
func (p *panel) registered() {
	p.Helper()
	select {
	case sender := <-p.items:
		p.item = p.conn.Object(sender, "/StatusNotifierItem")
		p.menu = p.conn.Object(sender, "/StatusNotifierItem/menu")
	case <-time.After(hang):
		p.Fatal("no tray has registered")
	}
}

// layout is a menu as dbusmenu has it.
type layout struct {
	ID         int32
	Properties map[string]dbus.Variant
	Children   []dbus.Variant
}

func (p *panel) layout() layout {
	p.Helper()
	var revision uint32
	var l layout
	if err := p.menu.Call("com.canonical.dbusmenu.GetLayout", 0, int32(0), int32(-1), []string{}).Store(&revision, &l); err != nil {
		p.Fatal(err)
	}
	return l
}

// below are the items of a submenu.
func (p *panel) below(l layout) (all []layout) {
	p.Helper()
	for _, child := range l.Children {
		var c layout
		if err := dbus.Store([]any{child.Value()}, &c); err != nil {
			p.Fatal(err)
		}
		all = append(all, c)
	}
	return all
}

func property[T any](l layout, name string, otherwise T) T {
	if v, ok := l.Properties[name].Value().(T); ok {
		return v
	}
	return otherwise
}

// draft is the menu as draft of menu_test.go writes it.
func (p *panel) draft(l layout, indent string) string {
	p.Helper()
	var b strings.Builder
	for _, c := range p.below(l) {
		title := property(c, "label", "")
		switch {
		case !property(c, "visible", true):
			continue
		case property(c, "type", "") == "separator":
			title = "--"
		case property(c, "toggle-type", "") == "checkmark":
			title = map[int32]string{0: "[ ] ", 1: "[x] "}[property(c, "toggle-state", int32(-1))] + title
		case !property(c, "enabled", true):
			title = "(" + title + ")"
		}
		b.WriteString(indent + title + "\n" + p.draft(c, indent+"\t"))
	}
	return b.String()
}

// sees waits until the menu is as wanted, looking at each change that it is told of.
func (p *panel) sees(want string) {
	p.Helper()
	late := time.After(hang)
	for {
		got := p.draft(p.layout(), "")
		if got == want {
			return
		}
		select {
		case <-p.changes:
			for len(p.changes) > 0 {
				<-p.changes
			}
		case <-late:
			p.Fatalf("the menu is\n%swant\n%s", got, want)
		}
	}
}

// find returns the number of the item with that title, in the submenu of the item before it.
func (p *panel) find(path ...string) int32 {
	p.Helper()
	at := p.layout()
	for _, title := range path {
		found := false
		for _, c := range p.below(at) {
			if property(c, "label", "") == title {
				at, found = c, true
				break
			}
		}
		if !found {
			p.Fatalf("there is no item %q of %q", title, path)
		}
	}
	return at.ID
}

// click clicks on an item, and does not wait.
func (p *panel) click(id int32) *dbus.Call {
	return p.menu.Go("com.canonical.dbusmenu.Event", 0, make(chan *dbus.Call, 1), id, "clicked", dbus.MakeVariant(int32(0)), uint32(0))
}

func busPath(t *testing.T) string { return fmt.Sprintf("%s/bus", t.TempDir()) }
