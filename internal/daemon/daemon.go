// Package daemon starts, finds and stops the one service process of an instance. The core calls
// it from outside, rddd from inside.
//
// Three files carry the whole protocol. serve.lock is held by the service for as long as it lives,
// so the kernel says whether it lives. serve.json is written by the service and says which run
// this is (a nonce), how far it got, and how to reach it. run-NONCE.lock is held by that run, so the
// record of a dead one is told from that of its successor. No process id, file time or clock decides
// anything.
package daemon

import (
	"context"
	"crypto/rand"
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

// Spawn starts a run under nonce. When its process ends, exited gets one value: ErrRunning when it
// found the instance taken, nil when it was stopped in order.
type Spawn func(nonce string) (exited <-chan error, err error)

// ExitRunning is the exit code of a service process that found the instance taken.
const ExitRunning = 3

// Client is what a caller outside the service brings along.
type Client struct {
	Spawn Spawn
	Hello Hello
	Step  func(string) // told each new step of the run; never concurrently

	// LastWords is what a run that Spawn started has said as it ended, for when it couldn't write its
	// record; it is asked once exited is closed, and may be nil.
	LastWords func() string
}

// Ensure brings the instance to a ready service, whatever it finds: it attaches to a run that is
// starting or ready, waits out one that is stopping, and spawns one when none lives. It says
// whether this call spawned the run.
func Ensure(ctx context.Context, inst instance.Instance, c Client) (spawned bool, err error) {
	for {
		rec, live, err := Find(inst)
		switch {
		case err != nil:
			return false, err
		case live && rec.Nonce == "": // a run that begins or ends, or a command at work
			err = pause(ctx)
		case live && (rec.Phase == Starting || rec.Phase == Ready):
			if err = await(ctx, inst, rec.Nonce, nil, c); err == nil {
				return false, nil
			}
		case live:
			c.Step("waiting for the previous run to stop")
			err = awaitExit(ctx, inst, rec.Nonce, func(string) {})
		default:
			nonce := rand.Text()
			exited, spawnErr := c.Spawn(nonce)
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

// Begin is Ensure without the wait for readiness: it returns once a run lives or was spawned.
func Begin(ctx context.Context, inst instance.Instance, c Client) (spawned bool, err error) {
	for {
		rec, live, err := Find(inst)
		switch {
		case err != nil:
		case !live:
			_, err := c.Spawn(rand.Text())
			return err == nil, err
		case rec.Phase == Starting || rec.Phase == Ready:
			return false, nil
		case rec.Nonce == "":
			err = pause(ctx)
		default:
			err = awaitExit(ctx, inst, rec.Nonce, c.Step)
		}
		if err != nil {
			return false, err
		}
	}
}

// await follows one run until its own server says the nonce. It returns ErrExited, with the
// recorded reason, as soon as the run is gone. A nil exited means that the run was found, not
// spawned; then the lock says when it is gone.
func await(ctx context.Context, inst instance.Instance, nonce string, exited <-chan error, c Client) error {
	var gone bool
	var end error // of the process, once it is gone
	for last := ""; ; {
		select { // before Find: what it wrote is there by then
		case err := <-exited:
			if errors.Is(err, ErrRunning) {
				return errSuperseded
			}
			gone, end = true, err
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
			return errSuperseded // somebody stops it: wait that out and start anew
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
		return fmt.Errorf("%w: %w (log: %s)", ErrExited, &recorded{rec}, inst.ServiceLog())
	case ours && rec.Phase == Stopped, !ours && end == nil:
		reason = "it was asked to stop meanwhile"
	case lastWords != nil:
		reason = lastWords()
	}
	if reason == "" {
		return fmt.Errorf("%w, and left no reason; see %s and %s", ErrExited, inst.ServiceLog(), inst.ServiceOutput())
	}
	return fmt.Errorf("%w: %s (log: %s)", ErrExited, reason, inst.ServiceLog())
}

// recorded is the failure that a run wrote into its record.
type recorded struct{ rec Record }

func (r *recorded) Error() string { return r.rec.Error }

// ProblemID is empty when the failure is no known problem, or nobody knows it as one.
func (r *recorded) ProblemID() diag.ID { return diag.ID(r.rec.Problem) }

// Stop asks the live run to stop in order and waits until its lock is free. It says whether there
// was a run to stop. Ending ctx ends the waiting, not the stop.
func Stop(ctx context.Context, inst instance.Instance, step func(string)) (was bool, err error) {
	rec, live, err := known(ctx, inst)
	if !live || err != nil {
		return false, err
	}
	if rec.Phase != Stopping {
		if err := interrupt(inst, rec); err != nil && !errors.Is(err, proc.ErrGone) {
			return true, fmt.Errorf("interrupt the service process %d: %w", rec.PID, err)
		}
		// What has been asked for can't be taken back, so this wait is not cut short by ctx.
		heard, cancel := context.WithTimeout(context.WithoutCancel(ctx), hearing)
		_ = acknowledged(heard, inst, rec.Nonce) // one that hears nothing is waited for below
		cancel()
		if ctx.Err() != nil {
			return true, context.Cause(ctx)
		}
	}
	return true, awaitExit(ctx, inst, rec.Nonce, step)
}

// known is Find once it is known which run lives.
func known(ctx context.Context, inst instance.Instance) (rec Record, live bool, err error) {
	for {
		rec, live, err = Find(inst)
		if !live || err != nil || rec.Nonce != "" {
			return rec, live, err
		}
		if err := pause(ctx); err != nil {
			return rec, live, err
		}
	}
}

// Request asks the live run to stop in order, and returns once the run has said that it stops: a
// start that comes right after must not take it for a service that goes on.
func Request(ctx context.Context, inst instance.Instance) (was bool, err error) {
	asked, live, err := known(ctx, inst)
	if !live || err != nil {
		return false, err
	}
	if err := interrupt(inst, asked); err != nil && !errors.Is(err, proc.ErrGone) {
		return true, fmt.Errorf("interrupt the service process %d: %w", asked.PID, err)
	}
	return true, acknowledged(ctx, inst, asked.Nonce)
}

// hearing is how long a stop with a deadline that has passed still waits for the run to say that it stops;
// it takes milliseconds.
const hearing = 2 * time.Second

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
