package lifecycle

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"rancherdesktop.io/rdd/internal/atomicfile"
	"rancherdesktop.io/rdd/internal/instance"
	"rancherdesktop.io/rdd/internal/proc"
)

// Next is the command that starts the service again. A run that was asked to restart runs it after its own end, so that a
// restart goes on when no client waits for it any more. It may hold secrets, as an environment does.
type Next struct {
	Program string   `json:"program"`
	Args    []string `json:"args"`
	Dir     string   `json:"dir"`
	Env     []string `json:"env"`
}

// stopRequest asks a run to stop, and to start Next afterwards. It is kept in a file; the last request counts.
type stopRequest struct {
	Nonce string `json:"nonce"`
	Next  *Next  `json:"next,omitempty"` // nil: start nothing
}

// readRequest returns the stop request for the run with that nonce; ok is false when there is none.
func readRequest(inst instance.Instance, nonce string) (r stopRequest, ok bool) {
	err := atomicfile.ReadJSON(inst.AskFile(), &r)
	return r, err == nil && r.Nonce == nonce
}

// stopRequested reports whether the run was asked to stop. A run that has ended removes its request, even after it has
// published its last record.
func stopRequested(inst instance.Instance, nonce string) bool {
	_, ok := readRequest(inst, nonce)
	return ok
}

// RequestNext makes the holder of the claim start the service again when it has ended.
func (c *Claim) RequestNext(inst instance.Instance, next Next) error {
	return atomicfile.WriteJSON(inst.AskFile(), stopRequest{c.Nonce, &next})
}

// stopAckTimeout is how long a stop still waits for the run's acknowledgement after its context has ended. The
// acknowledgement takes milliseconds.
const stopAckTimeout = 5 * time.Second

// awaitAck waits until the run has reported that it stops, or has ended. The request can't be withdrawn, so the end of ctx
// doesn't cut the wait short.
func awaitAck(ctx context.Context, inst instance.Instance, nonce string) {
	if acknowledged(ctx, inst, nonce) == nil {
		return
	}
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopAckTimeout)
	defer cancel()
	_ = acknowledged(late, inst, nonce) // the caller waits for the end of a run that doesn't answer
}

// requestStop asks a run to stop, and to start what next returns, unless next is nil. It returns once the run has
// acknowledged the request. follows says whether the run was asked early enough to start the next one itself.
func requestStop(ctx context.Context, inst instance.Instance, run Record, next func() (Next, error)) (follows bool, err error) {
	request := stopRequest{Nonce: run.Nonce}
	if next != nil {
		n, err := next()
		if err != nil {
			return false, err
		}
		request.Next = &n
	}
	if err := atomicfile.WriteJSON(inst.AskFile(), request); err != nil {
		return false, fmt.Errorf("ask the service to stop: %w", err)
	}
	now, live, err := Find(inst) // after the request was written: either the run sees that, or this sees the run's process
	if !live || err != nil || now.Nonce != run.Nonce {
		return false, err
	}
	if now.PID != 0 && (now.Phase == Starting || now.Phase == Ready) {
		if err := interrupt(inst, now); err != nil && !errors.Is(err, proc.ErrGone) {
			return false, fmt.Errorf("interrupt the service process %d: %w", now.PID, err)
		}
		awaitAck(ctx, inst, run.Nonce)
	}
	return now.Phase != Stopped && now.Phase != Failed, nil
}

// Follow starts what the run of this claim was asked to start. The run has published its last record before.
func (c *Claim) Follow(inst instance.Instance) (err error) {
	request, ok := readRequest(inst, c.Nonce)
	if !ok {
		return nil
	}
	if err := os.RemoveAll(inst.AskFile()); err != nil || request.Next == nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, write(inst, Record{Nonce: c.Nonce, Phase: Failed, Error: "start the service again: " + err.Error()}))
		}
	}()
	own := &Claim{locks: c.locks[1:]}
	c.locks = c.locks[:1]
	if err := own.Release(); err != nil {
		return err
	}
	next := &Claim{rand.Text(), c.locks}
	if err := next.takeRunLock(inst); err != nil {
		return err
	}
	c.locks = next.locks // so that they stay open to the end of this process
	output, err := os.OpenFile(inst.ServiceOutput(), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer output.Close()
	cmd := exec.Command(request.Next.Program, request.Next.Args...)
	cmd.Dir, cmd.Env, cmd.Stderr = request.Next.Dir, request.Next.Env, output
	if err := next.Pass(cmd); err != nil {
		return err
	}
	if err := write(inst, Record{Nonce: next.Nonce, Phase: Starting, Step: stepSpawned}); err != nil {
		return err
	}
	return proc.Spawn(cmd)
}

// forcePollInterval is how often a stop that waits for guests checks whether it is forced.
const forcePollInterval = 100 * time.Millisecond

// Leftovers is used in place of a nonce by the stop of what a killed run left, which is not a run.
const Leftovers = "leftovers"

// Force makes the stop that is under way, of a run or of what a killed run left, end its guests immediately: what they have
// not written to their disks is lost. Without a stop there is nothing to force.
func Force(inst instance.Instance) error {
	rec, live, err := Find(inst)
	switch {
	case !live || err != nil:
		return err
	case rec.Nonce == "":
		rec.Nonce = Leftovers
	case (rec.Phase == Starting || rec.Phase == Ready) && !stopRequested(inst, rec.Nonce):
		return errors.New("the service is not stopping: stop it first with: rdd svc stop")
	}
	if isForced(inst, rec.Nonce) {
		return nil
	}
	return atomicfile.Write(inst.ForceFile(), []byte(rec.Nonce))
}

// isForced reports whether the stop of the run with that nonce was forced.
func isForced(inst instance.Instance, nonce string) bool {
	forced, err := os.ReadFile(inst.ForceFile())
	return err == nil && string(forced) == nonce
}

// AwaitForce returns nil once a client forces the stop of the run with that nonce, or the cause of ctx's end if that comes
// first.
func AwaitForce(ctx context.Context, inst instance.Instance, nonce string) error {
	for !isForced(inst, nonce) {
		if err := pause(ctx, forcePollInterval); err != nil {
			return err
		}
	}
	return nil
}
