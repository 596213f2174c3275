package operation

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"rancherdesktop.io/rdd/app/notify"
)

// Notifier shows operations in notifications: the progress of long ones, the questions, and the ends.
type Notifier struct {
	Notes  notify.Notifier
	Answer func(id string, a Answer)
	Show   func(Operation) // opens the window, which shows the operation

	Progress bool // show progress, too

	mu       sync.Mutex
	waited   map[string]Operation // the operations that were waited for at the last Look, by ID
	asked    map[string]float64   // Question.Waited of the questions that are shown
	progress map[string]time.Time // when progress was shown last
}

const (
	progressAfter    = 3 * time.Second  // shorter operations show no progress
	progressInterval = time.Second      // at least, between two updates of the progress
	longOperation    = 10 * time.Second // the end of shorter operations is not shown
)

// showAction is the action that opens the window. The other actions are answers.
const showAction = "show"

func noteKey(id string) string { return "operation " + id }

// Look shows what has changed since the last call. It returns whether an operation is waited for.
func (n *Notifier) Look(lists ...List) (busy bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.asked == nil {
		n.waited, n.asked, n.progress = map[string]Operation{}, map[string]float64{}, map[string]time.Time{}
	}
	open := map[string]bool{}
	for _, list := range lists {
		for _, o := range list.Operations() {
			switch _, seen := n.waited[o.ID]; {
			case o.Waited():
				busy = true
				n.waited[o.ID] = o
				n.showProgress(o)
			case seen:
				delete(n.waited, o.ID)
				delete(n.progress, o.ID)
				n.showEnd(o)
			}
		}
		if q := list.Question(); q != nil {
			open[q.Operation] = true
			if was, is := n.asked[q.Operation]; !is || was != q.Waited {
				n.asked[q.Operation] = q.Waited
				n.ask(*q)
			}
		}
	}
	for id := range n.asked {
		if open[id] {
			continue
		}
		delete(n.asked, id)
		if _, running := n.waited[id]; running { // else the note of its end has replaced the question
			n.Notes.Withdraw(noteKey(id))
		}
	}
	return busy
}

// Withdraw removes the questions. The caller shows them elsewhere.
func (n *Notifier) Withdraw() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for id := range n.asked {
		n.Notes.Withdraw(noteKey(id))
	}
}

// showProgress shows the current step, unless a question is shown or another step was shown a moment ago.
func (n *Notifier) showProgress(o Operation) {
	now := time.Now()
	if !n.Progress || o.State != Running || o.Progress.Phase == "" || now.Sub(o.Started) < progressAfter || now.Sub(n.progress[o.ID]) < progressInterval {
		return
	}
	n.progress[o.ID] = now
	p := o.Progress
	note := notify.Note{Key: noteKey(o.ID), Title: o.Title, Body: p.String(), Default: showAction, Chosen: onShow(func() { n.Show(o) })}
	switch {
	case p.Total > 0:
		note.Percent = int(max(1, min(100, 100*p.Bytes/p.Total)))
	case p.Steps > 0:
		note.Percent = max(1, min(100, 100*p.Step/p.Steps))
	}
	n.Notes.Show(note)
}

// String describes the step.
func (p Progress) String() string {
	text := cmp.Or(p.Message, p.Phase)
	if p.Steps > 0 {
		text = fmt.Sprintf("Step %d of %d: %s", p.Step, p.Steps, text)
	}
	return text
}

// onShow calls show for the action that opens the window.
func onShow(show func()) func(action string) {
	return func(action string) {
		if action == showAction {
			show()
		}
	}
}

// ask asks whether to wait longer. If the desktop's notifications have no buttons, it opens the window, which asks.
func (n *Notifier) ask(q Question) {
	o := n.waited[q.Operation]
	if !n.Notes.Asks() {
		n.Show(o)
		return
	}
	note := notify.Note{
		Key: noteKey(o.ID), Title: q.Title, Body: q.Text, Urgent: true, Default: showAction,
		Actions: []notify.Action{{Key: string(KeepWaiting), Label: "Keep waiting"}, {Key: string(StopWaiting), Label: "Stop waiting"}},
		Chosen: func(action string) {
			switch action {
			case showAction:
				n.Show(o)
			default: // empty: closed without an answer
				n.Answer(o.ID, cmp.Or(Answer(action), KeepWaiting))
			}
		},
	}
	if q.Force != "" {
		note.Body += " Force stop: " + q.Force
		note.Actions = append(note.Actions, notify.Action{Key: string(Force), Label: "Force stop"})
	}
	note.Actions = append(note.Actions, notify.Action{Key: showAction, Label: "Show"})
	n.Notes.Show(note)
}

// showEnd shows that an operation has failed, or that a long one is done.
func (n *Notifier) showEnd(o Operation) {
	switch {
	case o.Problem != nil:
		n.Notes.Show(Failure(noteKey(o.ID), o.Title+": failed", *o.Problem, func() { n.Show(o) }))
	case o.State == Done && time.Since(o.Started) >= longOperation:
		n.Notes.Show(notify.Note{Key: noteKey(o.ID), Title: o.Title + ": done"})
	default:
		n.Notes.Withdraw(noteKey(o.ID))
	}
}

// Failure returns a note of what went wrong, what it means and what to do. show opens the window.
func Failure(key, title string, p Problem, show func()) notify.Note {
	lines := slices.DeleteFunc([]string{p.Message, p.Advice, p.Log}, func(line string) bool { return line == "" })
	return notify.Note{
		Key: key, Title: title, Body: strings.Join(lines, "\n"),
		Default: showAction, Actions: []notify.Action{{Key: showAction, Label: "Show"}}, Chosen: onShow(show),
	}
}
