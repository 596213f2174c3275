package machine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"

	"rancherdesktop.io/rdd/internal/diag"
	"rancherdesktop.io/rdd/internal/machine/event"
	"rancherdesktop.io/rdd/internal/proc"
)

// errStalled ends a child that has reported nothing for too long.
var errStalled = errors.New("it has said nothing for too long")

// runCommand runs a command of rdd-lima for the VM and turns its events into progress. The child ends with this process.
func (w *worker) runCommand(ctx context.Context, stdin []byte, command string, flags ...string) error {
	args := append([]string{command, "--lima-home", w.vm.Home}, flags...)
	silent, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watchdog := time.AfterFunc(w.timeouts.stallTimeout, func() { cancel(errStalled) })
	defer watchdog.Stop()
	var last event.Event
	heard := func(e event.Event) {
		watchdog.Reset(w.timeouts.stallTimeout)
		if e.Phase != "" {
			w.progress(e)
			e.Failure, e.OK = last.Failure, last.OK
		}
		last = e
	}
	if err := runProgram(silent, w.config.Program, append(args, w.vm.Name), stdin, w.timeouts.interruptTimeout, heard); err != nil {
		return w.commandError(ctx, silent, command, last, err)
	}
	if !last.OK {
		return w.commandError(ctx, silent, command, last, errors.New("it ended without a result"))
	}
	return nil
}

// commandError explains why a child's command failed.
func (w *worker) commandError(ctx, silent context.Context, command string, last event.Event, err error) error {
	what := fmt.Sprintf("%s VM %q", command, w.vm.Name)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case last.Failure != nil:
		err := diag.Restore(fmt.Errorf("%s: %s", what, last.Failure.Message), last.Failure.Problem, last.Failure.Advised)
		if last.Failure.Permanent {
			err = &permanentError{err}
		}
		return err
	case silent.Err() != nil:
		phase := "start"
		if p := w.snapshot().Progress; p != nil {
			phase = p.Phase
		}
		err := fmt.Errorf("%s: it stalled in the phase %q (%w, %s) and was ended", what, phase, context.Cause(silent), w.timeouts.stallTimeout)
		if slices.Contains([]string{event.Image, event.Kernel, event.Initrd, event.Containerd}, phase) {
			err = diag.Mark(diag.DownloadCut, err)
		}
		return err
	}
	return fmt.Errorf("%s: rdd-lima failed: %w", what, err)
}

// progress shows a step of a child. The time it began is kept as long as the step lasts.
func (w *worker) progress(e event.Event) {
	if w.boots && e.Steps > 0 {
		w.prepared = e.Steps
		e.Steps += event.BootSteps
	}
	w.change(func(s *State) {
		p := progressOf(e)
		if old := s.Progress; old != nil && old.Phase == p.Phase && old.Step == p.Step {
			p.StartedAt = old.StartedAt
		}
		s.Progress = p
	})
}

// maxStderrSize is how much of a child's stderr is kept for an error.
const maxStderrSize = 4 << 10

// runProgram runs a program that reports events on stdout. When ctx ends it is interrupted, and killed
// after grace with all that it started, such as qemu-img.
func runProgram(ctx context.Context, program string, args []string, stdin []byte, grace time.Duration, heard func(event.Event)) error {
	cmd := exec.Command(program, args...)
	cmd.Stdin = bytes.NewReader(stdin)
	stderr := &tailBuffer{limit: maxStderrSize}
	cmd.Stderr = stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	tree, err := proc.Start(ctx, cmd, grace)
	if err != nil {
		return err
	}
	odd := event.Read(out, heard, func(line string) { _, _ = stderr.Write([]byte(line + "\n")) })
	err = tree.Wait()
	if err == nil {
		err = odd
	}
	if text := strings.TrimSpace(stderr.String()); err != nil && text != "" {
		err = fmt.Errorf("%w: %s", err, text)
	}
	return err
}

// tailBuffer keeps the end of what is written to it.
type tailBuffer struct {
	limit int
	b     []byte
}

func (t *tailBuffer) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	if over := len(t.b) - t.limit; over > 0 {
		t.b = t.b[over:]
	}
	return len(p), nil
}

func (t *tailBuffer) String() string { return string(t.b) }
