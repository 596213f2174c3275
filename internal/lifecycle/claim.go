package lifecycle

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"rancherdesktop.io/rdd/internal/atomicfile"
	"rancherdesktop.io/rdd/internal/instance"
	"rancherdesktop.io/rdd/internal/proc"
)

// Claim is the right to run an instance: its lock, and that of the run. Whoever starts a run takes the
// claim first and passes it to the process, so that there is no moment at which a service has been
// started and nobody sees it.
type Claim struct {
	Nonce string
	lock  *proc.Lock // of the instance
	own   *proc.Lock // of the run; nil for Leftovers
}

// TakeLeftovers claims the instance for the stop of what a killed run left, which is no run. It returns
// ErrRunning when the instance is taken.
func TakeLeftovers(inst instance.Instance) (*Claim, error) {
	lock, err := proc.Acquire(inst.LockFile())
	if errors.Is(err, proc.ErrLocked) {
		return nil, ErrRunning
	}
	if err != nil {
		return nil, fmt.Errorf("take the instance's lock: %w", err)
	}
	if err := unforced(inst); err != nil {
		return nil, errors.Join(err, lock.Release())
	}
	return &Claim{Nonce: Leftovers, lock: lock}, nil
}

// The flags by which a program of ours gets a claim.
const (
	FlagNonce = "nonce"
	FlagClaim = "claim"
)

// Take claims the instance for a new run. It returns ErrRunning when the instance is taken.
func Take(inst instance.Instance, nonce string) (*Claim, error) {
	lock, err := proc.Acquire(inst.LockFile())
	if errors.Is(err, proc.ErrLocked) {
		return nil, ErrRunning
	}
	if err != nil {
		return nil, fmt.Errorf("take the instance's lock: %w", err)
	}
	own, err := takeRunLock(inst, nonce)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("take the run's lock: %w", err), lock.Release())
	}
	return &Claim{nonce, lock, own}, nil
}

// Pass has cmd, one of our programs, hold the claim as well, and tells it so.
func (c *Claim) Pass(cmd *exec.Cmd) error {
	var ids []string
	for _, lock := range []*proc.Lock{c.lock, c.own} {
		if lock == nil {
			continue
		}
		id, err := lock.Pass(cmd)
		if err != nil {
			return err
		}
		ids = append(ids, id)
	}
	cmd.Args = append(cmd.Args, "--"+FlagNonce, c.Nonce, "--"+FlagClaim, strings.Join(ids, ","))
	return nil
}

// Inherited is the claim that whoever started this process has passed to it by these flags. Without
// one it is taken.
func Inherited(inst instance.Instance, nonce, claim string) (*Claim, error) {
	switch {
	case claim == "" && nonce == Leftovers:
		return TakeLeftovers(inst)
	case claim == "":
		return Take(inst, nonce)
	}
	instanceID, runID, served := strings.Cut(claim, ",")
	lock, err := proc.Inherited(instanceID, inst.LockFile())
	if err != nil || !served {
		return &Claim{Nonce: nonce, lock: lock}, err
	}
	own, err := proc.Inherited(runID, inst.RunLock(nonce))
	return &Claim{nonce, lock, own}, err
}

// Release gives the claim up, unless it was passed on.
func (c *Claim) Release() error {
	err := c.lock.Release()
	if c.own != nil {
		err = errors.Join(c.own.Release(), err)
	}
	return err
}

// stepSpawned is the step of a run whose process has not said anything yet.
const stepSpawned = "starting the process"

// begin claims the instance and spawns a run. It returns ErrRunning when the instance is taken, or just goes.
func (c Client) begin(inst instance.Instance) (nonce string, exited <-chan error, err error) {
	if err := inst.Create(); err != nil { // it may have been deleted meanwhile
		return "", nil, err
	}
	claim, err := Take(inst, rand.Text())
	if errors.Is(err, os.ErrNotExist) { // a deletion has come between
		err = ErrRunning
	}
	if err != nil {
		return "", nil, err
	}
	defer func() { err = errors.Join(err, claim.Release()) }()
	if err := inst.Create(); err != nil { // now nobody deletes it
		return "", nil, err
	}
	exited, err = introduced(inst, claim.Nonce, func() (<-chan error, error) { return c.Spawn(claim) })
	return claim.Nonce, exited, err
}

// introduced spawns a run that is found from now on. One that can't be spawned has never been.
func introduced[T any](inst instance.Instance, nonce string, spawn func() (T, error)) (t T, err error) {
	before, err := os.ReadFile(inst.RecordFile())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return t, err
	}
	if err := write(inst, Record{Nonce: nonce, Phase: Starting, Step: stepSpawned}); err != nil {
		return t, err
	}
	t, err = spawn()
	switch {
	case err == nil:
	case before == nil:
		err = errors.Join(err, Forget(inst))
	default:
		err = errors.Join(err, atomicfile.Write(inst.RecordFile(), before))
	}
	return t, err
}
