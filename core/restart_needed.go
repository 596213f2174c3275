package core

import (
	"context"
	"os"
	"sync"

	"rancherdesktop.io/rdd/internal/machine/layout"
)

// Pending finds the settings of running VMs that take effect at the next start. It caches its results, so that it can be
// called on each change of a VM.
type Pending struct {
	mu    sync.Mutex
	known map[string]pendingChanges // by VM
}

// pendingChanges are the pending changes of one VM, for one state of everything that they depend on.
type pendingChanges struct {
	state struct {
		generation int64  // of the VM's spec, which has its params
		digest     string // of its template
		written    int64  // time of the guest's job, in nanoseconds
	}
	changes []string
}

// Changes describes the settings of a running VM that its next start will change. It returns none if they can't be
// determined.
func (p *Pending) Changes(ctx context.Context, c *Core, vm *VM) []string {
	files := layout.Of(c.inst, vm.Name)
	info, err := os.Stat(files.Job())
	if err != nil || vm.DeletionTimestamp != nil || !files.HostagentAlive() {
		return nil
	}
	var now pendingChanges
	now.state.generation, now.state.digest, now.state.written = vm.Generation, vm.Status.TemplateDigest, info.ModTime().UnixNano()
	p.mu.Lock()
	defer p.mu.Unlock()
	if before, ok := p.known[vm.Name]; ok && before.state == now.state {
		return before.changes
	}
	session, err := c.session()
	if err != nil {
		return nil
	}
	details, err := newDetailsReader(session).read(ctx, vm)
	if err != nil {
		return nil // the next change of the VM tries again
	}
	now.changes = details.RestartNeeded
	if p.known == nil {
		p.known = map[string]pendingChanges{}
	}
	p.known[vm.Name] = now
	return now.changes
}
