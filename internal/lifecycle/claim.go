package lifecycle

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"rancherdesktop.io/rdd/internal/instance"
	"rancherdesktop.io/rdd/internal/proc"
)

// Claim is the right to run an instance. A client that starts a run takes the claim first and passes it to the process, so that
// every client sees the run from the beginning.
type Claim struct {
	Nonce string
	locks []*proc.Lock // of the instance and, except for Leftovers, of the run
}

// The flags by which a program of ours gets a claim.
const (
	FlagNonce = "nonce"
	FlagClaim = "claim"
)

// Take claims the instance for a new run or, with the nonce Leftovers, for the stop of what a killed run left, which is not
// a run. It returns ErrRunning when another process has the instance.
func Take(inst instance.Instance, nonce string) (*Claim, error) {
	lock, err := proc.Acquire(inst.LockFile())
	if errors.Is(err, proc.ErrLocked) {
		return nil, ErrRunning
	}
	if err != nil {
		return nil, fmt.Errorf("take the instance's lock: %w", err)
	}
	c := &Claim{nonce, []*proc.Lock{lock}}
	if nonce == Leftovers { // an earlier stop was forced, or asked to restart, not this one
		err = errors.Join(os.RemoveAll(inst.ForceFile()), os.RemoveAll(inst.AskFile()))
	} else {
		err = c.takeRunLock(inst)
	}
	if err != nil {
		return nil, errors.Join(err, c.Release())
	}
	return c, nil
}

// takeRunLock takes the lock of the run, and removes the locks of runs that were killed. The claim has the instance's lock, so
// there is no other run.
func (c *Claim) takeRunLock(inst instance.Instance) error {
	dir, pattern := filepath.Split(inst.RunLock("*"))
	stale, err := fs.Glob(os.DirFS(dir), pattern) // filepath.Glob would take a [ in dir for a pattern
	for _, name := range stale {
		err = errors.Join(err, os.RemoveAll(filepath.Join(dir, name)))
	}
	if err == nil {
		var lock *proc.Lock
		if lock, err = proc.Acquire(inst.RunLock(c.Nonce)); err == nil {
			c.locks = append(c.locks, lock)
			return nil
		}
	}
	return fmt.Errorf("take the run's lock: %w", err)
}

// Pass makes cmd, one of our programs, hold the claim as well, and adds the flags that tell it so.
func (c *Claim) Pass(cmd *exec.Cmd) error {
	var ids []string
	for _, lock := range c.locks {
		id, err := lock.Pass(cmd)
		if err != nil {
			return err
		}
		ids = append(ids, id)
	}
	cmd.Args = append(cmd.Args, "--"+FlagNonce, c.Nonce, "--"+FlagClaim, strings.Join(ids, ","))
	return nil
}

// Inherited returns the claim that the parent of this process has passed to it by these flags. If it has passed none,
// Inherited takes the claim.
func Inherited(inst instance.Instance, nonce, claim string) (*Claim, error) {
	if claim == "" {
		return Take(inst, nonce)
	}
	c := &Claim{Nonce: nonce}
	path := inst.LockFile()
	for id := range strings.SplitSeq(claim, ",") {
		lock, err := proc.Inherited(id, path)
		if err != nil {
			return nil, err
		}
		c.locks = append(c.locks, lock)
		path = inst.RunLock(nonce)
	}
	return c, nil
}

// Release gives the claim up. A process to which it was passed still holds it.
func (c *Claim) Release() (err error) {
	for _, lock := range slices.Backward(c.locks) { // the run's first: no client may find its record while another process has the instance
		err = errors.Join(err, lock.Release())
	}
	return err
}

// stepSpawned is the step of a run whose process has not reported anything yet.
const stepSpawned = "starting the process"

// begin claims the instance and spawns a run. It returns ErrRunning when another process has the instance, or removes it.
func (c Client) begin(inst instance.Instance) (nonce string, exited <-chan error, err error) {
	if err := inst.Create(); err != nil { // it may have been deleted meanwhile
		return "", nil, err
	}
	claim, err := Take(inst, rand.Text())
	if errors.Is(err, os.ErrNotExist) { // it was deleted after Create
		err = ErrRunning
	}
	if err != nil {
		return "", nil, err
	}
	defer func() { err = errors.Join(err, claim.Release()) }()
	if err := inst.Create(); err != nil { // with the lock held, so that no deletion interferes
		return "", nil, err
	}
	exited, err = c.spawnRecorded(inst, claim)
	return claim.Nonce, exited, err
}

// spawnRecorded spawns a run that Find returns from the beginning. When that fails, the record is the last run's again.
func (c Client) spawnRecorded(inst instance.Instance, claim *Claim) (exited <-chan error, err error) {
	last, err := Last(inst)
	if err != nil {
		return nil, err
	}
	if err := write(inst, Record{Nonce: claim.Nonce, Phase: Starting, Step: stepSpawned}); err != nil {
		return nil, err
	}
	if exited, err = c.Spawn(claim); err != nil {
		err = errors.Join(err, write(inst, last))
	}
	return exited, err
}
