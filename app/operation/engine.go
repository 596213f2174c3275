// Package operation carries out what a user of the tray or the page begins: it follows the progress, asks when
// an operation takes too long, forces it, undoes it, and tells how it ended. List is its state, Notifier shows
// that in notifications, and the page in dialogs.
package operation

import (
	"context"
	"fmt"
	"sync"
	"time"

	"rancherdesktop.io/rdd/core"
)

// Options is what an Engine needs.
type Options struct {
	Core *core.Core
	// Go runs a job that outlives the call, until the program ends. An error says that it is ending.
	Go func(job func(context.Context)) error
	// NewID returns an ID for an operation, unique in the program. It is called without a lock.
	NewID func() string
	// Changed is called after each change of the list, without a lock.
	Changed func()
}

// Engine carries out the operations on one instance.
type Engine struct {
	options Options

	mu      sync.Mutex // guards what follows
	list    List
	pending map[string]*pending // by ID
}

// pending is an operation that is waited for.
type pending struct {
	cancel  context.CancelCauseFunc
	answers chan Answer
	ended   chan struct{} // closed when Work.Run has returned
	created func() *core.VM
}

// New returns an engine without operations.
func New(o Options) *Engine { return &Engine{options: o, pending: map[string]*pending{}} }

// Work is what an operation does.
type Work struct {
	Verb    Verb
	Object  string
	Timeout time.Duration // until the user is asked; 0: never
	Log     Log
	LogPath string
	Run     func(context.Context, core.Wait) error

	Fresh bool // there was no such VM before
	// Created returns the VM that a creation has made, nil as long as there is none.
	Created func() *core.VM
	Loses   string // what a forced stop loses; empty: nothing can be forced
	Force   func(context.Context) error
}

// What ends a wait before its operation has ended.
var (
	errStopWaiting = fmt.Errorf("%w: the user stopped waiting", context.Canceled)
	errReplaced    = fmt.Errorf("%w: another operation was begun", context.Canceled)
)

// Begin begins an operation, and waits for it in the background. One on the same object that asks for another
// state is no longer waited for; if the same one is under way, its ID is returned.
func (e *Engine) Begin(w Work) (id string, err error) {
	known := make(chan string, 1)
	if err := e.options.Go(func(ctx context.Context) { _ = e.carryOut(ctx, w, known) }); err != nil {
		return "", err
	}
	return <-known, nil
}

// Run carries out an operation as Begin does, and returns when it has ended.
func (e *Engine) Run(ctx context.Context, w Work) error {
	return e.carryOut(ctx, w, make(chan string, 1))
}

func (e *Engine) carryOut(ctx context.Context, w Work, known chan<- string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	id, p := e.add(w, cancel)
	known <- id
	if p == nil {
		return nil
	}
	e.options.Changed()
	err := e.wait(ctx, id, w, p)
	close(p.ended)
	var problem *Problem
	if err != nil {
		problem = ProblemOf(err)
		problem.Log = w.LogPath
	}
	e.change(func() {
		delete(e.pending, id)
		e.list = e.list.Settled(id, problem)
	})
	return err
}

// add puts the operation on the list. It returns no *pending when the same one is waited for already.
func (e *Engine) add(w Work, cancel context.CancelCauseFunc) (id string, p *pending) {
	id = e.options.NewID() // takes a lock under which the list is read
	e.mu.Lock()
	defer e.mu.Unlock()
	if w.Verb.replaces() {
		for _, o := range e.list.Operations() {
			switch {
			case !o.Waited(), o.Object != w.Object, o.Verb.OnService() != w.Verb.OnService(), !o.Verb.replaces():
			case o.Verb == w.Verb:
				return o.ID, nil
			default:
				e.list = e.list.Abandoned(o.ID)
				e.pending[o.ID].cancel(errReplaced)
			}
		}
	}
	p = &pending{cancel, make(chan Answer, 1), make(chan struct{}), w.Created}
	e.pending[id] = p
	e.list = e.list.Began(Operation{
		ID: id, Verb: w.Verb, Object: w.Object, Started: time.Now(), Force: w.Loses, Log: &w.Log, Extend: w.Timeout, Fresh: w.Fresh,
	})
	return id, p
}

// wait waits for the end of the operation, or of the user's patience with it.
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
			case <-question.Done(): // the end of the operation closes it
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

// change changes the list.
func (e *Engine) change(do func()) {
	e.mu.Lock()
	do()
	e.mu.Unlock()
	e.options.Changed()
}

// List is the operations now.
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
		default: // it has one, and nobody will read another
		}
	}
	e.mu.Unlock()
	if err != nil {
		return &core.Error{Kind: core.Rejected, Err: err}
	}
	e.options.Changed()
	return nil
}

// Background moves an operation's dialog out of the way, or back.
func (e *Engine) Background(id string, background bool) {
	e.change(func() { e.list = e.list.Background(id, background) })
}

// Dismiss forgets an operation that nobody waits for.
func (e *Engine) Dismiss(id string) { e.change(func() { e.list = e.list.Dismissed(id) }) }

// Cancel undoes what can be undone: a start becomes a stop, and a creation too, or a deletion if remove says so.
// Otherwise it only ends the waiting. undo is the ID of the operation that undoes; empty when there is none.
func (e *Engine) Cancel(id string, remove bool) (undo string, err error) {
	o, p, err := e.stopWaiting(id)
	if err != nil {
		return "", err
	}
	if w, ok := e.undo(o, p, remove); ok {
		return e.Begin(w)
	}
	return "", nil
}

// stopWaiting ends the waiting for an operation, which goes on.
func (e *Engine) stopWaiting(id string) (Operation, *pending, error) {
	e.mu.Lock()
	o, _ := e.list.Find(id)
	p := e.pending[id]
	if p != nil {
		e.list = e.list.Abandoned(id)
		p.cancel(errStopWaiting)
	}
	e.mu.Unlock()
	if p == nil {
		return o, nil, &core.Error{Kind: core.NotFound, Err: fmt.Errorf("operation %q is not running: it has ended", id)}
	}
	e.options.Changed()
	return o, p, nil
}

// undo is what undoes an operation, if something does.
func (e *Engine) undo(o Operation, p *pending, remove bool) (Work, bool) {
	switch o.Verb {
	case Start, Restart:
		return e.StopVM(o.Object), true
	case Create:
		return e.undoCreation(o.Object, p, remove), true
	case StartService, RestartService:
		return e.StopService(), true
	case StopService, ResetService, DeleteService, Stop, ForceStop, Delete, Reset, Change, Repair, Restore:
	}
	return Work{}, false
}
