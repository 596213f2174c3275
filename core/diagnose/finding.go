package diagnose

import (
	"fmt"
	"runtime"

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
	cause, p, ok := diag.Split(text)
	if !ok {
		p, ok = diag.Match(diag.Host, text)
	}
	if !ok {
		p.ID = fallback
	}
	return problem(s, p.ID, "%s", cause)
}

// problemOfError returns a finding of the known problem that an error is or mentions, or else of the fallback.
func problemOfError(s Severity, fallback diag.ID, err error) Finding {
	p, _ := diag.Of(err)
	return identifiedProblem(s, string(p.ID), fallback, err.Error())
}

// identifiedProblem returns a finding of the known problem with the id. If there is none, as in the status that an older
// service wrote, it does the same as explainedProblem.
func identifiedProblem(s Severity, id string, fallback diag.ID, text string) Finding {
	if _, known := diag.Find(diag.ID(id)); known {
		cause, _, _ := diag.Split(text) // the finding has fields for the advice
		return problem(s, diag.ID(id), "%s", cause)
	}
	return explainedProblem(s, fallback, text)
}
