package machine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"rancherdesktop.io/rdd/internal/machine/layout"
)

// How much of a log is shown in a message.
const (
	tailBytes = 16 << 10
	tailLines = 6
)

// explain says why a hostagent has ended that nobody asked to end.
func (w *worker) explain(a *agent) error {
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
	if lines := logTail(w.vm.AgentLog()); len(lines) > 0 {
		message += "\nlast lines of " + w.vm.AgentLog() + ":\n  " + strings.Join(lines, "\n  ")
	} else {
		message += "; its log is " + w.vm.AgentLog()
	}
	if console := consoleTail(w.vm); console != "" {
		message += "\n" + console
	}
	if a.failure != nil && a.failure.Permanent {
		return &permanentError{errors.New(message)}
	}
	return errors.New(message)
}

// deathOf records that a hostagent has ended which was running its VM.
func (w *worker) deathOf(ctx context.Context, a *agent) {
	w.agent = nil
	err := w.explain(a)
	w.config.Log.Warn("VM: its hostagent has ended", "vm", w.vm.Name, "asked", a.asked, "error", err)
	if e := w.settle(ctx); e != nil {
		w.fail(Stop, e)
		return
	}
	if a.asked {
		return
	}
	permanent := false
	if _, ok := errors.AsType[*permanentError](err); ok {
		permanent = true
	}
	w.change(func(s *State) {
		s.Failure = &Failure{Action: Start, Message: err.Error(), Permanent: permanent, At: time.Now()}
		if a.ran {
			s.Exits++
		}
	})
}

// markOverdue says of a step that takes too long which one it is and what the console shows.
func (w *worker) markOverdue(s State) {
	p := s.Progress
	if s.Phase != Starting || p == nil {
		return
	}
	limit := w.timing.limit(p.Phase, s.Accelerator)
	over := time.Since(p.StartedAt)
	if over < limit || strings.HasPrefix(p.Message, overdue) {
		return
	}
	late := *p
	late.Message = fmt.Sprintf("%s%s for more than %s (%s)", overdue, p.Phase, limit, p.Message)
	if console := consoleTail(w.vm); console != "" {
		late.Message += "\n" + console
	}
	w.config.Log.Warn("VM: a step takes long", "vm", w.vm.Name, "phase", p.Phase, "limit", limit)
	w.change(func(s *State) { s.Progress = &late })
}

// overdue begins the message of a step that takes too long.
const overdue = "still in the phase "

// consoleTail is the end of the guest's console, with the file's name.
func consoleTail(vm layout.VM) string {
	lines := lastLines(vm.SerialLog())
	if len(lines) == 0 {
		return ""
	}
	return "last lines of its console, " + vm.SerialLog() + ":\n  " + strings.Join(lines, "\n  ")
}

// logTail is what the end of a hostagent's log has to say: warnings, errors, and what is not Lima's.
func logTail(path string) []string {
	var kept []string
	for _, line := range tail(path) {
		var l struct{ Level, Msg, Error string }
		if json.Unmarshal([]byte(line), &l) != nil {
			kept = append(kept, line) // a panic, or a program's own words
			continue
		}
		if l.Error != "" {
			l.Msg += ": " + l.Error
		}
		if slices.Contains([]string{"warning", "error", "fatal", "panic"}, l.Level) || strings.HasPrefix(l.Msg, "qemu[stderr]") || strings.HasPrefix(l.Msg, "Driver stopped") {
			kept = append(kept, l.Msg)
		}
	}
	return kept[max(0, len(kept)-tailLines):]
}

// lastLines are the last lines of a file that say something.
func lastLines(path string) []string {
	lines := tail(path)
	return lines[max(0, len(lines)-tailLines):]
}

// tail is the end of a file, in lines without control characters and empty ones.
func tail(path string) []string {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > tailBytes {
		if _, err := f.Seek(-tailBytes, io.SeekEnd); err != nil {
			return nil
		}
	}
	b, err := io.ReadAll(io.LimitReader(f, tailBytes))
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
		if r < ' ' && r != '\t' || r == 0x7f || r == '\uFFFD' {
			return -1
		}
		return r
	}, s)
}

func degraded(what []string) string { return strings.Join(what, "; ") }
