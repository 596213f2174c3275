package page

import (
	"errors"
	"time"

	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/core/diagnose"
)

// problemOf describes an error for the user.
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

// since returns the seconds since t; 0 if t is unknown.
func since(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return max(0, time.Since(t).Seconds())
}
