// Package lifecycle starts, finds and stops the one service process of an instance. The core calls
// it from outside, rddd from inside.
//
// Clients and service communicate through four files. serve.lock is held by the service while it runs, so the kernel says
// whether one runs. serve.json is the record that the service writes: the nonce of the run, its phase, and how to reach it.
// run-NONCE.lock is held by that run, which distinguishes its record from the record that an earlier run has left. The
// client that starts a run takes both locks and writes its first record, and the process inherits the locks, so every client
// sees the start before there is a process. serve.ask is the last request to a run: to stop, and what to start afterwards.
// No decision depends on a process ID, the time of a file or a clock.
package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rancherdesktop.io/rdd/internal/diag"
	"rancherdesktop.io/rdd/internal/instance"
	"rancherdesktop.io/rdd/internal/proc"
)

// ErrExited means that the run ended before it was ready.
var ErrExited = errors.New("the service process ended before it was ready")

// errSuperseded means that the run was stopped or killed, or that another run has the instance: the caller starts over.
var errSuperseded = errors.New("another run took over")

// Hello asks the server in a record to prove that it is that run. It returns a *Refused when another attempt would fail, too.
type Hello func(ctx context.Context, rec Record) error

// Refused is an answer of the right server that another attempt would not change.
type Refused struct{ Err error }

func (r *Refused) Error() string { return r.Err.Error() }
func (r *Refused) Unwrap() error { return r.Err }

// Spawn starts a run and passes the claim to its process. When the process ends, exited gets one value: nil if it exited
// with code 0.
type Spawn func(claim *Claim) (exited <-chan error, err error)

// Client starts a run for a program outside the service, and follows it.
type Client struct {
	Spawn Spawn
	Next  func() (Next, error) // the command that Spawn would run; called when another run has to start it after its end
	Hello Hello
	Step  func(string) // called for each new step of the run; never concurrently

	// LastWords returns what a run that Spawn started has printed. It is called after the end of a run that could not write
	// why it failed into its record. It may be nil.
	LastWords func() string
}

// NotStartedError means that a wait has ended before anything was requested: nothing goes on in the background.
type NotStartedError struct{ Err error }

func (u *NotStartedError) Error() string { return u.Err.Error() }
func (u *NotStartedError) Unwrap() error { return u.Err }

// Ensure returns when the service is ready. It joins a run that is starting or ready, asks a run that is stopping to start
// another one afterwards, and spawns a run when there is none. started says whether this call started the run.
func Ensure(ctx context.Context, inst instance.Instance, c Client) (started bool, err error) {
	for requested := false; ; {
		rec, live, err := Find(inst)
		switch {
		case err != nil:
			return false, err
		case live && rec.Nonce == "": // a run that ends, or a command that has the lock
			if err = pause(ctx, findInterval); err != nil && !requested {
				err = &NotStartedError{err}
			}
		case live && (rec.Phase == Starting || rec.Phase == Ready):
			if err = await(ctx, inst, rec.Nonce, nil, c); err == nil {
				return requested, nil
			}
		case live:
			c.Step("waiting for the previous run to stop")
			var follows bool
			if follows, err = requestStop(ctx, inst, rec, c.Next); err == nil {
				err = AwaitExit(ctx, inst, rec.Nonce, func(string) {})
				follows = follows || err == nil && !stopRequested(inst, rec.Nonce) // it has read the request after its last record
			}
			requested = requested || follows
			if err != nil && !requested {
				err = &NotStartedError{err}
			}
		default:
			nonce, exited, spawnErr := c.begin(inst)
			if errors.Is(spawnErr, ErrRunning) {
				continue
			}
			if spawnErr != nil {
				return false, spawnErr
			}
			if err = await(ctx, inst, nonce, exited, c); err == nil {
				return true, nil
			}
		}
		if err != nil && !errors.Is(err, errSuperseded) {
			return false, err
		}
	}
}

// Begin is Ensure without the wait for readiness: it returns once a run has begun, or is certain to follow the one that
// stops.
func Begin(ctx context.Context, inst instance.Instance, c Client) (started bool, err error) {
	for {
		rec, live, err := Find(inst)
		switch {
		case err != nil:
			return false, err
		case !live:
			if _, _, err := c.begin(inst); !errors.Is(err, ErrRunning) {
				return err == nil, err
			}
		case rec.Phase == Starting || rec.Phase == Ready:
			return false, nil
		case rec.Nonce != "":
			if follows, err := requestStop(ctx, inst, rec, c.Next); follows || err != nil {
				return follows, err
			}
		}
		if err := pause(ctx, findInterval); err != nil {
			return false, &NotStartedError{err}
		}
	}
}

// Restart asks the running service to stop and to start another run afterwards. live is false when there is none. Once it
// returns without an error, the restart goes on even if no client waits for it. With force, the guests are ended immediately.
func Restart(ctx context.Context, inst instance.Instance, c Client, force bool) (was Record, live bool, err error) {
	was, live, follows, err := request(ctx, inst, c.Next, force)
	if !live || err != nil || follows {
		return was, live, err
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopAckTimeout)
	defer cancel()
	_, err = Begin(ending, inst, c)
	return was, true, err
}

// await follows one run until its server has answered with the nonce. It returns ErrExited, with the recorded reason, as
// soon as the run has ended. A nil exited means that another client spawned the run; then the lock says when it has ended.
func await(ctx context.Context, inst instance.Instance, nonce string, exited <-chan error, c Client) error {
	var gone bool
	var end error // of the process, once it is gone
	for last := ""; ; {
		select { // before Find, which then returns the last record of a process that has exited
		case end = <-exited:
			gone = true
		default:
		}
		rec, live, err := Find(inst)
		ours := live && rec.Nonce == nonce
		if ours && rec.Step != "" && rec.Step != last {
			last = rec.Step
			c.Step(last)
		}
		switch {
		case err != nil:
			return err
		case ours && rec.Phase == Ready:
			err := c.Hello(ctx, rec)
			var refused *Refused
			if err == nil || errors.As(err, &refused) {
				return err
			}
			if step := fmt.Sprintf("the service is ready, but this program can't ask it: %v", err); step != last { // a wait that ends reports the last step
				last = step
				c.Step(step)
			}
		case ours && rec.Phase == Stopping && exited == nil, // another client stops it
			live && !ours && (gone || exited == nil),
			!live && exited == nil && !failed(inst, nonce): // it was stopped or killed
			return errSuperseded
		case !live && (gone || exited == nil):
			return exitReason(inst, nonce, end, c.LastWords)
		}
		if err := pause(ctx, findInterval); err != nil {
			return err
		}
	}
}

// failed reports whether the run has ended with an error.
func failed(inst instance.Instance, nonce string) bool {
	rec, err := read(inst)
	return err == nil && rec.Nonce == nonce && rec.Phase == Failed
}

// exitReason returns why a run ended, from its record. Another run, which has ended too, may have replaced that record.
func exitReason(inst instance.Instance, nonce string, end error, lastWords func() string) error {
	rec, err := read(inst)
	ours := err == nil && rec.Nonce == nonce
	reason := ""
	switch {
	case ours && rec.Error != "":
		return fmt.Errorf("%w: %w (log: %s)", ErrExited, diag.Restore(errors.New(rec.Error), rec.Problem, true), inst.ServiceLog())
	case ours && rec.Phase == Stopped, !ours && end == nil:
		reason = "it was asked to stop meanwhile"
	case lastWords != nil:
		reason = lastWords()
	}
	if reason == "" {
		return diag.Errorf(diag.ServiceCrashed, "%w, and left no reason; see %s and %s, and try again. If it happens again, make a bundle for a report: rdd diagnose --bundle rdd.tar.gz", ErrExited, inst.ServiceLog(), inst.ServiceOutput())
	}
	return fmt.Errorf("%w: %s (log: %s)", ErrExited, reason, inst.ServiceLog())
}

// AwaitKnown is Find, but waits until it is known which run has the lock. With force, it forces a stop of what a killed run
// left that has the lock until then.
func AwaitKnown(ctx context.Context, inst instance.Instance, force bool) (rec Record, live bool, err error) {
	for {
		rec, live, err = Find(inst)
		if !live || err != nil || rec.Nonce != "" {
			return rec, live, err
		}
		if force { // each time, because a stop clears earlier requests when it begins
			if err := Force(inst); err != nil {
				return rec, live, err
			}
		}
		if err := pause(ctx, findInterval); err != nil {
			return rec, live, &NotStartedError{err}
		}
	}
}

// Request asks the running service to stop, and returns once it has reported that it stops: a start that comes right
// afterwards must not join it. With force, the guests are ended immediately, also those of a stop that is under way.
func Request(ctx context.Context, inst instance.Instance, force bool) (run Record, live bool, err error) {
	run, live, _, err = request(ctx, inst, nil, force)
	return run, live, err
}

func request(ctx context.Context, inst instance.Instance, next func() (Next, error), force bool) (run Record, live, follows bool, err error) {
	run, live, err = AwaitKnown(ctx, inst, force)
	if !live || err != nil {
		return run, false, false, err
	}
	follows, err = requestStop(ctx, inst, run, next)
	if err == nil && force {
		err = Force(inst)
	}
	return run, true, follows, err
}

// acknowledged blocks until the run has reported that it stops, or has ended.
func acknowledged(ctx context.Context, inst instance.Instance, nonce string) error {
	for {
		rec, live, err := Find(inst)
		if err != nil || !live || rec.Nonce != nonce || rec.Phase != Ready && rec.Phase != Starting {
			return err
		}
		if err := pause(ctx, findInterval); err != nil {
			return err
		}
	}
}

// interrupt signals a run's process, but only while that run holds the lock.
func interrupt(inst instance.Instance, rec Record) error {
	return proc.Interrupt(rec.PID, func() bool {
		now, live, err := Find(inst)
		return err == nil && live && now.Nonce == rec.Nonce
	})
}

// AwaitExit blocks until the run with that nonce has ended. Another one may have begun by then.
func AwaitExit(ctx context.Context, inst instance.Instance, nonce string, step func(string)) error {
	for last := ""; ; {
		rec, live, err := Find(inst)
		if !live || err != nil || rec.Nonce != "" && rec.Nonce != nonce {
			return err
		}
		if rec.Phase == Stopping && rec.Step != last {
			last = rec.Step
			step(last)
		}
		if err := pause(ctx, findInterval); err != nil {
			return err
		}
	}
}

// findInterval is the interval between two calls of Find, which takes some 20 µs.
const findInterval = 10 * time.Millisecond

// pause waits for d, or returns the cause of ctx's end.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
