// Package operation runs what a user of the tray or the page begins. It follows the progress, asks the user when an
// operation takes too long, forces it, cancels it, and reports its end. List is the state, which the page shows in
// dialogs and Notifier in notifications.
package operation

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/core/image"
)

// Options is what an Engine needs.
type Options struct {
	Core *core.Core
	// Go runs a job that outlives the call, until the program ends. It fails when the program is ending.
	Go func(job func(context.Context)) error
	// NewID returns an ID for an operation, unique in the program. It is called without a lock.
	NewID func() string
	// Changed is called after each change of the list, without a lock.
	Changed func()
}

// Engine runs the operations on one instance.
type Engine struct {
	options Options

	mu      sync.Mutex // guards the fields below
	list    List
	pending map[string]*pending // by ID
	outputs map[string]*output  // of the operations in the list that have one, by ID
}

// pending is an operation that is waited for.
type pending struct {
	cancel  context.CancelCauseFunc
	answers chan Answer
	ended   chan struct{} // closed when Work.Run has returned
	created func() *core.VM
	output  *output
}

// New returns an engine without operations.
func New(o Options) *Engine {
	return &Engine{options: o, pending: map[string]*pending{}, outputs: map[string]*output{}}
}

// Work is what an operation does.
type Work struct {
	Verb    Verb
	Object  string
	Timeout time.Duration // until the user is asked; 0: never
	Log     Log
	Run     func(context.Context, core.Wait) error
	do      func(context.Context, image.Report) (*Result, error) // instead of Run, of work with the container engine

	Fresh bool // no VM of this name existed before
	// Created returns the VM that a creation has made, or nil if it hasn't made one yet.
	Created func() *core.VM
	Loses   string // what Force loses; empty: the operation can't be forced
	Force   func(context.Context) error
}

// The causes that end a wait before its operation has ended.
var (
	errStopWaiting = fmt.Errorf("%w: the user stopped waiting", context.Canceled)
	errReplaced    = fmt.Errorf("%w: another operation was begun", context.Canceled)
	errCanceled    = fmt.Errorf("%w: the user has canceled it", context.Canceled)
)

// Begin begins an operation and waits for it in the background. An earlier operation on the same object is no longer
// waited for, unless the two can run side by side. If the same operation is already running, Begin returns its ID.
func (e *Engine) Begin(w Work) (id string, err error) {
	known := make(chan string, 1)
	if err := e.options.Go(func(ctx context.Context) { _ = e.run(ctx, w, known) }); err != nil {
		return "", err
	}
	return <-known, nil
}

// Run runs an operation as Begin does, and returns when it has ended.
func (e *Engine) Run(ctx context.Context, w Work) error {
	return e.run(ctx, w, make(chan string, 1))
}

// run sends the operation's ID to known before it waits.
func (e *Engine) run(ctx context.Context, w Work, known chan<- string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	id, p := e.add(w, cancel)
	known <- id
	if p == nil {
		return nil
	}
	e.options.Changed()
	var result *Result
	var err error
	if w.do != nil {
		result, err = e.move(ctx, id, w, p.output)
		p.output.end()
	} else {
		err = e.wait(ctx, id, w, p)
	}
	close(p.ended)
	canceled := errors.Is(context.Cause(ctx), errCanceled)
	var problem *Problem
	if err != nil && !canceled {
		problem = ProblemOf(err)
		switch {
		case w.Verb.OnService():
			problem.Log = e.options.Core.Instance().ServiceLog()
		case w.Log.VM != "":
			problem.Log = e.options.Core.VMLogPath(w.Log.VM, core.LogHostagent)
		}
	}
	e.change(func() {
		delete(e.pending, id)
		if canceled && err != nil {
			e.list = e.list.Canceled(id)
		} else {
			e.list = e.list.Settled(id, problem, result)
		}
	})
	return err
}

// add adds the operation to the list. It returns a nil *pending if the same operation is already waited for.
func (e *Engine) add(w Work, cancel context.CancelCauseFunc) (id string, p *pending) {
	id = e.options.NewID() // takes a lock under which the list is read
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, o := range e.list.Operations() {
		switch {
		case !o.Waited() || o.Object != w.Object || !w.Verb.replaces(o.Verb):
		case o.Verb == w.Verb:
			return o.ID, nil
		default:
			e.list = e.list.Abandoned(o.ID)
			e.pending[o.ID].cancel(errReplaced)
		}
	}
	p = &pending{cancel, make(chan Answer, 1), make(chan struct{}), w.Created, newOutput()}
	e.pending[id] = p
	if w.Log.Source == outputSource {
		w.Log.Operation = id
		e.outputs[id] = p.output
	}
	e.list = e.list.Began(Operation{
		ID: id, Verb: w.Verb, Object: w.Object, Started: time.Now(), Force: w.Loses, Log: logOf(w), Extend: w.Timeout, Fresh: w.Fresh,
	})
	return id, p
}

func logOf(w Work) *Log {
	if w.Log.Source == "" {
		return nil
	}
	return &w.Log
}

// wait runs the work until it ends or the user stops waiting for it.
func (e *Engine) wait(ctx context.Context, id string, w Work, p *pending) error {
	var forced error
	err := w.Run(ctx, core.Wait{
		Timeout: w.Timeout,
		Progress: func(step core.Event) {
			if step.Phase != core.PhaseLog {
				e.change(func() { e.list = e.list.Progressed(id, progressOf(step)) })
			}
		},
		Overdue: func(question context.Context, waited time.Duration) time.Duration {
			e.change(func() { e.list = e.list.Overdue(id, waited) })
			select {
			case <-question.Done(): // the operation has ended
				return 0
			case answer := <-p.answers:
				if answer == Force {
					forced = w.Force(context.WithoutCancel(ctx)) // which may replace this operation
				}
				if answer == StopWaiting || forced != nil {
					return 0
				}
				return w.Timeout
			}
		},
	})
	if err != nil && forced != nil {
		return fmt.Errorf("force stop: %w", forced)
	}
	return err
}

func progressOf(e core.Event) Progress {
	return Progress{
		Phase: e.Phase, Step: e.Step, Steps: e.Steps, Bytes: e.Bytes, Total: e.Total, Message: e.Message, Elapsed: e.Elapsed.Seconds(),
	}
}

// change lets do change the list.
func (e *Engine) change(do func()) {
	e.mu.Lock()
	do()
	for id := range e.outputs {
		if _, listed := e.list.Find(id); !listed {
			delete(e.outputs, id)
		}
	}
	e.mu.Unlock()
	e.options.Changed()
}

// List returns the operations.
func (e *Engine) List() List {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.list
}

// Answer answers the question of an operation.
func (e *Engine) Answer(id string, a Answer) error {
	e.mu.Lock()
	list, err := e.list.Answered(id, a)
	if p := e.pending[id]; err == nil && p != nil {
		e.list = list
		select {
		case p.answers <- a:
		default: // the operation has ended and reads no second answer
		}
	}
	e.mu.Unlock()
	if err != nil {
		return &core.Error{Kind: core.Rejected, Err: err}
	}
	e.options.Changed()
	return nil
}

// Background hides or shows an operation's dialog.
func (e *Engine) Background(id string, background bool) {
	e.change(func() { e.list = e.list.Background(id, background) })
}

// Dismiss removes an operation that has ended from the list.
func (e *Engine) Dismiss(id string) { e.change(func() { e.list = e.list.Dismissed(id) }) }

// Cancel ends the wait for an operation and undoes the operation if that is possible: it stops what a start has
// started. It stops the VM that a creation has made or, if remove is set, deletes it. undo is the ID of the operation
// that does so; empty if there is none. Work with the container engine ends; the operation is canceled when it has.
func (e *Engine) Cancel(id string, remove bool) (undo string, err error) {
	e.mu.Lock()
	o, _ := e.list.Find(id)
	p := e.pending[id]
	switch {
	case p == nil:
	case o.Verb.OnEngine():
		p.cancel(errCanceled)
	default:
		e.list = e.list.Abandoned(id)
		p.cancel(errStopWaiting)
	}
	e.mu.Unlock()
	if p == nil {
		return "", notRunning(id)
	}
	e.options.Changed()
	if w, ok := e.undo(o, p, remove); ok {
		return e.Begin(w)
	}
	return "", nil
}

func notRunning(id string) error {
	return &core.Error{Kind: core.NotFound, Err: fmt.Errorf("operation %q is not running: it has ended", id)}
}

// undo returns the work that undoes an operation, if that is possible.
func (e *Engine) undo(o Operation, p *pending, remove bool) (w Work, ok bool) {
	switch o.Verb {
	case Start, Restart:
		return e.StopVM(o.Object), true
	case Create:
		return e.undoCreation(o.Object, p, remove), true
	case StartService, RestartService:
		return e.StopService(), true
	case StartApp, RestartApp:
		return e.StopApp(), true
	}
	return Work{}, false
}
