package operation

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// List is all operations of an instance, and their open questions. It is pure state, without a clock, and a value: a transition returns the
// next one and leaves the old one as it was. What is said of an unknown operation, or of one that nobody
// waits for any more, changes nothing.
type List struct {
	operations []Operation
	questions  []question // in the order in which they came up
}

// question is one that nobody has answered yet.
type question struct {
	operation string
	waited    time.Duration
}

// keptOperations is how many operations that have ended are remembered.
const keptOperations = 20

// Question is what a timeout dialog asks.
type Question struct {
	Operation string  `json:"operation"`
	Title     string  `json:"title"`
	Text      string  `json:"text"`
	Waited    float64 `json:"waited"`          // seconds
	Extend    float64 `json:"extend"`          // seconds that Keep waiting adds
	Force     string  `json:"force,omitempty"` // what a forced stop may lose; empty: there is no such answer
	Waiting   int     `json:"waiting"`         // questions behind this one
}

// Answer is one of a timeout dialog's. Showing the log is none: the question stays open.
type Answer string

// The answers.
const (
	KeepWaiting Answer = "keep"
	StopWaiting Answer = "stop-waiting"
	Force       Answer = "force"
)

// Began adds an operation, which runs.
func (l List) Began(o Operation) List {
	o.Title, o.State, o.Problem = Title(o.Verb, o.Object), Running, nil
	l.operations = append(slices.Clone(l.operations), o)
	return l
}

// Progressed notes the step under way.
func (l List) Progressed(id string, p Progress) List {
	return l.change(id, func(o *Operation) { o.Progress = p })
}

// Overdue opens the operation's question.
func (l List) Overdue(id string, waited time.Duration) List {
	o, ok := l.Find(id)
	if !ok || !o.Waited() {
		return l
	}
	l = l.closed(id).change(id, func(o *Operation) { o.State = Overdue })
	l.questions = append(l.questions, question{id, waited})
	return l
}

// Answered closes the operation's question. Force is refused where nothing can be forced.
func (l List) Answered(id string, a Answer) (List, error) {
	o, ok := l.Find(id)
	switch {
	case !ok || o.State != Overdue:
		return l, fmt.Errorf("operation %q has no open question: it has continued in the meantime", id)
	case a == Force && o.Force == "":
		return l, fmt.Errorf("it cannot be forced: %s", o.Title)
	case a == StopWaiting:
		return l.Abandoned(id), nil
	case a == KeepWaiting || a == Force:
		return l.closed(id).change(id, func(o *Operation) { o.State = Running }), nil
	}
	return l, fmt.Errorf("unknown answer %q: want %s, %s or %s", a, KeepWaiting, StopWaiting, Force)
}

// Abandoned ends the waiting; the work goes on.
func (l List) Abandoned(id string) List {
	return l.closed(id).change(id, func(o *Operation) { o.State = Abandoned }).pruned()
}

// Settled ends the operation: with a problem it has failed, without it is done.
func (l List) Settled(id string, p *Problem) List {
	return l.closed(id).change(id, func(o *Operation) {
		o.State, o.Problem = Done, p
		if p != nil {
			o.State = Failed
		}
	}).pruned()
}

// Background moves the operation's dialog out of the way, or back. A question comes up in any case.
func (l List) Background(id string, background bool) List {
	l.operations = slices.Clone(l.operations)
	for i := range l.operations {
		if l.operations[i].ID == id {
			l.operations[i].Background = background
		}
	}
	return l
}

// Dismissed forgets an operation that nobody waits for.
func (l List) Dismissed(id string) List {
	l.operations = slices.DeleteFunc(slices.Clone(l.operations), func(o Operation) bool { return o.ID == id && !o.Waited() })
	return l
}

// Find returns an operation.
func (l List) Find(id string) (Operation, bool) {
	i := slices.IndexFunc(l.operations, func(o Operation) bool { return o.ID == id })
	if i < 0 {
		return Operation{}, false
	}
	return l.operations[i], true
}

// Operations returns all operations, the oldest first.
func (l List) Operations() []Operation { return append([]Operation{}, l.operations...) }

// Waited says whether somebody waits for one of the operations.
func (l List) Waited() bool { return slices.ContainsFunc(l.operations, Operation.Waited) }

// Question returns the question to show now, nil when there is none.
func (l List) Question() *Question {
	if len(l.questions) == 0 {
		return nil
	}
	q := l.questions[0]
	o, _ := l.Find(q.operation)
	return &Question{
		Operation: o.ID, Title: o.Title, Text: o.question(q.waited),
		Waited: q.waited.Seconds(), Extend: o.Extend.Seconds(), Force: o.Force, Waiting: len(l.questions) - 1,
	}
}

// question is what is asked when the operation is not done after some time.
func (o Operation) question(waited time.Duration) string {
	var s strings.Builder
	fmt.Fprintf(&s, "%s: not done after %s.", o.Title, waited.Round(time.Second))
	switch p := o.Progress; {
	case p.Phase == "":
		s.WriteString(" No progress has been reported yet.")
	case p.Message == "":
		fmt.Fprintf(&s, " Last step: %s.", p.Phase)
	default:
		fmt.Fprintf(&s, " Last step: %s: %s.", p.Phase, strings.TrimRight(p.Message, "."))
	}
	if o.Verb == DeleteService || o.Verb == ResetService {
		s.WriteString(" If you stop waiting, all files stay in place and the service continues to stop.")
	} else {
		s.WriteString(" If you stop waiting, the operation continues in the background.")
	}
	return s.String()
}

// change returns a board with one waited-for operation changed.
func (l List) change(id string, do func(*Operation)) List {
	l.operations = slices.Clone(l.operations)
	for i := range l.operations {
		if l.operations[i].ID == id && l.operations[i].Waited() {
			do(&l.operations[i])
		}
	}
	return l
}

// closed returns a board without the operation's question.
func (l List) closed(id string) List {
	l.questions = slices.DeleteFunc(slices.Clone(l.questions), func(q question) bool { return q.operation == id })
	return l
}

// pruned forgets the oldest of too many operations that have ended.
func (l List) pruned() List {
	ended := 0
	for _, o := range l.operations {
		if !o.Waited() {
			ended++
		}
	}
	l.operations = slices.DeleteFunc(slices.Clone(l.operations), func(o Operation) bool {
		forget := ended > keptOperations && !o.Waited()
		if forget {
			ended--
		}
		return forget
	})
	return l
}
