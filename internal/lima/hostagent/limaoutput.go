package hostagent

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/lima-vm/lima/pkg/hostagent/events"

	"rancherdesktop.io/rdd/internal/machine/event"
)

// limaEvents turns Lima's events into ours.
type limaEvents struct {
	hostagent *hostagent
	rest      []byte
}

// Write takes Lima's JSON lines.
func (t *limaEvents) Write(p []byte) (int, error) {
	d := json.NewDecoder(io.MultiReader(strings.NewReader(string(t.rest)), strings.NewReader(string(p))))
	for {
		var e events.Event
		if err := d.Decode(&e); err != nil {
			rest, _ := io.ReadAll(d.Buffered())
			t.rest = rest
			return len(p), nil
		}
		t.hostagent.handleLimaEvent(e.Status)
	}
}

// handleLimaEvent reports one of Lima's events, except "exiting", which is reported with its cause.
func (h *hostagent) handleLimaEvent(s events.Status) {
	if s.SSHLocalPort != 0 {
		h.sshPort.Store(int32(s.SSHLocalPort))
	}
	switch {
	case s.Running:
		h.guestAnswers()
		if h.monitor != nil {
			h.monitor.GuestBooted()
		}
		problems, usable := h.judgeSystemDisk(context.Background())
		if !usable {
			return
		}
		h.report(event.Event{Phase: event.Ready, Step: event.BootSteps, Steps: event.BootSteps, Running: true, Degraded: slices.Concat(h.degraded(s), h.copyOut(), problems), SSHPort: int32(s.SSHLocalPort)})
		if h.ready != nil {
			close(h.ready)
		}
	case s.SSHLocalPort != 0:
		h.report(event.Event{SSHPort: int32(s.SSHLocalPort)})
	}
}

// degraded lists what doesn't work in a guest that has booted.
func (h *hostagent) degraded(s events.Status) (all []string) {
	all = s.Errors
	if h.requirements != nil {
		all = append(h.requirements.problems(s.Errors), h.failedScripts(context.Background(), h.config)...)
	}
	if s.Degraded && len(all) == 0 {
		return []string{"Lima gave no reason"}
	}
	return all
}

// copyOut moves the files that Lima has fetched from the guest to their places, and returns what went wrong.
func (h *hostagent) copyOut() []string {
	h.hostFilesMu.Lock()
	defer h.hostFilesMu.Unlock()
	return h.hostFiles.CopyOut(h.vm)
}

// scanLog parses a line of Lima's log with the format that Lima writes it with.
func scanLog(line, format string, into ...any) bool {
	n, err := fmt.Sscanf(line, format, into...)
	return err == nil && n == len(into)
}

// scriptResult parses the log line in which Lima says how a script in the guest ended.
func scriptResult(line string) (stdout, stderr, failure string, ok bool) {
	if !scanLog(line, "stdout=%q, stderr=%q, err=", &stdout, &stderr) {
		return "", "", "", false
	}
	failure, ok = strings.CutPrefix(line, fmt.Sprintf("stdout=%q, stderr=%q, err=", stdout, stderr))
	if failure == "<nil>" {
		failure = ""
	}
	return stdout, stderr, failure, ok
}
