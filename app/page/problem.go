package page

import (
	"errors"
	"time"

	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/core/diagnose"
)

// problemOf puts an error into a person's words.
func problemOf(err error) *Problem {
	p := &Problem{Kind: core.KindOf(err).String()}
	p.Message, p.Advice = diagnose.Explain(err.Error())
	if p.Advice == "" {
		p.Advice = diagnose.Advice(err)
	}
	if bad, ok := errors.AsType[*fieldError](err); ok {
		p.Field = bad.field
	}
	return p
}

// since is the time from then until now in seconds; 0 when nobody knows.
func since(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return max(0, time.Since(t).Seconds())
}
