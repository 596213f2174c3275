package notify

import (
	"net"
	"slices"
	"testing"
	"time"

	"rancherdesktop.io/rdd/internal/desktoptest"
	"rancherdesktop.io/rdd/internal/testenv"
)

// newBus starts a bus that New finds.
func newBus(t *testing.T) *desktoptest.Bus {
	path := desktoptest.Path(t)
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", desktoptest.Address(path))
	return desktoptest.StartBus(t, path)
}

func open(t *testing.T) Notifier {
	n := New("RDD")
	t.Cleanup(n.Close)
	return n
}

func TestANoteReplacesTheOneWithItsKey(t *testing.T) {
	shown := newBus(t).Notifications(true)
	n := open(t)
	n.Show(Note{Key: "a", Title: "Start demo", Body: "image <1> & more", Percent: 10})
	first := shown.Next()
	if first.Title != "Start demo" || first.Body != "image &lt;1&gt; &amp; more" || first.Percent != 10 || first.Urgent {
		t.Errorf("%+v", first)
	}
	n.Show(Note{Key: "b", Title: "other"})
	other := shown.Next()
	n.Show(Note{Key: "a", Title: "Start demo", Percent: 20, Urgent: true, Default: "show", Actions: []Action{{"keep", "Keep waiting"}}})
	second := shown.Next()
	if second.ID != first.ID || second.Replaces != first.ID || other.ID == first.ID || other.Replaces != 0 || second.Percent != 20 || !second.Urgent {
		t.Errorf("%+v, then %+v, then %+v", first, other, second)
	}
	if want := []string{"default", "show", "keep", "Keep waiting"}; !slices.Equal(second.Actions, want) {
		t.Errorf("actions %q", second.Actions)
	}
	n.Withdraw("a")
	if gone := shown.Next(); !gone.Closed || gone.ID != first.ID {
		t.Errorf("%+v", gone)
	}
	n.Show(Note{Key: "a", Title: "again"})
	if again := shown.Next(); again.Replaces != 0 {
		t.Errorf("%+v", again)
	}
}

func TestAChoiceIsReportedOnce(t *testing.T) {
	shown := newBus(t).Notifications(true)
	n := open(t)
	if !n.Asks() {
		t.Fatal("the desktop shows no buttons")
	}
	chosen := make(chan string, 10)
	show := func() uint32 {
		n.Show(Note{Key: "k", Title: "t", Default: "show", Actions: []Action{{"keep", "Keep"}}, Chosen: func(action string) { chosen <- action }})
		return shown.Next().ID
	}
	wants := func(want string) {
		t.Helper()
		select {
		case got := <-chosen:
			if got != want {
				t.Errorf("chosen: %q, want %q", got, want)
			}
		case <-time.After(testenv.Timeout):
			t.Fatalf("%q was not reported", want)
		}
	}
	shown.Choose(show(), "keep") // which also closes the note
	wants("keep")
	shown.Choose(show(), "default")
	wants("show")
	shown.Dismiss(show())
	wants("")
	shown.Choose(12345, "keep") // another program's
	shown.Choose(show(), "keep")
	wants("keep")
	if len(chosen) > 0 {
		t.Errorf("another choice was reported: %q", <-chosen)
	}
}

func TestADesktopWithoutButtonsDoesNotAsk(t *testing.T) {
	shown := newBus(t).Notifications(false)
	n := open(t)
	if n.Asks() {
		t.Error("it asks")
	}
	n.Show(Note{Key: "a", Title: "t", Body: "1 < 2"})
	if got := shown.Next().Body; got != "1 < 2" { // it has no markup either
		t.Error(got)
	}
}

func TestWithoutANotificationServiceNothingHappens(t *testing.T) {
	for name, start := range map[string]func(t *testing.T){
		"no bus":                  func(t *testing.T) { t.Setenv("DBUS_SESSION_BUS_ADDRESS", desktoptest.Address(desktoptest.Path(t))) },
		"no notification service": func(t *testing.T) { newBus(t) },
		"a bus that doesn't answer": func(t *testing.T) {
			path := desktoptest.Path(t)
			l, err := net.Listen("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = l.Close() })
			t.Setenv("DBUS_SESSION_BUS_ADDRESS", desktoptest.Address(path))
		},
	} {
		t.Run(name, func(t *testing.T) {
			start(t)
			n := New("RDD")
			done := make(chan struct{})
			go func() {
				for range 1000 {
					n.Show(Note{Key: "a", Title: "t", Chosen: func(string) { t.Error("chosen") }})
					n.Withdraw("b")
				}
				if n.Asks() {
					t.Error("it asks")
				}
				n.Close()
				close(done)
			}()
			select {
			case <-done:
			case <-time.After(testenv.Timeout):
				t.Fatal("it waits for the desktop")
			}
		})
	}
}

func TestNotificationsComeBackWithTheDesktop(t *testing.T) {
	path := desktoptest.Path(t)
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", desktoptest.Address(path))
	n := open(t)
	n.Show(Note{Key: "early", Title: "nobody sees this"})
	for range 2 {
		bus := desktoptest.StartBus(t, path)
		shown := bus.Notifications(true)
		n.Asks() // after it, the first note can't be shown any more
		n.Show(Note{Key: "a", Title: "hello"})
		for n := shown.Next(); n.Title != "hello"; {
			n = shown.Next()
		}
		bus.End()
	}
}
