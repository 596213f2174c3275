package diagnose

import (
	"errors"
	"fmt"
	"runtime"

	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
	"rancherdesktop.io/rdd/internal/diag"
)

// Report is the result of a diagnosis.
type Report struct {
	Instance string    `json:"instance"`
	Version  string    `json:"version"`
	OS       string    `json:"os"`
	Arch     string    `json:"arch"`
	Findings []Finding `json:"findings"`
}

// Count returns the number of findings with the severity.
func (r Report) Count(s Severity) (n int) {
	for _, f := range r.Findings {
		if f.Severity == s {
			n++
		}
	}
	return n
}

// Severity says how serious a finding is.
type Severity string

// The severities.
const (
	SeverityOK      Severity = "ok"
	SeverityWarning Severity = "warning" // it works, but not as well as it could, or not for long
	SeverityProblem Severity = "problem" // something doesn't work
)

// Finding is the result of a check. Scripts rely on its JSON.
type Finding struct {
	Check    string   `json:"check"`
	ID       string   `json:"id"` // of the known problem; the check's name if there is none
	Severity Severity `json:"severity"`
	What     string   `json:"what"`
	Meaning  string   `json:"meaning,omitempty"` // of the known problem
	Remedy   string   `json:"remedy,omitempty"`
}

// ok returns a finding without a problem.
func ok(format string, a ...any) Finding {
	return Finding{Severity: SeverityOK, What: fmt.Sprintf(format, a...)}
}

// orOK returns the problems that a check has found, or an ok finding if there are none.
func orOK(problems []Finding, format string, a ...any) []Finding {
	if len(problems) == 0 {
		return []Finding{ok(format, a...)}
	}
	return problems
}

// problem returns a finding of a known problem.
func problem(s Severity, id diag.ID, format string, a ...any) Finding {
	p, _ := diag.Find(id)
	return Finding{ID: string(id), Severity: s, What: fmt.Sprintf(format, a...), Meaning: p.Meaning, Remedy: p.Remedy(runtime.GOOS)}
}

// explainedProblem returns a finding of the known problem that a text names or matches, or else of the fallback.
func explainedProblem(s Severity, fallback diag.ID, text string) Finding {
	return identifiedProblem(s, "", fallback, text)
}

// problemOfError returns a finding of the known problem that an error is or mentions, or else of the fallback.
func problemOfError(s Severity, fallback diag.ID, err error) Finding {
	p, _ := diag.Of(err)
	return identifiedProblem(s, string(p.ID), fallback, err.Error())
}

// identifiedProblem returns a finding of the known problem with the id. If there is none, as in the status that an older
// service wrote, it returns a finding of the one that the text names or matches, or else of the fallback.
func identifiedProblem(s Severity, id string, fallback diag.ID, text string) Finding {
	cause, p, ok := diag.Split(text) // the finding has fields for the advice
	if known, found := diag.Find(diag.ID(id)); found {
		p, ok = known, true
	}
	if !ok {
		p, ok = diag.Match(diag.Host, text)
	}
	if !ok {
		p.ID = fallback
	}
	return problem(s, p.ID, "%s", cause)
}

// Advice returns the meaning and the remedy of the known problem that err is or mentions. It is empty if there is none,
// if err contains the advice already, and for an error that the API or the service has explained.
func Advice(err error) string {
	if core.KindOf(err) != core.Other {
		return ""
	}
	if _, _, explained := diag.Split(err.Error()); explained {
		return ""
	}
	if _, explained := errors.AsType[*v1alpha1.FailedError](err); explained {
		return "" // the service has searched the table, and knows which text is the guest's
	}
	_, advice, _ := diag.AdviceFor(err, runtime.GOOS)
	return advice
}

// Explain splits a message into what happened and the advice at its end, if there is any.
func Explain(text string) (cause, advice string) {
	cause, p, ok := diag.Split(text)
	if !ok {
		return text, ""
	}
	return cause, p.Meaning + "\n" + p.Remedy(runtime.GOOS)
}
