package hostagent

import (
	"testing"

	"rancherdesktop.io/rdd/internal/diag"
	"rancherdesktop.io/rdd/internal/lima"
	"rancherdesktop.io/rdd/internal/lima/limatest"
	"rancherdesktop.io/rdd/internal/machine/event"
)

func TestAPanicIsAKnownProblem(t *testing.T) {
	limatest.IsProblem(t, &unexpectedExit{How: event.Panicked}, diag.GuestPanic)
	if f := lima.Failure(&unexpectedExit{How: event.Panicked}); f.Advised {
		t.Errorf("%+v says nowhere what to do", f)
	}
	limatest.IsProblem(t, &unexpectedExit{How: event.PoweredOff}, "")
}
