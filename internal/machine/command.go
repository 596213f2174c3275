package machine

import (
	"bytes"
	"cmp"
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

// errStalled is why a child is ended that has reported nothing for stallTimeout.
var errStalled = errors.New("it has said nothing for too long")

// runCommand runs a command of rdd-lima for the VM and shows its events as progress. The child ends with this process.
func (w *worker) runCommand(ctx context.Context, job *event.Job, command string, flags ...string) error {
	running, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watchdog := time.AfterFunc(w.timeouts.stallTimeout, func() { cancel(errStalled) })
	defer watchdog.Stop()
	args := slices.Concat([]string{command, "--lima-home", w.vm.Home}, flags, []string{w.vm.Name})
	failure, err := runProgram(running, w.config.Program, args, job, w.timeouts.interruptTimeout, func(e event.Event) {
		watchdog.Reset(w.timeouts.stallTimeout)
		if e.Phase != "" {
			w.progress(e)
		}
	})
	what := fmt.Sprintf("%s VM %q", command, w.vm.Name)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case failure != nil:
		err := diag.Restore(fmt.Errorf("%s: %s", what, failure.Message), failure.Problem, failure.Advised)
		if failure.Permanent {
			err = &permanentError{err}
		}
		return err
	case running.Err() != nil:
		return w.stalled(what, context.Cause(running))
	}
	return fmt.Errorf("%s: rdd-lima failed: %w", what, err)
}

// stalled names the phase in which a command was ended because it stalled.
func (w *worker) stalled(what string, cause error) error {
	phase := "start"
	if p := w.snapshot().Progress; p != nil {
		phase = p.Phase
	}
	err := fmt.Errorf("%s: it stalled in the phase %q (%w, %s) and was ended", what, phase, cause, w.timeouts.stallTimeout)
	if slices.Contains([]string{event.Image, event.Kernel, event.Initrd, event.Containerd}, phase) {
		err = diag.Mark(diag.DownloadCut, err)
	}
	return err
}

// progress shows a step of a child.
func (w *worker) progress(e event.Event) {
	if w.boots && e.Steps > 0 {
		w.prepared = e.Steps
		e.Steps += event.BootSteps
	}
	w.change(func(s *State) { s.setProgress(e) })
}

// validateTimeout bounds the check of a template, which takes some 30 ms.
const validateTimeout = 15 * time.Second

// Validate asks Lima whether it accepts a template with these params and, when vm names a VM that has a disk here, whether
// they fit that disk. What Lima doesn't accept is a *TemplateError.
func (m *Manager) Validate(ctx context.Context, vm string, template []byte, params map[string]string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, validateTimeout, fmt.Errorf("%w: Lima did not judge the template within %s", context.DeadlineExceeded, validateTimeout))
	defer cancel()
	args := []string{"validate", "--lima-home", m.config.LimaHome}
	if vm != "" {
		args = append(args, vm)
	}
	job := &event.Job{Template: string(template), Params: params}
	failure, err := runProgram(ctx, m.config.Program, args, job, m.timeouts.interruptTimeout, func(event.Event) {})
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case failure != nil && failure.Permanent:
		return &TemplateError{Field: failure.Field, Message: strings.TrimPrefix(failure.Message, failure.Field+": ")}
	case failure != nil:
		return fmt.Errorf("check the template: %s", failure.Message)
	}
	return fmt.Errorf("check the template: rdd-lima failed: %w", err)
}

// maxStderrSize is how much of a child's stderr is kept for an error.
const maxStderrSize = 4 << 10

// runProgram runs a program that reads the job, if there is one, and reports events on stdout. When ctx ends, the program is
// interrupted, and killed after grace with all that it started, such as qemu-img. failure is why it failed, if it said so.
func runProgram(ctx context.Context, program string, args []string, job *event.Job, grace time.Duration, heard func(event.Event)) (failure *event.Failure, err error) {
	cmd := exec.Command(program, args...)
	if job != nil {
		b, err := job.Bytes()
		if err != nil {
			return nil, err
		}
		cmd.Stdin = bytes.NewReader(b)
	}
	stderr := &tailBuffer{limit: maxStderrSize}
	cmd.Stderr = stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	tree, err := proc.Start(ctx, cmd, grace)
	if err != nil {
		return nil, err
	}
	ok := false
	readErr := event.Read(out, func(e event.Event) {
		ok = ok || e.OK
		failure = cmp.Or(e.Failure, failure)
		heard(e)
	}, func(line string) { _, _ = stderr.Write([]byte(line + "\n")) })
	err = cmp.Or(tree.Wait(), readErr)
	if err == nil && !ok {
		err = errors.New("it ended without a result")
	}
	if text := strings.TrimSpace(stderr.String()); err != nil && text != "" {
		err = fmt.Errorf("%w: %s", err, text)
	}
	return failure, err
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
