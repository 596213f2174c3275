package machine

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"rancherdesktop.io/rdd/internal/diag"
)

// exitReason explains why a hostagent ended that nobody had asked to stop. The error is an explainedError.
func (w *worker) exitReason(a *hostagent) error {
	if a.byGuest() {
		return fmt.Errorf("%s: VM %q is started again because it is set to run; to keep it stopped: `rdd vm stop %s`", a.failure.Message, w.vm.Name, w.vm.Name)
	}
	cause := "another program ended it"
	switch {
	case a.failure != nil:
		cause = a.failure.Message
	case a.status != nil:
		cause = a.status.Error()
	case a.exited != nil || a.events.found:
		cause = "its guest has powered off or its QEMU has ended"
	}
	message := fmt.Sprintf("the hostagent of VM %q has ended: %s", w.vm.Name, cause)
	said, failures := logTail(w.vm.HostagentLog(), a.logged)
	if lines := said[max(0, len(said)-maxTailLines):]; len(lines) > 0 {
		message += "\nlast lines of " + w.vm.HostagentLog() + ":\n  " + strings.Join(lines, "\n  ")
	} else {
		message += "; its log is " + w.vm.HostagentLog()
	}
	if console := consoleTail(w.vm); console != "" {
		message += "\n" + console
	}
	p, known := diag.KnownProblem{}, false
	if a.failure != nil {
		p, known = diag.Find(diag.ID(a.failure.Problem))
	}
	if !known {
		p, known = knownProblem(cause, failures, tail(w.vm.SerialLog(), 0))
	}
	if known {
		message += "\n" + p.Advice(runtime.GOOS)
	}
	err := diag.Restore(errors.New(message), string(p.ID), true)
	if a.failure != nil && a.failure.Permanent {
		err = &permanentError{err}
	}
	return &explainedError{err}
}

// explainedError is a failure that was already looked up in the table of known problems.
type explainedError struct{ error }

func (e *explainedError) Unwrap() error { return e.error }

// knownProblem looks up the cause first, then failures in the hostagent's log, and then the console, which may be an
// earlier boot's.
func knownProblem(cause string, failures, console []string) (diag.KnownProblem, bool) {
	if p, known := diag.Match(diag.Host, cause); known {
		return p, true
	}
	if p, known := diag.Match(diag.Host, strings.Join(failures, "\n")); known {
		return p, true
	}
	return diag.Match(diag.Guest, strings.Join(console, "\n"))
}

// describe returns the text of a failure, with what a known problem means and what to do, and the problem's ID.
func describe(err error) (message, problem string) {
	message = err.Error()
	p, known := diag.Of(err)
	if _, explained := errors.AsType[*explainedError](err); !explained {
		var advice string
		if p, advice, known = diag.AdviceFor(err, runtime.GOOS); advice != "" {
			message += "\n" + advice
		}
	}
	if known {
		problem = string(p.ID)
	}
	return message, problem
}

// hostagentExited handles the end of a hostagent that was running its VM.
func (w *worker) hostagentExited(ctx context.Context, a *hostagent) {
	w.hostagent = nil
	err := w.exitReason(a)
	w.config.Log.Warn("VM: its hostagent has ended", "vm", w.vm.Name, "asked", a.stopRequested, "error", err)
	if !a.stopRequested {
		_, permanent := errors.AsType[*permanentError](err)
		// Before it is said to be down: whoever saw that and no failure would start it again without a pause.
		w.change(func(s *State) {
			message, problem := describe(err)
			s.Failure = &Failure{Action: Start, Message: message, Problem: problem, Permanent: permanent, At: time.Now(), ByGuest: a.byGuest()}
			if a.answered && !a.byGuest() {
				s.Exits++
			}
		})
	}
	if err := w.reconcile(ctx); err != nil {
		w.fail(Stop, err)
	}
}
