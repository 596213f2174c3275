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

// How much of a log is shown in a message.
const (
	maxTailSize  = 16 << 10
	maxTailLines = 6
)

// exitReason says why a hostagent has ended that nobody asked to end. The error is an explainedError.
func (w *worker) exitReason(a *hostagent) error {
	if a.byGuest() {
		return fmt.Errorf("%s: VM %q is started again, because it is to run; `rdd limavm stop %s` stops it for good", a.failure.Message, w.vm.Name, w.vm.Name)
	}
	cause := "it was ended from outside"
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
	if p, known := knownProblem(cause, failures, tail(w.vm.SerialLog(), 0)); known {
		message += "\n" + p.Advice(runtime.GOOS)
	}
	err := errors.New(message)
	if a.failure != nil && a.failure.Permanent {
		err = &permanentError{err}
	}
	return &explainedError{err}
}

// explainedError is a failure that the table of known problems was asked about already.
type explainedError struct{ error }

func (e *explainedError) Unwrap() error { return e.error }

// knownProblem asks the table about the cause first, then about failures in the hostagent's log, and
// then about the console, which may be an earlier boot's.
func knownProblem(cause string, failures, console []string) (diag.KnownProblem, bool) {
	if p, known := diag.Match(diag.Host, cause); known {
		return p, true
	}
	if p, known := diag.Match(diag.Host, strings.Join(failures, "\n")); known {
		return p, true
	}
	return diag.Match(diag.Guest, strings.Join(console, "\n"))
}

// withAdvice adds to a failure's message what a known problem means and what to do, unless err has been
// explained.
func withAdvice(err error, message string) string {
	if _, explained := errors.AsType[*explainedError](err); explained {
		return message
	}
	if p, known := diag.Match(diag.Host, message); known && !p.Advises(message) {
		return message + "\n" + p.Advice(runtime.GOOS)
	}
	return message
}

// hostagentExited records that a hostagent has ended which was running its VM.
func (w *worker) hostagentExited(ctx context.Context, a *hostagent) {
	w.hostagent = nil
	err := w.exitReason(a)
	w.config.Log.Warn("VM: its hostagent has ended", "vm", w.vm.Name, "asked", a.stopRequested, "error", err)
	if !a.stopRequested {
		_, permanent := errors.AsType[*permanentError](err)
		// Before it is said to be down: whoever saw that and no failure would start it again without a pause.
		w.change(func(s *State) {
			s.Failure = &Failure{Action: Start, Message: err.Error(), Permanent: permanent, At: time.Now(), ByGuest: a.byGuest()}
			if a.answered && !a.byGuest() {
				s.Exits++
			}
		})
	}
	if err := w.reconcile(ctx); err != nil {
		w.fail(Stop, err)
	}
}

// markOverdue says of a step that takes too long which one it is and what the console shows.
func (w *worker) markOverdue(s State) {
	p := s.Progress
	if s.Phase != Starting || p == nil {
		return
	}
	limit := w.timing.stepTimeout(p.Phase, s.Accelerator)
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

// overdueProblem is why a step takes long: what console and log tell, or else what is likely.
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

// consoleTail is the end of the guest's console, with the file's name.
func consoleTail(vm layout.VM) string {
	lines := lastLines(vm.SerialLog())
	if len(lines) == 0 {
		return ""
	}
	return "last lines of its console, " + vm.SerialLog() + ":\n  " + strings.Join(lines, "\n  ")
}

// logTail is what the end of a hostagent's log has to say, from the offset on where its run begins:
// warnings, failures, and what is not Lima's. A warning, as of a port that can't be forwarded, is no
// failure.
func logTail(path string, from int64) (said, failures []string) {
	for _, line := range tail(path, from) {
		var l struct{ Level, Msg, Error string }
		if json.Unmarshal([]byte(line), &l) != nil {
			l.Level, l.Msg = "panic", line // or a program's own words
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

// lastLines are the last lines of a file that say something.
func lastLines(path string) []string {
	lines := tail(path, 0)
	return lines[max(0, len(lines)-maxTailLines):]
}

// tail is the end of a file, but nothing before from, in lines without control characters and empty
// ones. A file that is shorter than from was rotated.
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

// printable drops what would steer a terminal: guests' text is only ever text.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' && r != '\n' || r == 0x7f || r == '\uFFFD' {
			return -1
		}
		return r
	}, s)
}
