package operation

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rancherdesktop.io/rdd/app/notify"
	"rancherdesktop.io/rdd/core"
)

// shownNotes is a notify.Notifier that records the notes.
type shownNotes struct {
	all       []string // title and buttons of each note, or "withdrawn"
	last      notify.Note
	noButtons bool
}

func (d *shownNotes) Show(n notify.Note) {
	var buttons []string
	for _, a := range n.Actions {
		buttons = append(buttons, a.Key)
	}
	d.all = append(d.all, strings.TrimSpace(n.Title+" "+strings.Join(buttons, ",")))
	d.last = n
}
func (d *shownNotes) Withdraw(string) { d.all = append(d.all, "withdrawn") }
func (d *shownNotes) Asks() bool      { return !d.noButtons }
func (d *shownNotes) Close()          {}

func TestNotificationsOfQuestionsAndEnds(t *testing.T) {
	long := time.Now().Add(-time.Hour)
	begin := func(id string, since time.Time) func(List) List {
		return func(l List) List {
			return l.Began(Operation{ID: id, Verb: Start, Object: "vm-" + id, Started: since, Force: "All is lost.", Extend: time.Minute})
		}
	}
	late := func(id string, waited time.Duration) func(List) List {
		return func(l List) List { return l.Overdue(id, waited) }
	}
	done := func(id string, p *Problem) func(List) List {
		return func(l List) List { return l.Settled(id, p, nil) }
	}
	answer := func(id string, a Answer) func(List) List {
		return func(l List) List { l, _ = l.Answered(id, a); return l }
	}
	const asks = " keep,stop-waiting,force,show"
	for name, tc := range map[string]struct {
		steps []func(List) List
		want  string
		busy  bool
	}{
		"running":            {[]func(List) List{begin("1", long)}, "", true},
		"done":               {[]func(List) List{begin("1", long), done("1", nil)}, "Start virtual machine vm-1: done", false},
		"done quickly":       {[]func(List) List{begin("1", time.Now()), done("1", nil)}, "withdrawn", false},
		"failed":             {[]func(List) List{begin("1", long), done("1", &Problem{Message: "no"})}, "Start virtual machine vm-1: failed show", false},
		"overdue":            {[]func(List) List{begin("1", long), late("1", time.Minute)}, "Start virtual machine vm-1" + asks, true},
		"overdue, then done": {[]func(List) List{begin("1", long), late("1", time.Minute), done("1", nil)}, "Start virtual machine vm-1" + asks + "; Start virtual machine vm-1: done", false},
		"overdue twice": {
			[]func(List) List{begin("1", long), late("1", time.Minute), answer("1", KeepWaiting), late("1", 2*time.Minute)},
			"Start virtual machine vm-1" + asks + "; withdrawn; Start virtual machine vm-1" + asks, true,
		},
		"stopped waiting": {[]func(List) List{begin("1", long), late("1", time.Minute), answer("1", StopWaiting)}, "Start virtual machine vm-1" + asks + "; withdrawn", false},
		"two are overdue": {
			[]func(List) List{begin("1", long), begin("2", long), late("1", time.Minute), late("2", time.Minute), answer("1", KeepWaiting)},
			"Start virtual machine vm-1" + asks + "; Start virtual machine vm-2" + asks + "; withdrawn", true,
		},
	} {
		notes := &shownNotes{}
		n := &Notifier{Notes: notes}
		list, busy := List{}, false
		for _, step := range tc.steps {
			list = step(list)
			busy = n.Look(list, List{})
			n.Look(list) // shows nothing again
		}
		if got := strings.Join(notes.all, "; "); got != tc.want || busy != tc.busy {
			t.Errorf("%s: %q, busy %t", name, got, busy)
		}
	}
}

func TestTheQuestionInANotification(t *testing.T) {
	list := List{}.Began(Operation{ID: "1", Verb: Stop, Object: "demo", Force: "All is lost.", Extend: time.Minute}).Overdue("1", time.Minute)
	for action, want := range map[string]string{"keep": "1 keep", "stop-waiting": "1 stop-waiting", "force": "1 force", "show": "window", "": "1 keep"} {
		notes, did := &shownNotes{}, []string(nil)
		notifier := &Notifier{
			Notes: notes, Show: func(Operation) { did = append(did, "window") },
			Answer: func(id string, answer Answer) { did = append(did, fmt.Sprint(id, " ", answer)) },
		}
		notifier.Look(list)
		if n := notes.last; !n.Urgent || n.Default != "show" || !strings.HasSuffix(n.Body, "All is lost.") {
			t.Fatalf("%+v", n)
		}
		notes.last.Chosen(action)
		if !slices.Equal(did, []string{want}) {
			t.Errorf("%q: %q", action, did)
		}
		notifier.Withdraw()
		if got := notes.all[len(notes.all)-1]; got != "withdrawn" {
			t.Errorf("the question is still shown: %q", notes.all)
		}
	}
	notes, shown := &shownNotes{noButtons: true}, 0
	notifier := &Notifier{Notes: notes, Show: func(Operation) { shown++ }}
	notifier.Look(list)
	if shown != 1 || len(notes.all) != 0 {
		t.Errorf("without buttons: the window was opened %d times, %q", shown, notes.all)
	}
}

func TestProgressIsShownAfterAWhileAndOncePerSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		notes := &shownNotes{}
		n := &Notifier{Notes: notes, Progress: true}
		list := List{}.Began(Operation{ID: "1", Verb: Stop, Object: "demo", Started: time.Now()})
		for range 100 { // 10 s
			list = list.Progressed("1", Progress{Phase: "image", Step: 1, Steps: 4, Bytes: 25, Total: 50, Message: "downloading"})
			n.Look(list)
			time.Sleep(100 * time.Millisecond) // of the bubble's clock
		}
		if got := len(notes.all); got != 7 {
			t.Errorf("%d notes in 10 s", got)
		}
		if got := notes.last; got.Percent != 50 || got.Body != "Step 1 of 4: downloading" || got.Title != "Stop virtual machine demo" {
			t.Errorf("%+v", got)
		}
		list = list.Overdue("1", time.Minute)
		n.Look(list)
		n.Look(list.Progressed("1", Progress{Phase: "stop"}))
		if got := notes.last; !got.Urgent {
			t.Errorf("progress has replaced the question: %+v", got)
		}
		n.Look(list.Settled("1", nil, nil))
		if got := notes.last; got.Title != "Stop virtual machine demo: done" || got.Percent != 0 {
			t.Errorf("%+v", got)
		}
	})
}

func TestAFailureSaysWhatToDo(t *testing.T) {
	notes, did := &shownNotes{}, ""
	n := &Notifier{Notes: notes, Show: func(o Operation) { did = string(o.Verb) + "/" + o.Object }}
	list := List{}.Began(Operation{ID: "1", Verb: Stop, Object: "demo"})
	n.Look(list)
	full := &core.Error{Kind: core.Other, Op: "stop VM", Object: "demo", Err: errors.New("write: no space left on device")}
	n.Look(list.Settled("1", ProblemOf(full), nil))
	if got := notes.last; got.Title != "Stop virtual machine demo: failed" || !strings.Contains(got.Body, "no space left on device\n") || !strings.Contains(got.Body, "what to do: ") {
		t.Errorf("%+v", got)
	}
	notes.last.Chosen("show")
	if did != "stop/demo" {
		t.Errorf("%q", did)
	}
}
