package machine

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"time"

	"rancherdesktop.io/rdd/internal/machine/layout"
)

// worker runs one VM. Its goroutine carries out one job at a time, and watches the hostagent between jobs.
type worker struct {
	config   Config
	timeouts timeouts
	vm       layout.VM
	end      context.CancelFunc // ends the goroutine; the hostagent keeps running
	done     chan struct{}      // closed when the goroutine has ended

	mu      sync.Mutex // guards the fields that follow
	state   State
	pending *job                    // submitted, not begun
	current *job                    // being carried out; nil while the worker waits for a job
	cancel  context.CancelCauseFunc // ends the current job, or the wait for one

	// Only the goroutine uses the fields that follow.
	hostagent *hostagent    // nil when none runs
	retry     time.Duration // pause before the reconcile that has failed is repeated; 0 when the last one has not failed
	crashed   bool          // the last hostagent has died without reporting its exit
	boots     bool          // a boot follows the preparation, and its steps are counted on
	prepared  int32         // number of steps of the preparation before the boot
}

// job is a submitted request.
type job struct {
	Request
	done chan struct{} // closed when the job was carried out, has failed, or was replaced
}

// errReplaced is why a job ends that another one replaces.
var errReplaced = errors.New("another action was asked for")

func newWorker(c Config, t timeouts, vm layout.VM) *worker {
	ctx, cancel := context.WithCancel(context.Background())
	w := &worker{config: c, timeouts: t, vm: vm, end: cancel, done: make(chan struct{}), cancel: func(error) {}}
	go func() {
		defer close(w.done)
		w.loop(ctx)
	}()
	return w
}

// submit makes r the next job, and ends the current one unless it is the same. The channel is closed when the job is over.
func (w *worker) submit(r Request) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.pending != nil && reflect.DeepEqual(w.pending.Request, r):
		return w.pending.done
	case w.pending == nil && w.current != nil && reflect.DeepEqual(w.current.Request, r):
		return w.current.done
	}
	if w.pending != nil {
		close(w.pending.done)
	}
	w.pending = &job{Request: r, done: make(chan struct{})}
	w.cancel(errReplaced)
	return w.pending.done
}

// loop carries out one job after another, and watches the hostagent in between.
func (w *worker) loop(ctx context.Context) {
	w.probe(ctx)
	for ctx.Err() == nil {
		jobCtx, j := w.nextJob(ctx)
		switch {
		case j != nil:
			w.runJob(jobCtx, j)
		case w.hostagent == nil && w.retry > 0:
			w.reconcileAgain(jobCtx)
		case w.hostagent == nil:
			<-jobCtx.Done()
		case errors.Is(w.follow(jobCtx, Unknown), errEnded):
			w.hostagentExited(ctx, w.hostagent)
		}
		w.cancel(nil)
	}
}

// nextJob returns the next job, nil when there is none, and a context that the next request ends.
func (w *worker) nextJob(ctx context.Context) (context.Context, *job) {
	ctx, cancel := context.WithCancelCause(ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pending, w.current, w.cancel = nil, w.pending, cancel
	return ctx, w.current
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
		f = w.newFailure(j.Action, err)
	}
	// The job ends together with its failure: the controller would submit a job again at once that has ended without one.
	w.change(func(s *State) {
		w.current = nil
		if f != nil {
			s.Failure, s.Progress = f, nil
		}
	})
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
		return w.remove(ctx, r.KeepData)
	case None:
		return nil
	}
	return fmt.Errorf("unknown action %q", r.Action)
}

// fail records why an action failed.
func (w *worker) fail(a Action, err error) {
	f := w.newFailure(a, err)
	w.change(func(s *State) { s.Failure, s.Progress = f, nil })
}

// newFailure converts the error of an action, and logs it.
func (w *worker) newFailure(a Action, err error) *Failure {
	f := &Failure{Action: a, At: time.Now()}
	_, f.Permanent = errors.AsType[*permanentError](err)
	f.Message, f.Problem = describe(err)
	w.config.Log.Warn("VM: action failed", "vm", w.vm.Name, "action", a, "permanent", f.Permanent, "error", f.Message)
	return f
}

// permanentError is a failure that a later attempt would meet again.
type permanentError struct{ error }

func (e *permanentError) Unwrap() error { return e.error }

// snapshot is the state now.
func (w *worker) snapshot() State {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state
}

// change changes the state, and calls Config.Changed if it differs. f replaces what the state points to and doesn't modify it:
// others may have a copy of the state.
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

// phase changes the phase and clears the progress.
func (w *worker) phase(p Phase) {
	w.change(func(s *State) { s.Phase, s.Progress = p, nil })
}

// errForced is why a polite stop ends when Manager.Force was called.
var errForced = errors.New("the stop was forced")

// shutDown stops the VM, whatever its worker is doing, and returns when none of its processes runs. Once forced is closed, it
// ends the guest immediately.
func (w *worker) shutDown(ctx context.Context, forced <-chan struct{}, say func(string, ...any)) error {
	alive, err := w.alive()
	if err != nil {
		return err
	}
	if alive {
		say("stopping VM %q", w.vm.Name)
	}
	polite, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-forced:
			cancel(errForced)
		case <-polite.Done():
		}
	}()
	err = w.repeat(polite, Stop)
	if errors.Is(err, errForced) {
		say("ending VM %q at once", w.vm.Name)
		err = w.repeat(ctx, Kill)
	}
	if err == nil && alive {
		say("VM %q has stopped", w.vm.Name)
	}
	return err
}

// repeat submits the action until no process of the VM runs. It pauses after an attempt that has failed.
func (w *worker) repeat(ctx context.Context, a Action) error {
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-w.done:
			return errors.New("the worker was forgotten")
		case <-w.submit(Request{Action: a}):
		}
		if alive, err := w.alive(); !alive || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(w.timeouts.runningInterval):
		}
	}
}

// alive reports whether a process of the VM runs.
func (w *worker) alive() (bool, error) { return anyHeld(w.vm.HostagentLock(), w.vm.QEMULock()) }
