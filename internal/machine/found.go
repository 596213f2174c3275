package machine

import (
	"errors"
	"fmt"
	"os"

	"rancherdesktop.io/rdd/internal/atomicfile"
	"rancherdesktop.io/rdd/internal/machine/event"
	"rancherdesktop.io/rdd/internal/machine/layout"
)

// What a service finds of a VM that an earlier one left running, and has done about it.
const (
	foundHostagent = "its hostagent went on while no service ran, and is in use again"
	foundQEMU      = "its hostagent had died and left a QEMU running, which was asked to power off and has ended"
	foundCrash     = "its hostagent had died while no service ran, and its guest with it"
)

// reportFound says, in the log and in the state, what an earlier service has left. It is said once: the state
// says it until the VM is next asked to stop.
func (w *worker) reportFound(what string) {
	w.config.Log.Warn("VM: found at the start", "vm", w.vm.Name, "found", what)
	w.change(func(s *State) { s.Found = what })
}

// recordCrash reports whether the last hostagent, which does not live, has died without a word, and puts
// that word into its events, so that the next look doesn't report it again.
func (w *worker) recordCrash() (died bool, err error) {
	r, err := w.vm.ReadRecord()
	if _, damaged := errors.AsType[*atomicfile.DamagedError](err); damaged {
		return false, nil // the next hostagent writes its own
	}
	if err != nil || r.Nonce == "" {
		return false, err
	}
	path := layout.VM{Logs: r.Logs}.Events()
	exiting := false
	events := reader{path: path, nonce: r.Nonce}
	err = events.read(func(e event.Event) { exiting = exiting || e.Exiting })
	if os.IsNotExist(err) || err == nil && (exiting || !events.found) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return false, err
	}
	defer f.Close()
	if len(events.rest) > 0 { // it died in the middle of a line
		if _, err := fmt.Fprintln(f); err != nil {
			return false, err
		}
	}
	return true, event.NewWriter(f).Write(event.Event{Exiting: true, Failure: &event.Failure{Message: "the hostagent has died"}})
}
