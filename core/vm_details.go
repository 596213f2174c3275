package core

import (
	"context"
	"errors"
	"os"
	"sync"

	"rancherdesktop.io/rdd/core/template"
	"rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
	"rancherdesktop.io/rdd/internal/machine/event"
	"rancherdesktop.io/rdd/internal/machine/layout"
)

// VMDetails is a VM with the details that the CLI shows beside its spec and status.
type VMDetails struct {
	VM
	Resources     *template.Resources `json:"resources,omitempty"`     // of the running guest, or else of the next start; nil: unknown
	RestartNeeded []string            `json:"restartNeeded,omitempty"` // describes the settings that take effect at the next start
}

// Details adds the details to VMs. It reads local files. Only if the template of a VM has changed since its last start, it
// makes one request to the control plane, for all VMs together.
func (v *VMs) Details(ctx context.Context, vms []VM) []VMDetails {
	reader := newDetailsReader(v.session)
	all := make([]VMDetails, len(vms))
	for i := range vms {
		all[i], _ = reader.read(ctx, &vms[i]) // with an error, without the pending changes
	}
	return all
}

// detailsReader reads the details of VMs and caches the data that they share.
type detailsReader struct {
	session   *Session
	stored    map[string]string              // templates of VMs by the name of their ConfigMap; nil: not read yet
	resources map[string]*template.Resources // by template
}

func newDetailsReader(s *Session) *detailsReader {
	return &detailsReader{session: s, resources: map[string]*template.Resources{}}
}

// errTemplateChanging means that a VM's status doesn't have the digest of its template yet.
var errTemplateChanging = errors.New("the template has just changed")

// read returns the details of a VM. With an error, the pending changes are unknown.
func (r *detailsReader) read(ctx context.Context, vm *VM) (d VMDetails, err error) {
	d.VM = *vm
	files := layout.Of(r.session.core.inst, vm.Name)
	job, jobErr := readJob(files) // fails if the VM is not prepared yet, or is on another host
	next, err := r.next(ctx, vm, job.Template)
	if jobErr != nil || !files.HostagentAlive() {
		d.Resources = r.resourcesOf(next)
		return d, err
	}
	d.Resources = r.resourcesOf(job.Template)
	switch {
	case err != nil || vm.DeletionTimestamp != nil:
	case v1alpha1.TemplateDigest(next) != vm.Status.TemplateDigest:
		err = errTemplateChanging
	default:
		d.RestartNeeded, err = template.Changes(job, jobOf(vm, next))
	}
	return d, err
}

// jobOf is what the next start of a VM with this template uses.
func jobOf(vm *VM, template string) event.Job {
	job := event.Job{Template: template, Params: vm.Spec.Params}
	if vm.Spec.DataDisk != nil {
		job.DataDisk = vm.Spec.DataDisk.Size.Value()
	}
	return job
}

// next returns the template of the VM's next start. last is that of its last start.
func (r *detailsReader) next(ctx context.Context, vm *VM, last string) (text string, err error) {
	switch vm.Status.TemplateDigest {
	case "": // the controller has not stored it yet
		return vm.Spec.Template, nil
	case v1alpha1.TemplateDigest(last):
		return last, nil
	}
	if r.stored == nil {
		r.stored, err = r.session.templatesIn(ctx, v1alpha1.SystemNamespace)
	}
	return r.stored[v1alpha1.TemplateConfigMapName(vm.Name)], err
}

func (r *detailsReader) resourcesOf(text string) *template.Resources {
	if text == "" {
		return nil
	}
	known, ok := r.resources[text]
	if !ok {
		if found, err := template.ResourcesOf(text); err == nil {
			known = &found
		}
		r.resources[text] = known
	}
	return known
}

// readJob returns the template and the params of the VM's last start. rdd-lima writes the file before each start, so while
// the hostagent runs, they are those of its guest.
func readJob(vm layout.VM) (job event.Job, err error) {
	f, err := os.Open(vm.Job())
	if err != nil {
		return job, err
	}
	defer f.Close()
	return event.ReadJob(f)
}

// preparedBy returns the template and the params that a VM's disk and configuration were created with.
func preparedBy(vm layout.VM) (event.Job, error) {
	job, err := readJob(vm)
	if errors.Is(err, os.ErrNotExist) { // an older version of RDD has created them
		var text []byte
		text, err = os.ReadFile(vm.LimaYAML())
		job.Template = string(text)
	}
	return job, err
}

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
