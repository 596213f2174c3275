//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// presses is at how many moments Ctrl-C is pressed.
const presses = 10

// A terminal sends Ctrl-C to the whole process group of the command. That ends the waiting, and
// neither the service nor the VM.
func TestCtrlCEndsOnlyTheWaiting(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.set("boot", "300ms")
	before := b.start()
	b.must(0, "vm", "create", "demo", b.template)
	choose := rand.New(rand.NewPCG(1, 1))
	ended := map[int]int{}
	for range presses {
		r := b.interrupted(time.Duration(choose.Int64N(int64(400*time.Millisecond))), "vm", "start", "demo", "--wait")
		ended[r.code]++
		switch r.code {
		case 0: // it was quicker
		case 130:
			if !strings.Contains(r.err, "the waiting only") {
				t.Errorf("it does not say what goes on: %s", r.err)
			}
		case -1: // ended by the signal before it could take it
		default:
			t.Errorf("%+v", r)
		}
		if now := b.record(); now.Nonce != before.Nonce || !b.living() {
			t.Fatal("the service has ended:", now)
		}
		b.must(0, "vm", "start", "demo", "--wait") // joins, or asks when Ctrl-C came before the question
		b.must(0, "vm", "stop", "demo")
	}
	if b.stage.Counted("agents") > presses {
		t.Errorf("%d hostagents for %d starts: Ctrl-C ended some", b.stage.Counted("agents"), presses)
	}
	if ended[130] == 0 {
		t.Error("no command was interrupted; the moments are too late")
	}
	t.Logf("exit codes: %v", ended)
}

// interrupted runs rdd and sends its process group a SIGINT after a while.
func (b *box) interrupted(after time.Duration, args ...string) result {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), hang)
	defer cancel()
	cmd := b.command(ctx, args...)
	var out, problem bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problem
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	timer := time.AfterFunc(after, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) })
	defer timer.Stop()
	err := cmd.Wait()
	if failed := (*exec.ExitError)(nil); err != nil && !errors.As(err, &failed) {
		b.t.Fatal(err)
	}
	return result{code: cmd.ProcessState.ExitCode(), out: out.String(), err: problem.String()}
}
