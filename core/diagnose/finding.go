package diagnose

import (
	"fmt"
	"runtime"

	"rancherdesktop.io/rdd/internal/diag"
)

// Severity says how bad a finding is.
type Severity string

// The severities.
const (
	SeverityOK      Severity = "ok"
	SeverityWarning Severity = "warning" // it works, but less well than it could, or not for long
	SeverityProblem Severity = "problem" // something doesn't work
)

// Finding is what one check found. Scripts rely on its JSON.
type Finding struct {
	Check    string   `json:"check"`
	ID       string   `json:"id"` // of the known problem; the check's name when all is well
	Severity Severity `json:"severity"`
	What     string   `json:"what"`
	Meaning  string   `json:"meaning,omitempty"` // when not all is well
	Remedy   string   `json:"remedy,omitempty"`
}

// ok is a finding that all is well.
func ok(format string, a ...any) Finding {
	return Finding{Severity: SeverityOK, What: fmt.Sprintf(format, a...)}
}

// problem is a finding of a known problem.
func problem(s Severity, id diag.ID, format string, a ...any) Finding {
	p, _ := diag.Find(id)
	return Finding{ID: string(id), Severity: s, What: fmt.Sprintf(format, a...), Meaning: p.Meaning, Remedy: p.Remedy(runtime.GOOS)}
}

// explainedProblem is a finding of the problem that a text tells of, or else of the given one.
func explainedProblem(s Severity, otherwise diag.ID, text string) Finding {
	cause, p, ok := diag.Split(text)
	if !ok {
		p, ok = diag.Match(diag.Host, text)
	}
	if !ok {
		return problem(s, otherwise, "%s", cause)
	}
	return problem(s, p.ID, "%s", cause)
}

// problemOfError is a finding of the problem that an error says it is or tells of, or else of the given one.
func problemOfError(s Severity, otherwise diag.ID, err error) Finding {
	if p, ok := diag.Of(err); ok {
		return problem(s, p.ID, "%v", err)
	}
	return explainedProblem(s, otherwise, err.Error())
}
