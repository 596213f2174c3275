package operation

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// List is the operations of an instance and their open questions. It is a value: a method that changes it returns a new
// list and leaves the old one unchanged. A change of an operation that is unknown or no longer waited for does nothing.
type List struct {
	operations []Operation
	questions  []question // in the order in which they came up
}

// question is an open question about an operation.
type question struct {
	operation string
	waited    time.Duration
}

// keptOperations is the number of ended operations that a list keeps.
const keptOperations = 20

// Question is the question of a timeout dialog.
type Question struct {
	Operation string  `json:"operation"`
	Title     string  `json:"title"`
	Text      string  `json:"text"`
	Waited    float64 `json:"waited"`          // seconds
	Extend    float64 `json:"extend"`          // seconds that Keep waiting adds
	Force     string  `json:"force,omitempty"` // what a forced stop may lose; empty: Force is no answer
	Waiting   int     `json:"waiting"`         // number of questions behind this one
}

// Answer is an answer to a Question. To show the log is not an answer: the question stays open.
type Answer string

// The answers.
const (
	KeepWaiting Answer = "keep"
	StopWaiting Answer = "stop-waiting"
	Force       Answer = "force"
)

// Began adds an operation, which is running.
func (l List) Began(o Operation) List {
	o.Title, o.State, o.Problem = Title(o.Verb, o.Object), Running, nil
	l.operations = append(slices.Clone(l.operations), o)
	return l
}

// Progressed sets the current step.
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

// Answered closes the operation's question. It refuses Force for an operation that can't be forced.
func (l List) Answered(id string, a Answer) (List, error) {
	o, ok := l.Find(id)
	switch {
	case !ok || o.State != Overdue:
		return l, fmt.Errorf("operation %q is not waiting for an answer", id)
	case a == Force && o.Force == "":
		return l, fmt.Errorf("this operation can't be forced: %s", o.Title)
	case a == StopWaiting:
		return l.Abandoned(id), nil
	case a == KeepWaiting || a == Force:
		return l.closed(id).change(id, func(o *Operation) { o.State = Running }), nil
	}
	return l, fmt.Errorf("unknown answer %q; must be %s, %s or %s", a, KeepWaiting, StopWaiting, Force)
}

// Abandoned ends the wait for the operation, which continues.
func (l List) Abandoned(id string) List {
	return l.closed(id).change(id, func(o *Operation) { o.State = Abandoned }).pruned()
}

// Settled ends the operation. It has failed if there is a problem, otherwise it is done.
func (l List) Settled(id string, p *Problem, r *Result) List {
	return l.closed(id).change(id, func(o *Operation) {
		o.State, o.Problem, o.Result = Done, p, r
		if p != nil {
			o.State, o.Result = Failed, nil
		}
	}).pruned()
}

// Canceled ends the operation, because the user has canceled it.
func (l List) Canceled(id string) List {
	return l.closed(id).change(id, func(o *Operation) { o.State = Canceled }).pruned()
}

// Background hides or shows the operation's dialog. A question is shown in any case.
func (l List) Background(id string, background bool) List {
	return l.with(id, func(o *Operation) { o.Background = background })
}

// Dismissed removes an operation that has ended.
func (l List) Dismissed(id string) List {
	return l.without(func(o Operation) bool { return o.ID == id && !o.Waited() })
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

// Waited reports whether one of the operations is waited for.
func (l List) Waited() bool { return slices.ContainsFunc(l.operations, Operation.Waited) }

// Question returns the question to show now, or nil.
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

// question is the text of the question when the operation is not done after some time.
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

// with returns a list in which do has changed the operation.
func (l List) with(id string, do func(*Operation)) List {
	l.operations = slices.Clone(l.operations)
	for i := range l.operations {
		if l.operations[i].ID == id {
			do(&l.operations[i])
		}
	}
	return l
}

// change is with for an operation that is waited for.
func (l List) change(id string, do func(*Operation)) List {
	return l.with(id, func(o *Operation) {
		if o.Waited() {
			do(o)
		}
	})
}

// without returns a list without some of the operations.
func (l List) without(remove func(Operation) bool) List {
	l.operations = slices.DeleteFunc(slices.Clone(l.operations), remove)
	return l
}

// closed returns a list without the operation's question.
func (l List) closed(id string) List {
	l.questions = slices.DeleteFunc(slices.Clone(l.questions), func(q question) bool { return q.operation == id })
	return l
}

// pruned returns a list without the oldest of too many operations that have ended.
func (l List) pruned() List {
	excess := -keptOperations
	for _, o := range l.operations {
		if !o.Waited() {
			excess++
		}
	}
	return l.without(func(o Operation) bool {
		remove := excess > 0 && !o.Waited()
		if remove {
			excess--
		}
		return remove
	})
}
