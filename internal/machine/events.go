package machine

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"rancherdesktop.io/rdd/internal/machine/event"
)

// readEvents applies the hostagent's new events.
func (w *worker) readEvents(a *hostagent) {
	err := a.events.read(func(e event.Event) { w.apply(a, e) })
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		w.config.Log.Warn("VM: its events can't be read", "vm", w.vm.Name, "error", err)
	}
}

// apply turns one event into state.
func (w *worker) apply(a *hostagent, e event.Event) {
	if e.Failure != nil {
		a.failure = e.Failure
	}
	if e.Phase == event.Stop {
		a.stopRequested = true // perhaps by an earlier service
	}
	a.answered = a.answered || e.Running
	if e.Ended != "" {
		a.ended = e.Ended
	}
	if e.Running {
		a.setTrouble(event.Trouble{Source: event.FromBoot, Messages: e.Degraded})
	}
	if e.Trouble != nil {
		a.setTrouble(*e.Trouble)
	}
	if e.Ports != nil {
		a.setPorts(*e.Ports)
	}
	w.change(func(s *State) {
		s.Problems = a.problems()
		if e.Ports != nil {
			s.Ports = a.ports.Sorted()
		}
		if e.Accelerator != nil {
			s.Accelerator = *e.Accelerator
		}
		if e.SSHPort != 0 {
			s.SSHPort = e.SSHPort
		}
		if e.Disks != nil {
			s.Disks = e.Disks
		}
		switch {
		case a.stopRequested:
			s.Phase = Stopping
			if e.Phase == event.Stop {
				s.Progress = progressOf(e)
			}
		case e.Running:
			s.Phase, s.Progress, s.Failure = Running, nil, nil
		case e.Health != nil:
			s.Health, s.Progress = *e.Health, nil
			if e.Health.Reason != "" {
				s.Progress = &Progress{Phase: strings.ToLower(e.Health.Reason), Message: e.Health.Message, StartedAt: e.Time}
			}
		case e.Phase != "":
			if e.Steps > 0 {
				e.Step, e.Steps = e.Step+w.prepared, e.Steps+w.prepared
			}
			s.Phase = Starting
			s.setProgress(e)
		}
	})
}

// setTrouble records what doesn't work according to one source.
func (h *hostagent) setTrouble(t event.Trouble) {
	if h.trouble == nil {
		h.trouble = map[string][]string{}
	}
	h.trouble[t.Source] = t.Messages
}

// setPorts records changes of the forwarded ports.
func (h *hostagent) setPorts(changes event.Ports) {
	for i := range changes.Set {
		changes.Set[i].Message = printable(changes.Set[i].Message)
	}
	if h.ports == nil {
		h.ports = event.PortList{}
	}
	h.ports.Apply(changes)
}

// problems lists what doesn't work according to all sources, sorted by source.
func (h *hostagent) problems() (all []string) {
	for _, source := range slices.Sorted(maps.Keys(h.trouble)) {
		for _, m := range h.trouble[source] {
			all = append(all, printable(m))
		}
	}
	return all
}

// setProgress shows a step. The time at which it began stays while the step lasts.
func (s *State) setProgress(e event.Event) {
	p := progressOf(e)
	if old := s.Progress; old != nil && old.Phase == p.Phase && old.Step == p.Step {
		p.StartedAt = old.StartedAt
	}
	s.Progress = p
}

// progressOf converts an event to progress.
func progressOf(e event.Event) *Progress {
	message := e.Message
	if e.Said != "" {
		message += ": " + printable(e.Said)
	}
	if e.Said != "" && e.Phase == event.Boot { // in later phases the guest says it, and the problem is the guest's
		message, _ = describe(errors.New(message))
	}
	return &Progress{Phase: e.Phase, Step: e.Step, Steps: e.Steps, Bytes: e.Bytes, Total: e.Total, Message: message, StartedAt: e.Time}
}

// reader reads the events of one run from a file that grows.
type reader struct {
	path, nonce string
	offset      int64
	found       bool   // the file is that run's
	rest        []byte // of the last line, which is not complete
}

// read calls f for each new event of the run. A file of another run is left alone.
func (r *reader) read(f func(event.Event)) error {
	file, err := os.Open(r.path)
	if err != nil {
		return err
	}
	defer file.Close()
	if !r.found {
		r.offset, r.rest = 0, nil
	}
	if _, err := file.Seek(r.offset, io.SeekStart); err != nil {
		return err
	}
	b, err := io.ReadAll(file)
	if err != nil {
		return err
	}
	r.offset += int64(len(b))
	lines := bytes.Split(append(r.rest, b...), []byte("\n"))
	r.rest = lines[len(lines)-1]
	for _, line := range lines[:len(lines)-1] {
		e, ok := event.Parse(line)
		switch {
		case !ok:
			continue
		case !r.found && e.Nonce != r.nonce:
			return nil // the file is another run's
		}
		r.found = true
		f(e)
	}
	return nil
}
