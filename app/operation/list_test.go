package operation

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

// step changes a list.
type step func(List) List

func began(id string) step {
	return func(l List) List {
		return l.Began(Operation{ID: id, Verb: Stop, Object: "vm-" + id, Force: "what is unwritten", Extend: time.Minute})
	}
}

func beganUnforced(id string) step {
	return func(l List) List {
		return l.Began(Operation{ID: id, Verb: StopService, Object: "default", Extend: time.Minute})
	}
}

func overdue(id string) step { return func(l List) List { return l.Overdue(id, time.Minute) } }
func progressed(id, phase string) step {
	return func(l List) List { return l.Progressed(id, Progress{Phase: phase}) }
}
func abandoned(id string) step { return func(l List) List { return l.Abandoned(id) } }
func done(id string) step      { return func(l List) List { return l.Settled(id, nil, nil) } }
func failed(id string) step {
	return func(l List) List { return l.Settled(id, &Problem{Kind: "other", Message: "no"}, nil) }
}
func background(id string) step { return func(l List) List { return l.Background(id, true) } }
func dismissed(id string) step  { return func(l List) List { return l.Dismissed(id) } }
func answered(id string, a Answer) step {
	return func(l List) List {
		l, err := l.Answered(id, a)
		if err != nil {
			panic(err)
		}
		return l
	}
}

// refused is an answer that is an error and changes nothing.
func refused(id string, a Answer) step {
	return func(l List) List {
		after, err := l.Answered(id, a)
		if err == nil || !reflect.DeepEqual(after, l) {
			panic(fmt.Sprint("answer ", a, " was accepted: ", err))
		}
		return after
	}
}

func TestList(t *testing.T) {
	for _, tc := range []struct {
		name  string
		steps []step
		want  string // id:state[!][~] of each operation: ! with a problem, ~ in the background
		asks  string // the question's operation, and how many wait behind it
	}{
		{"nothing", nil, "", ""},
		{"it runs", []step{began("a")}, "a:running", ""},
		{"it is done", []step{began("a"), done("a")}, "a:done", ""},
		{"it fails", []step{began("a"), failed("a")}, "a:failed!", ""},
		{"it is overdue", []step{began("a"), overdue("a")}, "a:overdue", "a 0"},
		{"it is overdue again", []step{began("a"), overdue("a"), overdue("a")}, "a:overdue", "a 0"},
		{"it progresses while the question is open", []step{began("a"), overdue("a"), progressed("a", "boot")}, "a:overdue", "a 0"},
		{"kept waiting", []step{began("a"), overdue("a"), answered("a", KeepWaiting)}, "a:running", ""},
		{"kept waiting, then overdue again", []step{began("a"), overdue("a"), answered("a", KeepWaiting), overdue("a")}, "a:overdue", "a 0"},
		{"stopped waiting", []step{began("a"), overdue("a"), answered("a", StopWaiting)}, "a:abandoned", ""},
		{"stopped waiting, then it ends", []step{began("a"), overdue("a"), answered("a", StopWaiting), failed("a")}, "a:abandoned", ""},
		{"forced", []step{began("a"), overdue("a"), answered("a", Force)}, "a:running", ""},
		{"it can't be forced", []step{beganUnforced("a"), overdue("a"), refused("a", Force)}, "a:overdue", "a 0"},
		{"an unknown answer", []step{began("a"), overdue("a"), refused("a", "maybe")}, "a:overdue", "a 0"},
		{"an answer without a question", []step{began("a"), refused("a", KeepWaiting)}, "a:running", ""},
		{"an answer after the end", []step{began("a"), overdue("a"), done("a"), refused("a", Force)}, "a:done", ""},
		{"an answer for an unknown operation", []step{refused("x", KeepWaiting)}, "", ""},
		{"it ends while the question is open", []step{began("a"), overdue("a"), done("a")}, "a:done", ""},
		{"two questions", []step{began("a"), began("b"), overdue("b"), overdue("a")}, "a:overdue b:overdue", "b 1"},
		{"the first is answered", []step{began("a"), began("b"), overdue("b"), overdue("a"), answered("b", KeepWaiting)}, "a:overdue b:running", "a 0"},
		{"the second one ends", []step{began("a"), began("b"), overdue("b"), overdue("a"), done("a")}, "a:done b:overdue", "b 0"},
		{"a question about an operation in the background", []step{began("a"), background("a"), overdue("a")}, "a:overdue~", "a 0"},
		{"the background stays after the end", []step{began("a"), background("a"), done("a")}, "a:done~", ""},
		{"an ended operation goes to the background", []step{began("a"), failed("a"), background("a")}, "a:failed!~", ""},
		{"abandoned", []step{began("a"), abandoned("a")}, "a:abandoned", ""},
		{"an abandoned operation can't become overdue", []step{began("a"), abandoned("a"), overdue("a"), progressed("a", "boot")}, "a:abandoned", ""},
		{"dismissed", []step{began("a"), began("b"), done("a"), dismissed("a")}, "b:running", ""},
		{"a running operation can't be dismissed", []step{began("a"), dismissed("a")}, "a:running", ""},
		{"an unknown operation", []step{began("a"), overdue("x"), done("x"), progressed("x", "y"), dismissed("x")}, "a:running", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var l List
			for _, s := range tc.steps {
				l = s(l)
			}
			var ops []string
			for _, o := range l.Operations() {
				s := o.ID + ":" + string(o.State)
				if o.Problem != nil {
					s += "!"
				}
				if o.Background {
					s += "~"
				}
				ops = append(ops, s)
			}
			if got := strings.Join(ops, " "); got != tc.want {
				t.Errorf("operations %q, want %q", got, tc.want)
			}
			asks := ""
			if q := l.Question(); q != nil {
				asks = fmt.Sprint(q.Operation, " ", q.Waiting)
			}
			if asks != tc.asks {
				t.Errorf("question %q, want %q", asks, tc.asks)
			}
		})
	}
}

func TestTransitionsDoNotChangeTheOldList(t *testing.T) {
	before := overdue("a")(began("b")(began("a")(List{})))
	was := fmt.Sprintf("%+v", before)
	for _, s := range []step{began("c"), progressed("a", "boot"), overdue("b"), answered("a", StopWaiting), done("a"), failed("b"), background("a"), dismissed("b")} {
		s(before)
		if now := fmt.Sprintf("%+v", before); now != was {
			t.Fatalf("the old list has changed:\n%s\n%s", was, now)
		}
	}
}

func TestQuestion(t *testing.T) {
	list := List{}.Began(Operation{ID: "1", Verb: Start, Object: "demo", Force: "what it has not written", Extend: 5 * time.Minute})
	list = list.Progressed("1", Progress{Phase: "boot", Message: "waiting for SSH."}).Overdue("1", 5*time.Minute)
	q := list.Question()
	want := Question{
		Operation: "1", Title: "Start virtual machine demo",
		Text:   "Start virtual machine demo: not done after 5m0s. Last step: boot: waiting for SSH. If you stop waiting, the operation continues in the background.",
		Waited: 300, Extend: 300, Force: "what it has not written",
	}
	if q == nil || *q != want {
		t.Errorf("%+v\nwant %+v", q, want)
	}
}

func TestOnlyTheNewestEndedOperationsAreKept(t *testing.T) {
	list := began("runs")(List{})
	for i := range 3 * keptOperations {
		id := fmt.Sprint(i)
		list = done(id)(began(id)(list))
	}
	all := list.Operations()
	if len(all) != keptOperations+1 || all[0].ID != "runs" || all[len(all)-1].ID != fmt.Sprint(3*keptOperations-1) {
		t.Errorf("%d operations, from %s to %s", len(all), all[0].ID, all[len(all)-1].ID)
	}
}

func TestEveryVerbHasATitle(t *testing.T) {
	for verb, v := range verbs {
		objects := 1 // in the title; there is only one App
		if v.onApp {
			objects = 0
		}
		if v.title == "" || strings.Count(v.title, "%") != objects || strings.Count(v.title, "%s") != objects || v.onService && verb.OnVM() || v.onApp && verb.OnVM() {
			t.Errorf("%s: %q", verb, v.title)
		}
	}
	if got := Title(Start, "100%d"); got != "Start virtual machine 100%d" {
		t.Error(got)
	}
}
