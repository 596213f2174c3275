// Package lima is everything RDD does with Lima: check a template, make a VM's disk, run its
// hostagent, remove it. Only rdd-lima links it, so that a leak or a crash in Lima is no one else's.
//
// Lima finds its home in LIMA_HOME and its templates in LIMA_TEMPLATES_PATH; rdd-lima's main sets both.
package lima

import (
	"errors"
	"runtime"
	"runtime/debug"

	"github.com/lima-vm/lima/pkg/limayaml"
	"github.com/lima-vm/lima/pkg/version"

	"rancherdesktop.io/rdd/internal/machine/event"
)

const module = "github.com/lima-vm/lima"

// NativeArch is this host's architecture as Lima calls it.
func NativeArch() string { return limayaml.NewArch(runtime.GOARCH) }

// SetVersion tells Lima its own version, which it writes beside instances and compares with a
// template's minimumLimaVersion. Only Lima's own build would set it.
func SetVersion() {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return
	}
	for _, dep := range info.Deps {
		if dep.Path == module {
			version.Version = dep.Version[len("v"):]
		}
	}
}

// PermanentError is a failure that waiting doesn't solve.
type PermanentError struct {
	Field string // of the template; empty when the template is not to blame
	Err   error
}

func (p *PermanentError) Error() string {
	if p.Field == "" {
		return p.Err.Error()
	}
	return p.Field + ": " + p.Err.Error()
}

func (p *PermanentError) Unwrap() error { return p.Err }

// Failure is err as an event says it.
func Failure(err error) *event.Failure {
	if p, ok := errors.AsType[*PermanentError](err); ok {
		return &event.Failure{Field: p.Field, Message: err.Error(), Permanent: true}
	}
	return &event.Failure{Message: err.Error()}
}
