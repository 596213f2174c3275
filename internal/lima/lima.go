// Package lima has what the packages below it share: errors, Lima's version, the programs and the guest agent
// that VMs need. Together they are everything that RDD does with Lima:
//
//   - template: read and check a template
//   - image: download and check images
//   - vm: create, update and remove a VM's disk and configuration
//   - hostagent: boot a VM and serve it while it runs
//   - qemu: choose an accelerator; start, watch and end QEMU
//   - ssh: open shells; keep up the connection that carries folders and sockets
//   - hostpath: sockets and files that a template puts on the host
//
// Only rdd-lima links them, so that a leak or a crash in Lima affects no other program. Lima finds its home in
// LIMA_HOME and its templates in LIMA_TEMPLATES_PATH; rdd-lima's main sets both.
package lima

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/lima-vm/lima/pkg/limayaml"
	"github.com/lima-vm/lima/pkg/version"

	"rancherdesktop.io/rdd/internal/diag"
	"rancherdesktop.io/rdd/internal/machine/event"
)

const module = "github.com/lima-vm/lima"

// NativeArch is Lima's name for this host's architecture.
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

// Permanent makes err a PermanentError that no field of the template is to blame for. A nil err stays nil.
func Permanent(err error) error { return FieldError("", err) }

// Permanentf is Permanent for a message, formatted as by fmt.Errorf.
func Permanentf(format string, args ...any) error { return Permanent(fmt.Errorf(format, args...)) }

// FieldError makes err a PermanentError about a field of the template. A nil err stays nil.
func FieldError(field string, err error) error {
	if err == nil {
		return nil
	}
	return &PermanentError{field, err}
}

// FieldErrorf is FieldError for a message, formatted as by fmt.Errorf.
func FieldErrorf(field, format string, args ...any) error {
	return FieldError(field, fmt.Errorf(format, args...))
}

// Failure describes err for an event.
func Failure(err error) *event.Failure {
	f := &event.Failure{Message: err.Error()}
	if p, ok := errors.AsType[*PermanentError](err); ok {
		f.Field, f.Permanent = p.Field, true
	}
	if p, ok := diag.Of(err); ok {
		f.Problem, f.Advised = string(p.ID), diag.Advised(err)
	}
	return f
}

// ShellQuote quotes words for a POSIX shell and puts blanks between them. It quotes every word, unlike
// shellescape.Quote, which leaves words alone that have no special characters: a shell could still take those for a
// keyword (time), an alias, an assignment (A=b) or, zsh, the path of a command (=ls).
func ShellQuote(words ...string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
	}
	return strings.Join(quoted, " ")
}
