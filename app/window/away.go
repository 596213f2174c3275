package window

import (
	"strings"
	"time"

	"rancherdesktop.io/rdd/app/dialog"
	"rancherdesktop.io/rdd/app/notify"
)

// away tells in notifications, while the window is closed, what was begun in it: the question when it is late,
// and its end.
type away struct {
	notes  notify.Notifier
	answer func(operation string, a dialog.Answer)
	show   func() // opens the window again, where the question is a dialog

	waited map[string]bool    // the operations that were seen under way
	asked  map[string]float64 // of the questions shown: seconds after which they came up
}

// longWork is how long something takes whose end is worth telling.
const longWork = 10 * time.Second

func keyOf(operation string) string { return "window " + operation }

// look tells what is new of the operations, and says whether there is one under way.
func (a *away) look(boards []dialog.Board) (busy bool) {
	if a.asked == nil {
		a.waited, a.asked = map[string]bool{}, map[string]float64{}
	}
	open := map[string]bool{}
	for _, board := range boards {
		for _, o := range board.Operations() {
			busy = busy || o.Waited()
			if o.Waited() {
				a.waited[o.ID] = true
			} else if a.waited[o.ID] {
				delete(a.waited, o.ID)
				a.ended(o)
			}
		}
		if q := board.Question(); q != nil {
			open[q.Operation] = true
			if was, is := a.asked[q.Operation]; !is || was != q.Waited {
				a.asked[q.Operation] = q.Waited
				a.ask(*q)
			}
		}
	}
	for operation := range a.asked {
		if !open[operation] {
			delete(a.asked, operation)
			if a.waited[operation] { // else its end has taken the question's place
				a.notes.Withdraw(keyOf(operation))
			}
		}
	}
	return busy
}

// back takes the questions away: the window is there to ask them.
func (a *away) back() {
	for operation := range a.asked {
		a.notes.Withdraw(keyOf(operation))
	}
}

// The choice to open the window, beside the answers.
const showIt = "show"

func (a *away) ask(q dialog.Question) {
	if !a.notes.Asks() {
		a.show()
		return
	}
	n := notify.Note{
		Key: keyOf(q.Operation), Title: q.Title, Body: q.Text, Urgent: true, Default: showIt,
		Actions: []notify.Action{{Key: string(dialog.KeepWaiting), Label: "Keep waiting"}, {Key: string(dialog.StopWaiting), Label: "Stop waiting"}},
		Chosen: func(action string) {
			switch action {
			case showIt:
				a.show()
			case "":
				a.answer(q.Operation, dialog.KeepWaiting)
			default:
				a.answer(q.Operation, dialog.Answer(action))
			}
		},
	}
	if q.Force != "" {
		n.Body += " Force stop: " + q.Force
		n.Actions = append(n.Actions, notify.Action{Key: string(dialog.ForceStop), Label: "Force stop"})
	}
	n.Actions = append(n.Actions, notify.Action{Key: showIt, Label: "Show"})
	a.notes.Show(n)
}

// ended tells a failure, or that something long is done.
func (a *away) ended(o dialog.Operation) {
	n := notify.Note{Key: keyOf(o.ID), Title: o.Title + ": done"}
	switch {
	case o.Problem != nil:
		n.Title = o.Title + ": failed"
		var lines []string
		for _, line := range []string{o.Problem.Message, o.Problem.Advice, o.Problem.Log} {
			if line != "" {
				lines = append(lines, line)
			}
		}
		n.Body = strings.Join(lines, "\n")
	case o.State != dialog.Done || time.Since(o.Started) < longWork:
		a.notes.Withdraw(n.Key)
		return
	}
	a.notes.Show(n)
}
