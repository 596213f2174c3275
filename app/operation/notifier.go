package operation

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"rancherdesktop.io/rdd/app/notify"
)

// Notifier shows operations in notifications: the progress of what takes long, the question, and the end.
type Notifier struct {
	Notes  notify.Notifier
	Answer func(id string, a Answer)
	Show   func(Operation) // opens the window on the operation
	// Progress says that progress is shown, too.
	Progress bool

	mu     sync.Mutex
	waited map[string]Operation // those that were seen under way, by ID
	asked  map[string]float64   // the questions shown: seconds after which they came up
	told   map[string]time.Time // when progress was shown last
}

const (
	progressAfter    = 3 * time.Second // from when on progress is shown
	progressInterval = time.Second     // between two progress notes, which replace one another
	longOperation    = 10 * time.Second
)

// showAction opens the window. It is a choice beside the answers.
const showAction = "show"

func noteKey(id string) string { return "operation " + id }

// Look shows what is new since the last call, and says whether an operation is waited for.
func (n *Notifier) Look(lists ...List) (busy bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.asked == nil {
		n.waited, n.asked, n.told = map[string]Operation{}, map[string]float64{}, map[string]time.Time{}
	}
	open := map[string]bool{}
	for _, list := range lists {
		for _, o := range list.Operations() {
			switch _, seen := n.waited[o.ID]; {
			case o.Waited():
				busy = true
				n.waited[o.ID] = o
				n.progress(o)
			case seen:
				delete(n.waited, o.ID)
				delete(n.told, o.ID)
				n.ended(o)
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
	n.closeQuestions(open)
	return busy
}

// closeQuestions takes away the questions that are not open any more.
func (n *Notifier) closeQuestions(open map[string]bool) {
	for id := range n.asked {
		if open[id] {
			continue
		}
		delete(n.asked, id)
		if _, goesOn := n.waited[id]; goesOn { // else the note of its end has replaced it
			n.Notes.Withdraw(noteKey(id))
		}
	}
}

// Withdraw takes the questions away, because something else asks them now.
func (n *Notifier) Withdraw() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for id := range n.asked {
		n.Notes.Withdraw(noteKey(id))
	}
}

// progress shows a step, now and then. It never takes the place of a question.
func (n *Notifier) progress(o Operation) {
	now := time.Now()
	if !n.Progress || o.State != Running || o.Progress.Phase == "" || now.Sub(o.Started) < progressAfter || now.Sub(n.told[o.ID]) < progressInterval {
		return
	}
	n.told[o.ID] = now
	p := o.Progress
	note := notify.Note{Key: noteKey(o.ID), Title: o.Title, Body: p.String(), Default: showAction, Chosen: n.chosen(o)}
	switch {
	case p.Total > 0:
		note.Percent = int(max(1, min(100, 100*p.Bytes/p.Total)))
	case p.Steps > 0:
		note.Percent = max(1, min(100, 100*p.Step/p.Steps))
	}
	n.Notes.Show(note)
}

// String is the step in words.
func (p Progress) String() string {
	text := p.Message
	if text == "" {
		text = p.Phase
	}
	if p.Steps > 0 {
		text = fmt.Sprintf("Step %d of %d: %s", p.Step, p.Steps, text)
	}
	return text
}

// chosen opens the window when that is chosen.
func (n *Notifier) chosen(o Operation) func(string) {
	return func(action string) {
		if action == showAction {
			n.Show(o)
		}
	}
}

// ask asks whether to go on waiting. Where nobody shows buttons, the window asks.
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
			case "": // closed
				n.Answer(o.ID, KeepWaiting)
			default:
				n.Answer(o.ID, Answer(action))
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

// ended shows a failure, or that something long is done.
func (n *Notifier) ended(o Operation) {
	switch {
	case o.Problem != nil:
		n.Notes.Show(Failure(noteKey(o.ID), o.Title+": failed", *o.Problem, func() { n.Show(o) }))
	case o.State == Done && time.Since(o.Started) >= longOperation:
		n.Notes.Show(notify.Note{Key: noteKey(o.ID), Title: o.Title + ": done"})
	default:
		n.Notes.Withdraw(noteKey(o.ID))
	}
}

// Failure is a note that says what went wrong, what it means and what to do. show opens what has the rest.
func Failure(key, title string, p Problem, show func()) notify.Note {
	var lines []string
	for _, line := range []string{p.Message, p.Advice, p.Log} {
		if line != "" {
			lines = append(lines, line)
		}
	}
	return notify.Note{
		Key: key, Title: title, Body: strings.Join(lines, "\n"), Default: showAction, Actions: []notify.Action{{Key: showAction, Label: "Show"}},
		Chosen: func(action string) {
			if action == showAction {
				show()
			}
		},
	}
}
