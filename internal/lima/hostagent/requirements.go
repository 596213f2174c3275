package hostagent

import (
	"fmt"
	"strings"
	"sync"

	"github.com/lima-vm/lima/pkg/limayaml"
	"github.com/sirupsen/logrus"

	"rancherdesktop.io/rdd/internal/lima/ssh"
	"rancherdesktop.io/rdd/internal/machine/event"
)

// requirements follows what Lima waits for while a guest boots: the SSH server, its boot scripts, the template's
// probes. Lima reports them in its log only. If it changes its messages, details of the progress and of a degraded VM's
// problems are lost, and nothing else.
type requirements struct {
	hostagent *hostagent
	probes    []limayaml.Probe

	mu      sync.Mutex
	current *requirement
	unmet   []*requirement // in the order in which Lima came to them
}

// requirement is one thing that Lima waits for. A script in the guest checks it.
type requirement struct {
	label       string // essential, optional or final
	number, all int
	description string

	probe      bool   // whether it is one of the template's
	name, hint string // for messages; hint says what may help and is often empty

	stdout, stderr, failure string // of the script's last failure; empty if it has not failed
}

// Levels are those of progress and of what scripts say.
func (r *requirements) Levels() []logrus.Level {
	return []logrus.Level{logrus.InfoLevel, logrus.DebugLevel}
}

// Fire is called for each line logged.
func (r *requirements) Fire(e *logrus.Entry) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var q requirement
	switch {
	case scanLog(e.Message, "Waiting for the %s requirement %d of %d: %q", &q.label, &q.number, &q.all, &q.description):
		r.begin(q)
	case scanLog(e.Message, "The %s requirement %d of %d is satisfied", &q.label, &q.number, &q.all):
		r.met()
	case strings.HasPrefix(e.Message, "stdout="):
		if out, err, failure, ok := scriptResult(e.Message); ok && failure != "" {
			r.failed(out, err, failure)
		}
	case strings.HasPrefix(e.Message, "Waiting for the guest agent"):
		r.current = nil
		r.hostagent.reportStep(event.Guest, "waiting for Lima's agent in the guest")
	}
	return nil
}

// begin records that Lima tries a requirement, perhaps again.
func (r *requirements) begin(q requirement) {
	if c := r.current; c != nil && c.label == q.label && c.number == q.number {
		return // it is reported already, with how it failed
	}
	q.name = q.description
	// The template's probes are the last of Lima's optional requirements.
	if i := q.number - 1 - (q.all - len(r.probes)); q.label == "optional" && i >= 0 && i < len(r.probes) {
		q.probe, q.name, q.hint = true, fmt.Sprintf("probes[%d] %q", i, q.description), strings.TrimSpace(r.probes[i].Hint)
		if strings.Contains(r.probes[i].Script, "\r\n") {
			q.hint = strings.TrimSpace(crlfMessage + " " + q.hint)
		}
	}
	r.current = &q
	r.unmet = append(r.unmet, r.current)
	switch {
	case r.current.boots():
		// The guest does not answer yet, and the reported step is still right.
	case q.label == "essential":
		r.hostagent.reportStep(event.Guest, "the guest answers; waiting for: "+q.description)
	case q.label == "final":
		r.hostagent.reportStep(event.Guest, "waiting for the boot scripts to finish")
	default:
		r.hostagent.reportStep(event.Guest, "waiting for "+q.name)
	}
}

// boots reports whether this is the first requirement: that SSH logins work.
func (q *requirement) boots() bool { return q.label == "essential" && q.number == 1 }

// keepsSessions reports whether this is the requirement after which the guest ends no SSH session any more.
func (q *requirement) keepsSessions() bool { return q.label == "essential" && q.number == 2 }

// met records that the current requirement is satisfied.
func (r *requirements) met() {
	if r.current == nil {
		return
	}
	if r.current.boots() {
		r.hostagent.guestAnswers()
		r.hostagent.reportStep(event.Guest, "the guest answers; waiting for its boot scripts")
	}
	if r.current.keepsSessions() && r.hostagent.sessions != nil {
		r.hostagent.sessions()
	}
	r.unmet = r.unmet[:len(r.unmet)-1]
	r.current = nil
}

// failed reports why the current requirement is not satisfied yet. Lima retries.
func (r *requirements) failed(stdout, stderr, failure string) {
	q := r.current
	if q == nil {
		return
	}
	q.stdout, q.stderr, q.failure = stdout, stderr, failure
	if q.boots() {
		r.hostagent.reportStepOutput(event.Boot, "booting; the guest accepts no SSH login yet", ssh.OutputTail(stderr, failure))
		return
	}
	message := "still waiting for " + q.name
	if q.hint != "" {
		message += " (" + q.hint + ")"
	}
	r.hostagent.reportStepOutput(event.Guest, message+"; retrying for 10 minutes, then the VM continues without it", ssh.OutputTail(stderr, failure))
}

// crlfMessage explains what is wrong with a script that was saved on Windows.
const crlfMessage = "its lines end in CR LF, with which no script runs: save the template with LF."

// problems lists the requirements that were never satisfied, and whatever else Lima reports in errs.
func (r *requirements) problems(errs []string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []string
	rest := strings.Join(errs, "\n")
	for _, q := range r.unmet {
		if q.failure == "" {
			continue
		}
		all = append(all, q.message())
		rest = q.cutFrom(rest)
	}
	for line := range strings.SplitSeq(rest, "\n") {
		if line = strings.TrimSpace(line); line != "" {
			all = append(all, line)
		}
	}
	return all
}

// message explains that a requirement was never satisfied.
func (q *requirement) message() string {
	said := ssh.OutputTail(q.stderr, q.failure)
	switch {
	case q.probe && q.hint != "":
		return fmt.Sprintf("%s never succeeded, so what it checks is not ready. %s\nit said: %s", q.name, q.hint, said)
	case q.probe:
		return fmt.Sprintf("%s never succeeded, so what it checks is not ready\nit said: %s", q.name, said)
	case q.boots():
		return "the guest accepts no SSH login, so shells, shared folders and forwarded sockets don't work\nssh said: " + said
	}
	return fmt.Sprintf("the guest never reached %q, so what depends on it doesn't work\nit said: %s", q.description, said)
}

// cutFrom removes Lima's own message about a requirement from its errors.
func (q *requirement) cutFrom(errs string) string {
	from := strings.Index(errs, fmt.Sprintf("failed to satisfy the %s requirement %d of %d %q: ", q.label, q.number, q.all, q.description))
	if from < 0 {
		return errs
	}
	last := fmt.Sprintf("stdout=%q, stderr=%q: %s", q.stdout, q.stderr, q.failure)
	to := strings.Index(errs[from:], last)
	if to < 0 {
		return errs
	}
	return errs[:from] + errs[from+to+len(last):]
}
