package machine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"sync"
	"time"

	"rancherdesktop.io/rdd/internal/machine/layout"
)

// worker does the work of one VM, one thing at a time.
type worker struct {
	config   Config
	timeouts timeouts
	vm       layout.VM
	end      context.CancelFunc // ends the worker, and nothing else
	done     chan struct{}      // closed when it has ended
	wake     chan struct{}      // holds a token when there may be a new request

	mu      sync.Mutex
	state   State
	pending *job // asked for, not begun
	current *job // being carried out

	hostagent *hostagent // the hostagent that lives; the loop's own
	crashed   bool       // the last hostagent has died without a word; the loop's own

	boots    bool  // a boot follows what is prepared, and counts its steps on; the loop's own
	prepared int32 // steps that came before the boot; the loop's own
}

// job is a request and what is needed to replace it.
type job struct {
	Request
	cancel context.CancelCauseFunc
	done   chan struct{} // closed when it was carried out, failed or was replaced
}

// errReplaced ends a job that another one replaces.
var errReplaced = errors.New("another action was asked for")

func newWorker(c Config, t timeouts, vm layout.VM) *worker {
	ctx, cancel := context.WithCancel(context.Background())
	w := &worker{config: c, timeouts: t, vm: vm, end: cancel, done: make(chan struct{}), wake: make(chan struct{}, 1)}
	go func() {
		defer close(w.done)
		w.loop(ctx)
	}()
	return w
}

// sameRequest reports whether two requests ask for the same.
func sameRequest(a, b Request) bool {
	if a.Action != b.Action {
		return false
	}
	making := a.Action == Prepare || a.Action == Start
	return !making || bytes.Equal(a.Template, b.Template) && maps.Equal(a.Params, b.Params) && a.Acceleration == b.Acceleration
}

// submit hands a request to the loop; the channel is closed once it is over.
func (w *worker) submit(r Request) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.pending != nil && sameRequest(w.pending.Request, r):
		return w.pending.done
	case w.pending == nil && w.current != nil && sameRequest(w.current.Request, r):
		return w.current.done
	}
	if w.pending != nil {
		close(w.pending.done)
	}
	w.pending = &job{Request: r, done: make(chan struct{})}
	if w.current != nil {
		w.current.cancel(errReplaced)
	}
	select {
	case w.wake <- struct{}{}:
	default:
	}
	return w.pending.done
}

// loop carries out one request after another, and watches the hostagent in between.
func (w *worker) loop(ctx context.Context) {
	w.probe(ctx)
	for ctx.Err() == nil {
		jobCtx, j := w.nextJob(ctx)
		if j == nil {
			w.idle(ctx)
			continue
		}
		w.runJob(jobCtx, j)
	}
}

// nextJob returns the next job, or nil.
func (w *worker) nextJob(ctx context.Context) (context.Context, *job) {
	w.mu.Lock()
	defer w.mu.Unlock()
	j := w.pending
	if j == nil {
		return ctx, nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	j.cancel = cancel
	w.pending, w.current = nil, j
	return ctx, j
}

// runJob carries out one job and records the result.
func (w *worker) runJob(ctx context.Context, j *job) {
	w.config.Log.Info("VM", "vm", w.vm.Name, "action", j.Action)
	w.change(func(s *State) { s.Failure = nil })
	err := w.act(ctx, j.Request)
	var f *Failure
	switch {
	case err == nil:
	case errors.Is(err, errReplaced), errors.Is(err, context.Canceled):
		w.config.Log.Info("VM: given up", "vm", w.vm.Name, "action", j.Action)
	default:
		f = w.failure(j.Action, err)
	}
	// At once: whoever saw the job over and no failure would ask for the same again, without a pause.
	w.change(func(s *State) {
		w.current = nil
		if f != nil {
			s.Failure, s.Progress = f, nil
		}
	})
	j.cancel(nil)
	close(j.done)
}

func (w *worker) act(ctx context.Context, r Request) error {
	if r.Action != Prepare && r.Action != Start {
		w.change(func(s *State) { s.Found = "" })
	}
	switch r.Action {
	case Prepare:
		return w.prepare(ctx, r)
	case Start:
		return w.start(ctx, r)
	case Stop:
		return w.stop(ctx)
	case Kill:
		return w.kill(ctx)
	case Remove:
		return w.remove(ctx)
	case None:
		return nil
	}
	return fmt.Errorf("unknown action %q", r.Action)
}

// idle watches the hostagent, if one lives, until there is a new request.
func (w *worker) idle(ctx context.Context) {
	if w.hostagent == nil {
		select {
		case <-ctx.Done():
		case <-w.wake:
		}
		return
	}
	watch, cancel := context.WithCancel(ctx)
	defer cancel()
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		select {
		case <-w.wake:
			cancel()
		case <-watch.Done():
		}
	}()
	err := w.follow(watch, func(State) bool { return false })
	cancel()
	<-watching
	if errors.Is(err, errEnded) {
		w.hostagentExited(ctx, w.hostagent)
	}
}

// fail records why an action failed.
func (w *worker) fail(a Action, err error) {
	f := w.failure(a, err)
	w.change(func(s *State) { s.Failure, s.Progress = f, nil })
}

// failure converts the error of an action for the state.
func (w *worker) failure(a Action, err error) *Failure {
	f := &Failure{Action: a, At: time.Now()}
	if p, ok := errors.AsType[*permanentError](err); ok {
		f.Permanent, err = true, p
	}
	f.Message, f.Problem = describe(err)
	w.config.Log.Warn("VM: action failed", "vm", w.vm.Name, "action", a, "permanent", f.Permanent, "error", f.Message)
	return f
}

// permanentError is a failure that waiting doesn't solve.
type permanentError struct{ error }

func (e *permanentError) Unwrap() error { return e.error }

// snapshot is the state now.
func (w *worker) snapshot() State {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state
}

// change changes the state and notifies the watcher. What the state points to is replaced, and never changed.
func (w *worker) change(f func(*State)) {
	w.mu.Lock()
	before := w.state
	f(&w.state)
	changed := !reflect.DeepEqual(before, w.state)
	w.mu.Unlock()
	if changed {
		w.config.Changed(w.vm.Name)
	}
}

// phase changes the phase, with no progress yet.
func (w *worker) phase(p Phase) {
	w.change(func(s *State) { s.Phase, s.Progress = p, nil })
}

// shutDown stops the VM, whatever its worker does, and returns when none of its processes runs. Once forced is closed,
// it ends the guest immediately.
func (w *worker) shutDown(ctx context.Context, forced <-chan struct{}, say func(string, ...any)) error {
	alive, err := anyHeld(w.vm.HostagentLock(), w.vm.QEMULock())
	if err != nil {
		return err
	}
	if alive {
		say("stopping VM %q", w.vm.Name)
	}
	action := Stop
	force := func() {
		action, forced = Kill, nil
		say("ending VM %q at once", w.vm.Name)
	}
	for {
		over := w.submit(Request{Action: action})
		select {
		case <-forced:
			force()
			continue
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-w.done:
			return errors.New("the worker was forgotten")
		case <-over:
		}
		still, err := anyHeld(w.vm.HostagentLock(), w.vm.QEMULock())
		if err != nil {
			return err
		}
		if !still {
			break
		}
		select { // a stop that failed is retried after a pause
		case <-forced:
			force()
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(w.timeouts.runningInterval):
		}
	}
	if alive {
		say("VM %q has stopped", w.vm.Name)
	}
	return nil
}
