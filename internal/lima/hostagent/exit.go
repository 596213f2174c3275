package hostagent

import (
	"rancherdesktop.io/rdd/internal/diag"
	"rancherdesktop.io/rdd/internal/machine/event"
)

// unexpectedExit reports that a guest stopped without being asked to.
type unexpectedExit struct{ How string } // see package event

func (e *unexpectedExit) Error() string {
	switch e.How {
	case event.PoweredOff:
		return "its guest has powered itself off"
	case event.Rebooted:
		return "its guest has rebooted"
	case event.Panicked:
		return "the kernel of its guest has panicked, and what the guest had not written is lost; the guest's console tells more"
	}
	return "its QEMU has crashed or was killed, and what the guest had not written is lost; the host's kernel log says so if the host ran out of memory"
}

// ProblemID names the known problem of a guest that has panicked.
func (e *unexpectedExit) ProblemID() string {
	if e.How == event.Panicked {
		return string(diag.GuestPanic)
	}
	return ""
}

// Advised reports whether the message says what to do; it does not.
func (e *unexpectedExit) Advised() bool { return false }
