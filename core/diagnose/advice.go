package diagnose

import (
	"errors"
	"runtime"

	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
	"rancherdesktop.io/rdd/internal/diag"
)

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
