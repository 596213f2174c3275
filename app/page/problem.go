package page

import (
	"errors"
	"time"

	"rancherdesktop.io/rdd/app/operation"
)

// problemOf describes an error for the user.
func problemOf(err error) *Problem {
	p := operation.ProblemOf(err)
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
