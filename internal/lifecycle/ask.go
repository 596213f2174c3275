package lifecycle

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"rancherdesktop.io/rdd/internal/atomicfile"
	"rancherdesktop.io/rdd/internal/instance"
	"rancherdesktop.io/rdd/internal/proc"
)

// Next is how the service is started again: what a run does for others when it has ended, so that a
// restart goes on when nobody waits for it any more. It may hold secrets, as an environment does.
type Next struct {
	Program string   `json:"program"`
	Args    []string `json:"args"`
	Dir     string   `json:"dir"`
	Env     []string `json:"env"`
}

// ask is what somebody wants of a run: that it stops, and what is to follow. It is kept in a file. The
// last request counts.
type ask struct {
	Nonce string `json:"nonce"`
	Next  *Next  `json:"next,omitempty"` // nil: nothing
}

// writeAsk asks a run, or Leftovers, whose end somebody who holds the instance's lock waits for.
func writeAsk(inst instance.Instance, a ask) error {
	b, err := json.Marshal(a)
	if err != nil {
		return err
	}
	return atomicfile.Write(inst.AskFile(), b)
}

// readAsk returns what the run was asked; false when it was not.
func readAsk(inst instance.Instance, nonce string) (a ask, ok bool) {
	b, err := os.ReadFile(inst.AskFile())
	return a, err == nil && json.Unmarshal(b, &a) == nil && a.Nonce == nonce
}

// asked says whether the run was asked to stop.
func asked(inst instance.Instance, nonce string) bool {
	_, ok := readAsk(inst, nonce)
	return ok
}

// taken says whether a run that has ended has read what it was asked, even after its last word.
func taken(inst instance.Instance, nonce string) bool { return !asked(inst, nonce) }

// AskFollow has whoever holds claim start the service again when it has ended.
func (c *Claim) AskFollow(inst instance.Instance, next Next) error {
	return writeAsk(inst, ask{c.Nonce, &next})
}

// stopAckTimeout is how long a stop whose waiting has ended still waits for the run to say that it stops; it
// takes milliseconds.
const stopAckTimeout = 2 * time.Second

// heard waits until the run has said that it stops, or is gone. What has been asked for can't be taken
// back, so the wait is not cut short by ctx.
func heard(ctx context.Context, inst instance.Instance, nonce string) {
	if acknowledged(ctx, inst, nonce) == nil {
		return
	}
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopAckTimeout)
	defer cancel()
	_ = acknowledged(late, inst, nonce) // one that hears nothing is waited for
}

// askToStop asks a run to stop, and to be followed by next unless that is nil. It returns once the run
// has heard. It says whether the run was early enough to start next itself.
func askToStop(ctx context.Context, inst instance.Instance, rec Record, next *Next) (follows bool, err error) {
	if err := writeAsk(inst, ask{rec.Nonce, next}); err != nil {
		return false, fmt.Errorf("ask the service to stop: %w", err)
	}
	now, live, err := Find(inst) // after the file was written: either the run sees it, or we its process
	if !live || err != nil || now.Nonce != rec.Nonce {
		return false, err
	}
	if now.PID != 0 && (now.Phase == Starting || now.Phase == Ready) {
		if err := interrupt(inst, now); err != nil && !errors.Is(err, proc.ErrGone) {
			return false, fmt.Errorf("interrupt the service process %d: %w", now.PID, err)
		}
		heard(ctx, inst, rec.Nonce)
	}
	return now.Phase != Stopped && now.Phase != Failed, nil
}

// Follow starts what the run of this claim, which has said its last word, was asked to be followed by.
func (c *Claim) Follow(inst instance.Instance) (err error) {
	a, ok := readAsk(inst, c.Nonce)
	if !ok {
		return nil
	}
	if err := os.Remove(inst.AskFile()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if a.Next == nil {
		return nil
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, write(inst, Record{Nonce: c.Nonce, Phase: Failed, Error: "start the service again: " + err.Error()}))
		}
	}()
	if c.own != nil {
		if err := c.own.Release(); err != nil {
			return err
		}
	}
	nonce := rand.Text()
	if c.own, err = takeRunLock(inst, nonce); err != nil {
		return err
	}
	output, err := os.OpenFile(inst.ServiceOutput(), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer output.Close()
	cmd := exec.Command(a.Next.Program, a.Next.Args...)
	cmd.Dir, cmd.Env, cmd.Stderr = a.Next.Dir, a.Next.Env, output
	if err := (&Claim{nonce, c.lock, c.own}).Pass(cmd); err != nil {
		return err
	}
	if err := write(inst, Record{Nonce: nonce, Phase: Starting, Step: stepSpawned}); err != nil {
		return err
	}
	return proc.Spawn(cmd)
}
