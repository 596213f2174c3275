package operation

import (
	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/core/diagnose"
)

// ProblemOf puts an error into a user's words: what happened, what it means and what to do.
func ProblemOf(err error) *Problem {
	p := &Problem{Kind: core.KindOf(err).String()}
	p.Message, p.Advice = diagnose.Explain(err.Error())
	if p.Advice == "" {
		p.Advice = diagnose.Advice(err)
	}
	return p
}
