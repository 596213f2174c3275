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

// fine is a finding that all is well.
func fine(format string, a ...any) Finding {
	return Finding{Severity: SeverityOK, What: fmt.Sprintf(format, a...)}
}

// found is a finding of a known problem.
func found(s Severity, id diag.ID, format string, a ...any) Finding {
	p, _ := diag.Find(id)
	return Finding{ID: string(id), Severity: s, What: fmt.Sprintf(format, a...), Meaning: p.Meaning, Remedy: p.Remedy(runtime.GOOS)}
}

// told is a finding of the problem that a text tells of, or else of the given one.
func told(s Severity, otherwise diag.ID, text string) Finding {
	cause, p, ok := diag.Split(text)
	if !ok {
		p, ok = diag.Match(diag.Host, text)
	}
	if !ok {
		return found(s, otherwise, "%s", cause)
	}
	return found(s, p.ID, "%s", cause)
}

// judged is a finding of the problem that an error says it is or tells of, or else of the given one.
func judged(s Severity, otherwise diag.ID, err error) Finding {
	if p, ok := diag.Of(err); ok {
		return found(s, p.ID, "%v", err)
	}
	return told(s, otherwise, err.Error())
}
