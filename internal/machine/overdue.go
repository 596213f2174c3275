package machine

import (
	"fmt"
	"runtime"
	"strings"
	"time"

	"rancherdesktop.io/rdd/internal/diag"
	"rancherdesktop.io/rdd/internal/machine/event"
)

// markOverdue adds to the progress of a step that takes too long how late it is, and what the console shows.
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

// overdueProblem finds out why a step takes long: from console and log, or else the likely reason.
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
