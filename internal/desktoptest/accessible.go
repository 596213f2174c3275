//go:build linux

package desktoptest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"

	"rancherdesktop.io/rdd/internal/testenv"
)

// Names of the D-Bus interfaces for screen readers. Source: AT-SPI2, xml/*.xml of at-spi2-core.
const (
	accessibleName = "org.a11y.atspi.Accessible"
	actionName     = "org.a11y.atspi.Action"
	registryName   = "org.a11y.atspi.Registry"
	rootPath       = "/org/a11y/atspi/accessible/root"
)

// Role is the kind of an Accessible. WebKit reports roles by number and not by name. Source: AtspiRole.
type Role uint32

// The roles that tests look for, and Filler, the role of containers.
const (
	Filler      Role = 20
	Button      Role = 43
	Application Role = 75
	Heading     Role = 83
	Link        Role = 88
)

// Accessible is an object on the screen as a screen reader sees it: a program, a window, a button.
type Accessible struct {
	testing.TB
	Role Role
	Name string // such as "Start demo"

	conn   *dbus.Conn
	object dbus.BusObject
}

// Accessible returns the root of all objects in this session, the parent of all programs.
func (b *Bus) Accessible() *Accessible {
	b.Helper()
	var address string
	err := b.connect().Object("org.a11y.Bus", "/org/a11y/bus").Call("org.a11y.Bus.GetAddress", 0).Store(&address)
	if failure, ok := errors.AsType[dbus.Error](err); ok && failure.Name == "org.freedesktop.DBus.Error.ServiceUnknown" {
		missing(b, "accessibility bus", "at-spi2-core")
	}
	if err != nil {
		b.Fatal(err)
	}
	conn := b.connectTo(address)
	return &Accessible{TB: b.TB, conn: conn, object: conn.Object(registryName, rootPath)}
}

// call calls a method of the object. It fails after testenv.Timeout.
func (a *Accessible) call(method string, result any, args ...any) error {
	ctx, cancel := context.WithTimeout(context.Background(), testenv.Timeout)
	defer cancel()
	return a.object.CallWithContext(ctx, method, 0, args...).Store(result)
}

// children returns the current children, without those that disappear meanwhile.
func (a *Accessible) children() (all []*Accessible) {
	type reference struct {
		Program string
		Path    dbus.ObjectPath
	}
	var found []reference
	if a.call(accessibleName+".GetChildren", &found) != nil {
		return nil
	}
	if len(found) == 0 && a.Role == Filler { // WebKit's page is in another process, which at-spi2-core 2.46 omits from the list
		var page reference
		if a.call(accessibleName+".GetChildAtIndex", &page, int32(0)) == nil {
			found = append(found, page)
		}
	}
	for _, f := range found {
		c := &Accessible{TB: a.TB, conn: a.conn, object: a.conn.Object(f.Program, f.Path)}
		var name dbus.Variant
		err := errors.Join(c.call(accessibleName+".GetRole", &c.Role), c.call("org.freedesktop.DBus.Properties.Get", &name, accessibleName, "Name"))
		if err != nil {
			continue
		}
		c.Name, _ = name.Value().(string)
		all = append(all, c)
	}
	return all
}

// Find waits until a descendant has this role and name, and returns the first one. A name that ends in * is a prefix.
func (a *Accessible) Find(role Role, name string) (found *Accessible) {
	a.Helper()
	if !testenv.Within(func() bool { found = a.search(role, name); return found != nil }) {
		a.Fatalf("there is no %d %q; there is\n%s", role, name, a.Outline())
	}
	return found
}

func (a *Accessible) search(role Role, name string) *Accessible {
	begin, open := strings.CutSuffix(name, "*")
	for _, c := range a.children() {
		if c.Role == role && (c.Name == name || open && strings.HasPrefix(c.Name, begin)) {
			return c
		}
		if found := c.search(role, name); found != nil {
			return found
		}
	}
	return nil
}

// Press does the same as a click on the object, and waits until the program has accepted it.
func (a *Accessible) Press() {
	a.Helper()
	var done bool
	if err := a.call(actionName+".DoAction", &done, int32(0)); err != nil || !done {
		a.Fatalf("press %d %q: %v, %v", a.Role, a.Name, done, err)
	}
}

// Outline returns all descendants, one per line.
func (a *Accessible) Outline() string { return a.outline("") }

func (a *Accessible) outline(indent string) string {
	var b strings.Builder
	for _, c := range a.children() {
		b.WriteString(fmt.Sprintf("%s%d %s\n", indent, c.Role, c.Name) + c.outline(indent+"\t"))
	}
	return b.String()
}
