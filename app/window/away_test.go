package window

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"rancherdesktop.io/rdd/app/dialog"
	"rancherdesktop.io/rdd/app/notify"
)

// told is a Notifier that writes down what it is told.
type told struct {
	said []string
	last notify.Note
	mute bool // nobody shows buttons
}

func (d *told) Show(n notify.Note) {
	var buttons []string
	for _, a := range n.Actions {
		buttons = append(buttons, a.Key)
	}
	d.said = append(d.said, strings.TrimSpace(n.Title+" "+strings.Join(buttons, ",")))
	d.last = n
}
func (d *told) Withdraw(string) { d.said = append(d.said, "withdrawn") }
func (d *told) Asks() bool      { return !d.mute }
func (d *told) Close()          {}

func TestAClosedWindowTellsHowItsOperationsGoOn(t *testing.T) {
	long := time.Now().Add(-time.Hour)
	begin := func(id string, since time.Time) func(dialog.Board) dialog.Board {
		return func(b dialog.Board) dialog.Board {
			return b.Began(dialog.Operation{ID: id, Verb: dialog.Start, Object: "vm-" + id, Started: since, Force: "All is lost.", Extend: time.Minute})
		}
	}
	late := func(id string, waited time.Duration) func(dialog.Board) dialog.Board {
		return func(b dialog.Board) dialog.Board { return b.Overdue(id, waited) }
	}
	done := func(id string, p *dialog.Problem) func(dialog.Board) dialog.Board {
		return func(b dialog.Board) dialog.Board { return b.Settled(id, p) }
	}
	answer := func(id string, a dialog.Answer) func(dialog.Board) dialog.Board {
		return func(b dialog.Board) dialog.Board { b, _ = b.Answered(id, a); return b }
	}
	const asks = " keep,stop-waiting,force,show"
	for name, tc := range map[string]struct {
		steps []func(dialog.Board) dialog.Board
		want  string
		busy  bool
	}{
		"under way":       {[]func(dialog.Board) dialog.Board{begin("1", long)}, "", true},
		"done":            {[]func(dialog.Board) dialog.Board{begin("1", long), done("1", nil)}, "Start virtual machine vm-1: done", false},
		"done soon":       {[]func(dialog.Board) dialog.Board{begin("1", time.Now()), done("1", nil)}, "withdrawn", false},
		"failed":          {[]func(dialog.Board) dialog.Board{begin("1", long), done("1", &dialog.Problem{Message: "no"})}, "Start virtual machine vm-1: failed", false},
		"late":            {[]func(dialog.Board) dialog.Board{begin("1", long), late("1", time.Minute)}, "Start virtual machine vm-1" + asks, true},
		"late, then done": {[]func(dialog.Board) dialog.Board{begin("1", long), late("1", time.Minute), done("1", nil)}, "Start virtual machine vm-1" + asks + "; Start virtual machine vm-1: done", false},
		"late twice": {
			[]func(dialog.Board) dialog.Board{begin("1", long), late("1", time.Minute), answer("1", dialog.KeepWaiting), late("1", 2*time.Minute)},
			"Start virtual machine vm-1" + asks + "; withdrawn; Start virtual machine vm-1" + asks, true,
		},
		"nobody waits": {[]func(dialog.Board) dialog.Board{begin("1", long), late("1", time.Minute), answer("1", dialog.StopWaiting)}, "Start virtual machine vm-1" + asks + "; withdrawn", false},
		"two are late": {
			[]func(dialog.Board) dialog.Board{begin("1", long), begin("2", long), late("1", time.Minute), late("2", time.Minute), answer("1", dialog.KeepWaiting)},
			"Start virtual machine vm-1" + asks + "; Start virtual machine vm-2" + asks + "; withdrawn", true,
		},
	} {
		notes := &told{}
		a := &away{notes: notes}
		board, busy := dialog.Board{}, false
		for _, step := range tc.steps {
			board = step(board)
			busy = a.look([]dialog.Board{board, {}})
			a.look([]dialog.Board{board}) // nothing is told twice
		}
		if got := strings.Join(notes.said, "; "); got != tc.want || busy != tc.busy {
			t.Errorf("%s: %q, busy %t", name, got, busy)
		}
	}
}

func TestTheQuestionOfAClosedWindow(t *testing.T) {
	board := dialog.Board{}.Began(dialog.Operation{ID: "1", Verb: dialog.Stop, Object: "demo", Force: "All is lost.", Extend: time.Minute}).Overdue("1", time.Minute)
	for action, want := range map[string]string{"keep": "1 keep", "stop-waiting": "1 stop-waiting", "force": "1 force", "show": "window", "": "1 keep"} {
		notes, did := &told{}, []string(nil)
		a := &away{
			notes: notes, show: func() { did = append(did, "window") },
			answer: func(operation string, answer dialog.Answer) { did = append(did, fmt.Sprint(operation, " ", answer)) },
		}
		a.look([]dialog.Board{board})
		if n := notes.last; !n.Urgent || n.Default != "show" || !strings.HasSuffix(n.Body, "All is lost.") {
			t.Fatalf("%+v", n)
		}
		notes.last.Chosen(action)
		if !slices.Equal(did, []string{want}) {
			t.Errorf("%q: %q", action, did)
		}
		a.back()
		if got := notes.said[len(notes.said)-1]; got != "withdrawn" {
			t.Errorf("the window is back, and the desktop still asks: %q", notes.said)
		}
	}
	notes, shown := &told{mute: true}, 0
	a := &away{notes: notes, show: func() { shown++ }}
	a.look([]dialog.Board{board})
	if shown != 1 || len(notes.said) != 0 {
		t.Errorf("nobody can be asked: shown %d times, %q", shown, notes.said)
	}
}
