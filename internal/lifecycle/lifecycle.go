// Package lifecycle starts, finds and stops the one service process of an instance. The core calls
// it from outside, rddd from inside.
//
// Four files carry the whole protocol. serve.lock is held by the service for as long as it lives,
// so the kernel says whether it lives. serve.json is written by the service and says which run
// this is (a nonce), how far it got, and how to reach it. run-NONCE.lock is held by that run, so the
// record of a dead one is told from that of its successor. Whoever starts a run takes both locks and
// writes its first record, and the process inherits them: a start is seen before there is a process.
// serve.ask says what was last asked of a run: to stop, and what to start then. No process id, file
// time or clock decides anything.
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

// ErrExited means the run ended before it reached the wanted phase.
var ErrExited = errors.New("the service process ended before it was ready")

// errSuperseded means another run took the instance first.
var errSuperseded = errors.New("another run took over")

// Hello asks the server in a record to prove that it is that run. It returns a Refused error when
// asking again can't help.
type Hello func(ctx context.Context, rec Record) error

// Refused is an answer of the right server that no retry will change.
type Refused struct{ Err error }

func (r *Refused) Error() string { return r.Err.Error() }
func (r *Refused) Unwrap() error { return r.Err }

// Spawn starts a run and passes the claim to its process. When that ends, exited gets one value: nil
// when it was stopped in order.
type Spawn func(claim *Claim) (exited <-chan error, err error)

// Client is what a caller outside the service brings along.
type Client struct {
	Spawn Spawn
	Next  func() (Next, error) // what Spawn would start; called when a run is to follow another
	Hello Hello
	Step  func(string) // told each new step of the run; never concurrently

	// LastWords is what a run that Spawn started has said as it ended, for when it couldn't write its
	// record; it is asked once exited is closed, and may be nil.
	LastWords func() string
}

// NotStartedError is the end of a wait before anything was asked for: nothing goes on.
type NotStartedError struct{ Err error }

func (u *NotStartedError) Error() string { return u.Err.Error() }
func (u *NotStartedError) Unwrap() error { return u.Err }

// Ensure brings the instance to a ready service, whatever it finds: it attaches to a run that is
// starting or ready, has one that is stopping be followed by another, and spawns one when none lives.
// It says whether this call started the run.
func Ensure(ctx context.Context, inst instance.Instance, c Client) (started bool, err error) {
	for asked := false; ; {
		rec, live, err := Find(inst)
		switch {
		case err != nil:
			return false, err
		case live && rec.Nonce == "": // a run that ends, or a command at work
			if err = pause(ctx); err != nil && !asked {
				err = &NotStartedError{err}
			}
		case live && (rec.Phase == Starting || rec.Phase == Ready):
			if err = await(ctx, inst, rec.Nonce, nil, c); err == nil {
				return asked, nil
			}
		case live:
			c.Step("waiting for the previous run to stop")
			var follows bool
			if follows, err = c.askToFollow(ctx, inst, rec); err == nil {
				err = awaitExit(ctx, inst, rec.Nonce, func(string) {})
				follows = follows || err == nil && taken(inst, rec.Nonce)
			}
			asked = asked || follows
			if err != nil && !asked {
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

// Begin is Ensure without the wait for readiness: it returns once a run lives, or is certain to follow
// the one that stops.
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
			if follows, err := c.askToFollow(ctx, inst, rec); follows || err != nil {
				return follows, err
			}
		}
		if err := pause(ctx); err != nil {
			return false, &NotStartedError{err}
		}
	}
}

// askToFollow asks a run that stops to be followed by another. It says whether that is certain: a run
// that has said its last word has not heard it.
func (c Client) askToFollow(ctx context.Context, inst instance.Instance, rec Record) (bool, error) {
	next, err := c.Next()
	if err != nil {
		return false, err
	}
	return askToStop(ctx, inst, rec, &next)
}

// Restart asks the live run to stop and to be followed by another. It says whether there was one. Once
// it returns without an error, the restart goes on though nobody waits for it. Force is Request's.
func Restart(ctx context.Context, inst instance.Instance, c Client, force bool) (was Record, live bool, err error) {
	was, live, err = AwaitKnown(ctx, inst, force)
	if !live || err != nil {
		return was, false, err
	}
	follows, err := c.askToFollow(ctx, inst, was)
	if err == nil && force {
		err = Force(inst)
	}
	if err != nil || follows {
		return was, true, err
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopAckTimeout)
	defer cancel()
	_, err = Begin(ending, inst, c)
	return was, true, err
}

// await follows one run until its own server says the nonce. It returns ErrExited, with the
// recorded reason, as soon as the run is gone. A nil exited means that the run was found, not
// spawned; then the lock says when it is gone.
func await(ctx context.Context, inst instance.Instance, nonce string, exited <-chan error, c Client) error {
	var gone bool
	var end error // of the process, once it is gone
	for last := ""; ; {
		select { // before Find: what it wrote is there by then
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
			if step := fmt.Sprintf("the service is ready, but this program can't ask it: %v", err); step != last { // what a wait that ends will say
				last = step
				c.Step(step)
			}
		case ours && rec.Phase == Stopping && exited == nil:
			return errSuperseded // somebody stops it: wait that out and start again
		case live && !ours && (gone || exited == nil):
			return errSuperseded
		case !live && exited == nil && !failed(inst, nonce):
			return errSuperseded // by whoever stopped or killed it
		case !live && (gone || exited == nil):
			return exitReason(inst, nonce, end, c.LastWords)
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
}

// failed says whether the run has ended with a reason of its own.
func failed(inst instance.Instance, nonce string) bool {
	rec, err := read(inst)
	return err == nil && rec.Nonce == nonce && rec.Phase == Failed
}

// exitReason is why a run ended, as its record says. Another run, which has ended too, may have written its own since.
func exitReason(inst instance.Instance, nonce string, end error, lastWords func() string) error {
	rec, err := read(inst)
	ours := err == nil && rec.Nonce == nonce
	reason := ""
	switch {
	case ours && rec.Error != "":
		return fmt.Errorf("%w: %w (log: %s)", ErrExited, &recordedError{rec}, inst.ServiceLog())
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

// recordedError is the failure that a run wrote into its record.
type recordedError struct{ rec Record }

func (r *recordedError) Error() string { return r.rec.Error }

// ProblemID is empty when the failure is no known problem, or nobody knows it as one.
func (r *recordedError) ProblemID() string { return r.rec.Problem }

// Stop asks the live run to stop in order and waits until its lock is free. It says whether there
// was a run to stop. Ending ctx ends the waiting, not the stop.
func Stop(ctx context.Context, inst instance.Instance, step func(string)) (was bool, err error) {
	rec, was, err := Request(ctx, inst, false)
	if err != nil || !was {
		return was, err
	}
	if ctx.Err() != nil {
		return true, context.Cause(ctx)
	}
	return true, awaitExit(ctx, inst, rec.Nonce, step)
}

// AwaitExit blocks until the run has ended. Another one may live then.
func AwaitExit(ctx context.Context, inst instance.Instance, run Record, step func(string)) error {
	return awaitExit(ctx, inst, run.Nonce, step)
}

// AwaitKnown is Find once it is known which run lives. With force, whoever has the lock until then and stops what a
// killed run left is forced, as by Force.
func AwaitKnown(ctx context.Context, inst instance.Instance, force bool) (rec Record, live bool, err error) {
	for {
		rec, live, err = Find(inst)
		if !live || err != nil || rec.Nonce != "" {
			return rec, live, err
		}
		if force { // each time: a stop that begins forgets what was asked before
			if err := Force(inst); err != nil {
				return rec, live, err
			}
		}
		if err := pause(ctx); err != nil {
			return rec, live, &NotStartedError{err}
		}
	}
}

// Request asks the live run to stop in order, and returns once the run has said that it stops: a
// start that comes right after must not take it for a service that goes on. Force ends the guests at once, also
// those of a stop that is under way.
func Request(ctx context.Context, inst instance.Instance, force bool) (asked Record, was bool, err error) {
	asked, live, err := AwaitKnown(ctx, inst, force)
	if !live || err != nil {
		return asked, false, err
	}
	_, err = askToStop(ctx, inst, asked, nil)
	if err == nil && force {
		err = Force(inst)
	}
	return asked, true, err
}

// acknowledged blocks until the run has said that it stops, or is gone.
func acknowledged(ctx context.Context, inst instance.Instance, nonce string) error {
	for {
		rec, live, err := Find(inst)
		if err != nil || !live || rec.Nonce != nonce || rec.Phase != Ready && rec.Phase != Starting {
			return err
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
}

// interrupt signals a run's process only while the same run holds the lock.
func interrupt(inst instance.Instance, rec Record) error {
	return proc.Interrupt(rec.PID, func() bool {
		now, live, err := Find(inst)
		return err == nil && live && now.Nonce == rec.Nonce
	})
}

// awaitExit blocks until the run has ended. Another one may live then.
func awaitExit(ctx context.Context, inst instance.Instance, nonce string, step func(string)) error {
	for last := ""; ; {
		rec, live, err := Find(inst)
		if !live || err != nil || rec.Nonce != "" && rec.Nonce != nonce {
			return err
		}
		if rec.Phase == Stopping && rec.Step != last {
			last = rec.Step
			step(last)
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
}

// pause spaces looks at the lock and the record; a look costs some 20 µs.
func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(10 * time.Millisecond):
		return nil
	}
}
