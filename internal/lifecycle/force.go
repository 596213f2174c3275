package lifecycle

import (
	"context"
	"errors"
	"os"
	"time"

	"rancherdesktop.io/rdd/internal/atomicfile"
	"rancherdesktop.io/rdd/internal/instance"
)

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
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(forcePollInterval):
		}
	}
	return nil
}

// clearForce forgets that earlier stops were forced. The caller holds the instance's lock.
func clearForce(inst instance.Instance) error { return os.RemoveAll(inst.ForceFile()) }
