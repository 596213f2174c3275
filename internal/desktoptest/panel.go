//go:build linux

package desktoptest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/godbus/dbus/v5/prop"

	"rancherdesktop.io/rdd/internal/testenv"
)

// watcher is the D-Bus name of the program that has a list of all tray icons. Source: StatusNotifierItem of
// freedesktop.org and KDE; the menus are com.canonical.dbusmenu.
const watcher = "org.kde.StatusNotifierWatcher"

// Panel is a StatusNotifierWatcher and host, like the panel of a desktop.
type Panel struct {
	testing.TB
	conn    *dbus.Conn
	items   chan string       // bus names that register
	rejects atomic.Int32      // how many registrations fail
	known   *prop.Properties  // of the watcher
	Changes chan *dbus.Signal // of the icon and the menu
	item    dbus.BusObject    // of the last icon that registered
	menu    dbus.BusObject
}

// RegisterStatusNotifierItem is called over the bus.
func (p *Panel) RegisterStatusNotifierItem(sender dbus.Sender, path string) *dbus.Error {
	if p.rejects.Add(-1) >= 0 {
		return dbus.MakeFailedError(errors.New("the panel is not ready"))
	}
	p.known.SetMust(watcher, registeredItems, append(p.known.GetMust(watcher, registeredItems).([]string), string(sender)+path))
	p.items <- string(sender)
	return nil
}

const registeredItems = "RegisteredStatusNotifierItems"

// Panel starts a panel.
func (b *Bus) Panel() *Panel { b.Helper(); return b.PanelThatRejects(0) }

// PanelThatRejects starts a panel that rejects the first registrations, as one does that is not ready yet.
func (b *Bus) PanelThatRejects(registrations int) *Panel {
	b.Helper()
	p := &Panel{TB: b.TB, conn: b.connect(), items: make(chan string, 10), Changes: make(chan *dbus.Signal, 100000)}
	p.rejects.Store(int32(registrations))
	err := p.conn.Export(p, "/StatusNotifierWatcher", watcher)
	if err == nil {
		p.known, err = prop.Export(p.conn, "/StatusNotifierWatcher", prop.Map{watcher: {
			"IsStatusNotifierHostRegistered": {Value: true}, registeredItems: {Value: []string{}},
		}})
	}
	if err == nil {
		err = p.conn.AddMatchSignal(dbus.WithMatchPathNamespace("/StatusNotifierItem"))
	}
	p.conn.Signal(p.Changes)
	if err == nil {
		_, err = p.conn.RequestName(watcher, dbus.NameFlagDoNotQueue)
	}
	if err != nil {
		b.Fatal(err)
	}
	return p
}

// Close ends the panel.
func (p *Panel) Close() { _ = p.conn.Close() }

// AwaitTray waits until a tray icon registers.
func (p *Panel) AwaitTray() {
	p.Helper()
	select {
	case sender := <-p.items:
		p.item = p.conn.Object(sender, "/StatusNotifierItem")
		p.menu = p.conn.Object(sender, "/StatusNotifierItem/menu")
	case <-time.After(testenv.Timeout):
		p.Fatal("no tray icon has registered")
	}
}

// layout is a menu or an item of it, as dbusmenu defines it.
type layout struct {
	ID         int32
	Properties map[string]dbus.Variant
	Children   []dbus.Variant
}

func (p *Panel) layout() layout {
	p.Helper()
	var revision uint32
	var l layout
	if err := p.menu.Call("com.canonical.dbusmenu.GetLayout", 0, int32(0), int32(-1), []string{}).Store(&revision, &l); err != nil {
		p.Fatal(err)
	}
	return l
}

// children returns the items of a submenu.
func (p *Panel) children(l layout) (all []layout) {
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

// labelOf returns the text that a panel shows: a single underscore marks the item's key, two stand for one.
func labelOf(l layout) string {
	return strings.NewReplacer("__", "_", "_", "").Replace(property(l, "label", ""))
}

func property[T any](l layout, name string, otherwise T) T {
	if v, ok := l.Properties[name].Value().(T); ok {
		return v
	}
	return otherwise
}

// Menu returns the menu as text, without hidden items. Disabled items are in brackets, submenus are indented.
func (p *Panel) Menu() string { p.Helper(); return p.text(p.layout(), "") }

func (p *Panel) text(l layout, indent string) string {
	p.Helper()
	var b strings.Builder
	for _, c := range p.children(l) {
		title := labelOf(c)
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
		b.WriteString(indent + title + "\n" + p.text(c, indent+"\t"))
	}
	return b.String()
}

// LatestMenu returns the menu after all signals so far.
func (p *Panel) LatestMenu() string {
	p.Helper()
	for len(p.Changes) > 0 {
		<-p.Changes
	}
	return p.Menu()
}

// Await waits until the menu is this.
func (p *Panel) Await(want string) {
	p.Helper()
	p.AwaitMenu("it is\n"+want, func(menu string) bool { return menu == want })
}

// AwaitMenu waits until the menu is ok. It checks the menu now and after each signal.
func (p *Panel) AwaitMenu(what string, ok func(menu string) bool) {
	p.Helper()
	if !ok(p.Menu()) {
		p.AwaitChange(what, ok)
	}
}

// AwaitChange waits until the menu is ok after a signal, and returns when that was.
func (p *Panel) AwaitChange(what string, ok func(menu string) bool) time.Time {
	p.Helper()
	for late := time.After(testenv.Timeout); ; {
		select {
		case <-p.Changes:
			if ok(p.LatestMenu()) {
				return time.Now()
			}
		case <-late:
			p.Fatalf("the menu is\n%swant that %s", p.Menu(), what)
		}
	}
}

// Find waits for the item with the last title, in the submenu of the item with the title before it, and returns its ID.
// A title that ends in * is a prefix, for items whose text changes at any moment.
func (p *Panel) Find(path ...string) (id int32) {
	p.Helper()
	p.AwaitMenu(fmt.Sprintf("there is %q", path), func(string) bool {
		at := p.layout()
		for _, title := range path {
			begin, open := strings.CutSuffix(title, "*")
			items := p.children(at)
			i := slices.IndexFunc(items, func(c layout) bool {
				label := labelOf(c)
				if !property(c, "visible", true) {
					return false
				}
				return label == title || open && strings.HasPrefix(label, begin)
			})
			if i < 0 {
				return false
			}
			at = items[i]
		}
		id = at.ID
		return true
	})
	return id
}

// Click clicks on an item and does not wait.
func (p *Panel) Click(id int32) *dbus.Call {
	return p.menu.Go("com.canonical.dbusmenu.Event", 0, make(chan *dbus.Call, 1), id, "clicked", dbus.MakeVariant(int32(0)), uint32(0))
}

// Pixels returns the icon that the panel would draw.
func (p *Panel) Pixels() string {
	p.Helper()
	v, err := p.item.GetProperty("org.kde.StatusNotifierItem.IconPixmap")
	if err != nil {
		p.Fatal(err)
	}
	var pictures []struct {
		W, H int32
		Pix  []byte
	}
	if err := dbus.Store([]any{v.Value()}, &pictures); err != nil || len(pictures) != 1 {
		p.Fatalf("%v, %d pictures", err, len(pictures))
	}
	return string(pictures[0].Pix)
}
