package dialog

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Board is all operations of an instance, and their open questions. It is a value: a transition returns the
// next one and leaves the old one as it was. What is said of an unknown operation, or of one that nobody
// waits for any more, changes nothing.
type Board struct {
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
	ForceStop   Answer = "force"
)

// Began adds an operation, which runs.
func (b Board) Began(o Operation) Board {
	o.Title, o.State, o.Problem = Title(o.Verb, o.Object), Running, nil
	b.operations = append(slices.Clone(b.operations), o)
	return b
}

// Progressed notes the step under way.
func (b Board) Progressed(id string, p Progress) Board {
	return b.change(id, func(o *Operation) { o.Progress = p })
}

// Overdue opens the operation's question.
func (b Board) Overdue(id string, waited time.Duration) Board {
	o, ok := b.Find(id)
	if !ok || !o.Waited() {
		return b
	}
	b = b.closed(id).change(id, func(o *Operation) { o.State = Overdue })
	b.questions = append(b.questions, question{id, waited})
	return b
}

// Answered closes the operation's question. Force is refused where nothing can be forced.
func (b Board) Answered(id string, a Answer) (Board, error) {
	o, ok := b.Find(id)
	switch {
	case !ok || o.State != Overdue:
		return b, fmt.Errorf("operation %q has no open question: it has continued in the meantime", id)
	case a == ForceStop && o.Force == "":
		return b, fmt.Errorf("it cannot be forced: %s", o.Title)
	case a == StopWaiting:
		return b.Abandoned(id), nil
	case a == KeepWaiting || a == ForceStop:
		return b.closed(id).change(id, func(o *Operation) { o.State = Running }), nil
	}
	return b, fmt.Errorf("unknown answer %q: want %s, %s or %s", a, KeepWaiting, StopWaiting, ForceStop)
}

// Abandoned ends the waiting; the work goes on.
func (b Board) Abandoned(id string) Board {
	return b.closed(id).change(id, func(o *Operation) { o.State = Abandoned }).pruned()
}

// Settled ends the operation: with a problem it has failed, without it is done.
func (b Board) Settled(id string, p *Problem) Board {
	return b.closed(id).change(id, func(o *Operation) {
		o.State, o.Problem = Done, p
		if p != nil {
			o.State = Failed
		}
	}).pruned()
}

// Background moves the operation's dialog out of the way, or back. A question comes up in any case.
func (b Board) Background(id string, background bool) Board {
	b.operations = slices.Clone(b.operations)
	for i := range b.operations {
		if b.operations[i].ID == id {
			b.operations[i].Background = background
		}
	}
	return b
}

// Dismissed forgets an operation that nobody waits for.
func (b Board) Dismissed(id string) Board {
	b.operations = slices.DeleteFunc(slices.Clone(b.operations), func(o Operation) bool { return o.ID == id && !o.Waited() })
	return b
}

// Find returns an operation.
func (b Board) Find(id string) (Operation, bool) {
	i := slices.IndexFunc(b.operations, func(o Operation) bool { return o.ID == id })
	if i < 0 {
		return Operation{}, false
	}
	return b.operations[i], true
}

// Operations returns all operations, the oldest first.
func (b Board) Operations() []Operation { return append([]Operation{}, b.operations...) }

// Question returns the question to show now, nil when there is none.
func (b Board) Question() *Question {
	if len(b.questions) == 0 {
		return nil
	}
	q := b.questions[0]
	o, _ := b.Find(q.operation)
	return &Question{
		Operation: o.ID, Title: o.Title, Text: o.question(q.waited),
		Waited: q.waited.Seconds(), Extend: o.Extend.Seconds(), Force: o.Force, Waiting: len(b.questions) - 1,
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
func (b Board) change(id string, do func(*Operation)) Board {
	b.operations = slices.Clone(b.operations)
	for i := range b.operations {
		if b.operations[i].ID == id && b.operations[i].Waited() {
			do(&b.operations[i])
		}
	}
	return b
}

// closed returns a board without the operation's question.
func (b Board) closed(id string) Board {
	b.questions = slices.DeleteFunc(slices.Clone(b.questions), func(q question) bool { return q.operation == id })
	return b
}

// pruned forgets the oldest of too many operations that have ended.
func (b Board) pruned() Board {
	ended := 0
	for _, o := range b.operations {
		if !o.Waited() {
			ended++
		}
	}
	b.operations = slices.DeleteFunc(slices.Clone(b.operations), func(o Operation) bool {
		forget := ended > keptOperations && !o.Waited()
		if forget {
			ended--
		}
		return forget
	})
	return b
}
