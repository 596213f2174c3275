package lifecycle

import (
	"context"
	"errors"
	"os"
	"time"

	"rancherdesktop.io/rdd/internal/atomicfile"
	"rancherdesktop.io/rdd/internal/instance"
)

// forcePollInterval is how often a stop looks whether it is forced. Only a stop that waits for guests does.
const forcePollInterval = 100 * time.Millisecond

// Leftovers stands for the nonce of the stop of what a killed run left, which is no run's.
const Leftovers = "leftovers"

// Force makes the stop that is under way, of a run or of what a killed one left, end its guests at once: what
// they have not written to their disks is lost. Without a run there is nothing to force.
func Force(inst instance.Instance) error {
	rec, live, err := Find(inst)
	switch {
	case !live || err != nil:
		return err
	case rec.Nonce == "":
		rec.Nonce = Leftovers
	case (rec.Phase == Starting || rec.Phase == Ready) && !asked(inst, rec.Nonce):
		return errors.New("the service is not stopping: stop it first with: rdd svc stop")
	}
	if isForced(inst, rec.Nonce) {
		return nil
	}
	return atomicfile.Write(inst.ForceFile(), []byte(rec.Nonce))
}

// isForced says whether the stop of the run with that nonce has been forced.
func isForced(inst instance.Instance, nonce string) bool {
	forced, err := os.ReadFile(inst.ForceFile())
	return err == nil && string(forced) == nonce
}

// AwaitForce returns nil once somebody forces the stop of the run with that nonce, and the cause of ctx's
// end when that comes first.
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

// unforced removes what was asked of stops before this one. The caller holds the instance's lock.
func unforced(inst instance.Instance) error {
	if err := os.Remove(inst.ForceFile()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
