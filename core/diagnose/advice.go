package diagnose

import (
	"errors"
	"runtime"

	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
	"rancherdesktop.io/rdd/internal/diag"
)

// Advice is what a known problem that err tells of means, and what to do; empty when nobody knows it
// or err says so itself. Errors that the API refused or the service explained are left alone.
func Advice(err error) string {
	if core.KindOf(err) != core.Other {
		return ""
	}
	if _, _, explained := diag.Split(err.Error()); explained {
		return ""
	}
	if _, explained := errors.AsType[*v1alpha1.FailedError](err); explained {
		return "" // the service has asked the table, and knows what is the guest's
	}
	_, advice, _ := diag.AdviceFor(err, runtime.GOOS)
	return advice
}

// Explain parts a message into what happened and, when a known problem is named at its end, what that
// means and what to do.
func Explain(text string) (cause, advice string) {
	cause, p, ok := diag.Split(text)
	if !ok {
		return text, ""
	}
	return cause, p.Meaning + "\n" + p.Remedy(runtime.GOOS)
}
