package tray

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"rancherdesktop.io/rdd/app/notify"
	"rancherdesktop.io/rdd/core"
)

// story is one operation as its notification tells it: nothing while it is short, then its progress,
// a question when it is late, and its end.
type story struct {
	operator *Operator
	id       ID
	op       operation
	began    time.Time
	told     time.Time   // of the last progress shown
	asking   atomic.Bool // the note is a question, which progress must not replace
}

const (
	tellAfter = 3 * time.Second // until progress is shown
	tellEvery = time.Second     // between two progress notes, which replace one another
	longWork  = 10 * time.Second
)

// key is the same for all operations on an object, so that the newest replaces the others.
func (s *story) key() string { return "operation " + s.id.VM }

// arguments open the window on the operation.
func (s *story) arguments() []string {
	object := s.id.VM
	if object == "" {
		object = s.operator.Core.Instance().Name
	}
	return []string{"--operation", string(s.op.verb) + "/" + object}
}

// progress shows a step, now and then.
func (s *story) progress(e core.Event) {
	now := time.Now()
	if e.Phase == core.PhaseLog || s.asking.Load() || now.Sub(s.began) < tellAfter || now.Sub(s.told) < tellEvery {
		return
	}
	s.told = now
	n := notify.Note{Key: s.key(), Title: s.op.title, Body: eventWords(e), Default: "show", Chosen: s.chosen(nil)}
	switch {
	case e.Total > 0:
		n.Percent = int(max(1, min(100, 100*e.Bytes/e.Total)))
	case e.Steps > 0:
		n.Percent = max(1, min(100, 100*e.Step/e.Steps))
	}
	s.operator.Notes.Show(n)
}

func eventWords(e core.Event) string {
	words := e.Message
	if words == "" {
		words = e.Phase
	}
	if e.Steps > 0 {
		words = fmt.Sprintf("Step %d of %d: %s", e.Step, e.Steps, words)
	}
	return words
}

// The answers to the question what to do about an operation that is late.
const (
	keepWaiting = "keep"
	forceStop   = "force"
	showIt      = "show"
)

// overdue asks whether to go on waiting. The wait goes on meanwhile, and to close the question is to keep waiting.
func (s *story) overdue(ctx context.Context, waited time.Duration) time.Duration {
	s.asking.Store(true)
	defer s.asking.Store(false)
	answer := make(chan string, 1)
	s.operator.Notes.Show(s.question(waited, s.chosen(answer)))
	select {
	case <-ctx.Done():
		return 0 // the question no longer matters; settled takes it away
	case chosen := <-answer:
		if chosen == forceStop {
			go s.force(context.WithoutCancel(ctx)) // the question may end first
		}
	}
	return s.op.timeout
}

func (s *story) question(waited time.Duration, chosen func(string)) notify.Note {
	n := notify.Note{
		Key: s.key(), Title: s.op.late, Urgent: true, Default: showIt, Chosen: chosen,
		Body:    fmt.Sprintf("It has taken %s so far, and goes on.", waited.Round(time.Second)),
		Actions: []notify.Action{{Key: keepWaiting, Label: "Keep waiting"}},
	}
	if s.op.loses != "" {
		n.Body += " " + s.op.loses
		n.Actions = append(n.Actions, notify.Action{Key: forceStop, Label: "Force stop"})
	}
	n.Actions = append(n.Actions, notify.Action{Key: showIt, Label: "Show"})
	return n
}

// chosen carries out the choice to show, and passes every choice on.
func (s *story) chosen(answer chan<- string) func(string) {
	return func(action string) {
		if action == showIt {
			s.operator.open(s.arguments()...)
		}
		if answer != nil {
			answer <- action
		}
	}
}

// force ends the VM at once, as an operation of its own, or all of them in the stop that is late.
func (s *story) force(ctx context.Context) {
	if s.id.VM != "" {
		s.operator.operate(ctx, ID{ForceVM, s.id.VM})
	} else {
		s.operator.forceService()
	}
}

// settled tells the end: a failure, or that something long is done.
func (s *story) settled(err error) {
	switch {
	case err != nil:
		s.operator.Notes.Withdraw(s.key())
		s.operator.failed(s.op.title+" failed", err, s.arguments())
	case time.Since(s.began) >= longWork:
		s.operator.Notes.Show(notify.Note{Key: s.key(), Title: s.op.done})
	default:
		s.operator.Notes.Withdraw(s.key())
	}
}
