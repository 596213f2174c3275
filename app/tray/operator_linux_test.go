package tray

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rancherdesktop.io/rdd/app/dialog"
	"rancherdesktop.io/rdd/app/notify"
	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/internal/instance"
)

// noted is a Notifier that keeps what is shown.
type noted struct {
	notes     []notify.Note
	withdrawn []string
}

func (n *noted) Show(note notify.Note) { n.notes = append(n.notes, note) }
func (n *noted) Withdraw(key string)   { n.withdrawn = append(n.withdrawn, key) }
func (n *noted) Asks() bool            { return true }
func (n *noted) Close()                {}

func (n *noted) last() notify.Note { return n.notes[len(n.notes)-1] }

// newStory is a stop of the VM demo, which has begun just now. What is done to it is in did.
func newStory(t *testing.T, notes *noted) (s *story, did *[]string) {
	did = &[]string{}
	o := &Operator{
		Core: core.New(instance.At(t.TempDir(), "default", ""), "test"), Notes: notes,
		Open: func(args ...string) error { *did = append(*did, "window "+strings.Join(args, " ")); return nil },
	}
	op := operation{verb: dialog.Stop, title: "Stop demo", done: "demo has stopped", late: "demo is still stopping", timeout: time.Minute, loses: unwritten}
	return &story{operator: o, id: ID{StopVM, "demo"}, op: op, began: time.Now()}, did
}

func TestTheQuestionAboutALateOperation(t *testing.T) {
	for _, tc := range []struct {
		answer string
		extend time.Duration
		window bool
	}{
		{keepWaiting, time.Minute, false},
		{forceStop, time.Minute, false},
		{showIt, time.Minute, true},
		{"", time.Minute, false}, // it was closed
	} {
		synctest.Test(t, func(t *testing.T) {
			notes := &noted{}
			s, did := newStory(t, notes)
			s.began = s.began.Add(-time.Hour)
			go func() {
				synctest.Wait()
				s.progress(core.Event{Phase: "stopping"}) // must not take the question's place
				notes.last().Chosen(tc.answer)
			}()
			extend := s.overdue(t.Context(), time.Minute)
			synctest.Wait()
			forced := notes.last().Title == "Force demo to stop failed" // no service runs here
			if forced != (tc.answer == forceStop) {
				t.Errorf("%q: %+v", tc.answer, notes.last())
			}
			if extend != tc.extend || len(*did) > 0 != tc.window {
				t.Errorf("%q: extended by %s, and %q", tc.answer, extend, *did)
			}
			question := notes.notes[0]
			if !question.Urgent || question.Default != showIt || len(question.Actions) != 3 || !strings.Contains(question.Body, "loses what its guest has not yet written") {
				t.Errorf("%+v", question)
			}
			if tc.window && (*did)[0] != "window --operation stop/demo" {
				t.Errorf("%q", *did)
			}
		})
	}
}

func TestTheQuestionEndsWithTheOperation(t *testing.T) {
	notes := &noted{}
	s, _ := newStory(t, notes)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if extend := s.overdue(ctx, time.Minute); extend != 0 {
		t.Errorf("extended by %s", extend)
	}
	s.settled(nil)
	if !slices.Equal(notes.withdrawn, []string{notes.last().Key}) {
		t.Errorf("withdrawn %q", notes.withdrawn)
	}
}

func TestProgressIsToldAfterAWhileAndNotTooOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		notes := &noted{}
		s, _ := newStory(t, notes)
		for range 100 { // 10 s
			s.progress(core.Event{Phase: "image", Step: 1, Steps: 4, Bytes: 25, Total: 50, Message: "downloading"})
			time.Sleep(100 * time.Millisecond) // of the bubble's clock
		}
		if n := len(notes.notes); n != 7 {
			t.Errorf("%d notes in 10 s", n)
		}
		if got := notes.last(); got.Percent != 50 || got.Body != "Step 1 of 4: downloading" || got.Title != "Stop demo" || got.Key != notes.notes[0].Key {
			t.Errorf("%+v", got)
		}
		s.settled(nil)
		if got := notes.last(); got.Title != "demo has stopped" || got.Percent != 0 {
			t.Errorf("%+v", got)
		}
	})
}

func TestAFailureSaysWhatToDo(t *testing.T) {
	notes := &noted{}
	s, did := newStory(t, notes)
	full := &core.Error{Kind: core.Other, Op: "stop VM", Object: "demo", Err: errors.New("write: no space left on device")}
	s.settled(full)
	note := notes.last()
	if note.Title != "Stop demo failed" || !strings.HasPrefix(note.Body, "write: no space left on device\n") || !strings.Contains(note.Body, "what to do: ") {
		t.Errorf("%+v", note)
	}
	note.Chosen("show")
	if !slices.Equal(*did, []string{"window --operation stop/demo"}) {
		t.Errorf("%q", *did)
	}
	s.settled(errSuperseded)
	if len(notes.notes) != 1 {
		t.Errorf("who asked for something else is told: %+v", notes.last())
	}
}

func TestTheSettingsSayWhenAnOperationIsLate(t *testing.T) {
	s, _ := newStory(t, &noted{})
	c := s.operator.Core
	timeouts := func() (all []time.Duration) {
		for _, verb := range []Verb{StartService, StopService, StartVM, StopVM} {
			op, ok := s.operator.operation(ID{verb, "demo"})
			if !ok {
				t.Fatalf("%s does nothing", verb)
			}
			all = append(all, op.timeout)
		}
		return all
	}
	if got := timeouts(); !slices.Equal(got, []time.Duration{90 * time.Second, 90 * time.Second, 5 * time.Minute, 5 * time.Minute}) {
		t.Errorf("by default: %v", got)
	}
	settings, err := c.Settings()
	if err == nil {
		err = c.Instance().Create()
	}
	settings.ServiceTimeout, settings.VMTimeout = 10, 0
	if err == nil {
		err = c.SetSettings(settings)
	}
	if err != nil {
		t.Fatal(err)
	}
	if got := timeouts(); !slices.Equal(got, []time.Duration{10 * time.Second, 10 * time.Second, 0, 0}) {
		t.Errorf("as chosen: %v", got)
	}
}

// The second click of a double click is for the same operation; another verb takes the place of the first.
func TestOneOperationAtATimeOnAnObject(t *testing.T) {
	o := &Operator{Notes: &noted{}}
	var ended error
	start, stop := ID{StartVM, "demo"}, ID{StopVM, "demo"}
	if !o.begin(start, func(cause error) { ended = cause }) || o.begin(start, nil) {
		t.Error("two starts of one VM")
	}
	if !o.begin(ID{StartVM, "web"}, nil) {
		t.Error("no start of another VM")
	}
	if !o.begin(stop, func(error) {}) || core.KindOf(ended) != core.Canceled {
		t.Errorf("the stop: the start ended with %v", ended)
	}
	if o.end(start) {
		t.Error("the start still counts")
	}
	if !o.end(stop) || o.end(stop) {
		t.Error("the stop ends once")
	}
}
