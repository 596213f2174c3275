package core

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"rancherdesktop.io/rdd/core/template"
	"rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
	"rancherdesktop.io/rdd/internal/machine/event"
	"rancherdesktop.io/rdd/internal/machine/layout"
)

// Pending finds the settings that wait for a restart. It remembers what it found, so it is cheap to ask on
// every change of a VM.
type Pending struct {
	mu    sync.Mutex
	known map[string]comparison // by VM
}

// comparison is what was found of one VM, and of what.
type comparison struct {
	generation int64     // of its spec, for the params
	digest     string    // of its template
	written    time.Time // when the configuration of the guest was
	changes    []string
}

// Changes names, in words, the settings of a running VM that its next start will change. It is empty
// when there are none, or when they can't be known.
func (p *Pending) Changes(ctx context.Context, c *Core, vm *VM) []string {
	info, err := os.Stat(layout.Of(c.inst, vm.Name).Job())
	if err != nil || vm.DeletionTimestamp != nil || !layout.Of(c.inst, vm.Name).HostagentAlive() {
		return nil
	}
	now := comparison{generation: vm.Generation, digest: vm.Status.TemplateDigest, written: info.ModTime()}
	p.mu.Lock()
	defer p.mu.Unlock()
	before, ok := p.known[vm.Name]
	if ok && before.generation == now.generation && before.digest == now.digest && before.written.Equal(now.written) {
		return before.changes
	}
	if now.changes, err = c.pending(ctx, vm); err != nil {
		return nil // it is asked again on the next change
	}
	if p.known == nil {
		p.known = map[string]comparison{}
	}
	p.known[vm.Name] = now
	return now.changes
}

// pending compares what a VM's guest was started with and what the next one will be.
func (c *Core) pending(ctx context.Context, vm *VM) ([]string, error) {
	launched, running, err := c.launched(vm.Name)
	if err != nil || !running {
		return nil, err
	}
	if v1alpha1.TemplateDigest(launched.Template) == vm.Status.TemplateDigest { // only params can differ
		return template.Changes(launched, event.Job{Template: launched.Template, Params: vm.Spec.Params})
	}
	session, err := c.session()
	if err != nil {
		return nil, err
	}
	own, err := session.VMs().stored(ctx, vm.Name)
	if err != nil {
		return nil, err
	}
	if v1alpha1.TemplateDigest(own.Text) != vm.Status.TemplateDigest {
		return nil, errors.New("the template is about to change")
	}
	return template.Changes(launched, event.Job{Template: own.Text, Params: vm.Spec.Params})
}
