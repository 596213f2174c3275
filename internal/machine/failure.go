package machine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"rancherdesktop.io/rdd/internal/diag"
	"rancherdesktop.io/rdd/internal/machine/event"
	"rancherdesktop.io/rdd/internal/machine/layout"
)

// exitReason explains why a hostagent has ended.
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
	p, known := diag.KnownProblem{}, false
	if a.failure != nil {
		p, known = diag.Find(diag.ID(a.failure.Problem))
	}
	said, failures := logTail(w.vm.HostagentLog(), a.logged)
	switch {
	case p.ID == diag.GuestRefused: // the cause names the console; the log has nothing more
	case len(said) > 0:
		message += "\nlast lines of " + w.vm.HostagentLog() + ":" + lastLines(said)
	default:
		message += "; its log is " + w.vm.HostagentLog()
	}
	if console := consoleTail(w.vm); console != "" && p.ID != diag.GuestRefused {
		message += "\n" + console
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

// explainedError is a failure that was looked up in the table of known problems already.
type explainedError struct{ error }

func (e *explainedError) Unwrap() error { return e.error }

// knownProblem looks up the cause, then the failures in the hostagent's log, then the console, which may be an earlier
// boot's.
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
	p, advice, _ := diag.AdviceFor(err, runtime.GOOS)
	if _, explained := errors.AsType[*explainedError](err); explained {
		p, _ = diag.Of(err)
		advice = ""
	}
	return strings.TrimSuffix(err.Error()+"\n"+advice, "\n"), string(p.ID)
}

// hostagentExited handles the end of a hostagent whose VM ran.
func (w *worker) hostagentExited(ctx context.Context, a *hostagent) {
	w.hostagent = nil
	if a.nonce == "" {
		if next, err := w.adopt(); err == nil && next != nil { // it has written its record
			w.hostagent = next
			w.readEvents(next)
			return
		}
	}
	err := w.exitReason(a)
	w.config.Log.Warn("VM: its hostagent has ended", "vm", w.vm.Name, "stopRequested", a.stopRequested, "error", err)
	if !a.stopRequested {
		f := w.newFailure(Start, err)
		f.ByGuest = a.byGuest()
		// The failure is set before the phase: the controller would start a VM again at once that is stopped without one.
		w.change(func(s *State) {
			s.Failure = f
			if a.answered && !f.ByGuest {
				s.Exits++
			}
		})
	}
	if err := w.reconcile(ctx); err != nil {
		w.failLeft(err)
	}
}

// markOverdue adds to the progress of a step that takes too long how late it is, the end of the console, and what to do.
func (w *worker) markOverdue(s State) {
	p := s.Progress
	if s.Phase != Starting || p == nil {
		return
	}
	limit := w.timeouts.stepTimeout(p.Phase, s.Accelerator)
	over := time.Since(p.StartedAt)
	if over < limit || strings.HasPrefix(p.Message, overduePrefix) {
		return
	}
	late := *p
	late.Message = fmt.Sprintf("%s%s for more than %s (%s)", overduePrefix, p.Phase, limit, p.Message)
	if console := consoleTail(w.vm); console != "" {
		late.Message += "\n" + console
	}
	if problem, known := w.overdueProblem(p.Phase); known {
		late.Message += "\n" + problem.Advice(runtime.GOOS)
	}
	w.config.Log.Warn("VM: a step takes long", "vm", w.vm.Name, "phase", p.Phase, "limit", limit)
	w.change(func(s *State) { s.Progress = &late })
}

// overdueProblem finds out from console and log why a step takes long. If they don't tell, it returns the likely reason.
func (w *worker) overdueProblem(phase string) (diag.KnownProblem, bool) {
	_, failures := logTail(w.vm.HostagentLog(), w.hostagent.logged)
	if p, known := knownProblem("", failures, tail(w.vm.SerialLog(), 0)); known {
		return p, true
	}
	switch phase {
	case event.Boot:
		return diag.Find(diag.SSHSilent)
	case event.Guest:
		return diag.Find(diag.GuestScripts)
	}
	return diag.KnownProblem{}, false
}

// overduePrefix begins the message of a step that takes too long.
const overduePrefix = "still in the phase "

// consoleTail returns the last lines of the guest's console, with the file's name.
func consoleTail(vm layout.VM) string {
	lines := tail(vm.SerialLog(), 0)
	if len(lines) == 0 {
		return ""
	}
	return "last lines of its console, " + vm.SerialLog() + ":" + lastLines(lines)
}

// logTail returns warnings, failures and lines that are not Lima's from the end of a hostagent's log. from is the offset
// where the run begins. A warning, such as one of a port that can't be forwarded, is no failure.
func logTail(path string, from int64) (said, failures []string) {
	for _, line := range tail(path, from) {
		var l struct{ Level, Msg, Error string }
		if json.Unmarshal([]byte(line), &l) != nil {
			l.Level, l.Msg = "panic", line // or the output of a program
		}
		if l.Error != "" {
			l.Msg += ": " + l.Error
		}
		switch {
		case l.Level == "warning":
			said = append(said, l.Msg)
		case slices.Contains([]string{"error", "fatal", "panic"}, l.Level), strings.HasPrefix(l.Msg, "qemu[stderr]"), strings.HasPrefix(l.Msg, "Driver stopped"):
			said, failures = append(said, l.Msg), append(failures, l.Msg)
		}
	}
	return said, failures
}

// lastLines puts the last few lines below a line of a message.
func lastLines(lines []string) string {
	return "\n  " + strings.Join(lines[max(0, len(lines)-maxTailLines):], "\n  ")
}

// tail returns the last lines of a file, but none before the offset from. It drops control characters and empty lines. A
// file that is shorter than from was rotated.
func tail(path string, from int64) []string {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil
	}
	if from > info.Size() {
		from = 0
	}
	if _, err := f.Seek(max(from, info.Size()-maxTailSize), io.SeekStart); err != nil {
		return nil
	}
	b, err := io.ReadAll(io.LimitReader(f, maxTailSize))
	if err != nil {
		return nil
	}
	var lines []string
	for line := range bytes.Lines(b) {
		if text := strings.TrimSpace(printable(string(line))); text != "" {
			lines = append(lines, text)
		}
	}
	return lines
}

// printable drops control characters, so that a guest's text can't control the user's terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' && r != '\n' || r == 0x7f || r == '\uFFFD' {
			return -1
		}
		return r
	}, s)
}

// How much of a log is shown in a message.
const (
	maxTailSize  = 16 << 10
	maxTailLines = 6
)
