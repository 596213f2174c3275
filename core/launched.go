package core

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/docker/go-units"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
	"rancherdesktop.io/rdd/internal/machine/event"
	"rancherdesktop.io/rdd/internal/machine/layout"
	"rancherdesktop.io/rdd/internal/template"
)

// VMResources are what a VM gets at its next start and what its running guest has.
type VMResources struct {
	Next    Resources  `json:"next"`
	Current *Resources `json:"current,omitempty"` // of the running guest; nil when there is none
	Least   Resources  `json:"least"`
	Most    Resources  `json:"most"`
	Pending bool       `json:"pending"` // Next waits for a restart
}

// The least that can be meant. Source: minMemory and minDisk of internal/lima.
const (
	leastMemory = 64 << 20
	leastDisk   = 16 << 20
)

// Resources tells what a VM gets of this computer, and could get.
func (v *VMs) Resources(ctx context.Context, name string) (r VMResources, err error) {
	const op = "read the resources of VM"
	own, err := v.Template(ctx, name)
	if err != nil {
		return r, err
	}
	if r.Next, err = ResourcesOf(own.Text); err != nil {
		return r, failed(op, name, err)
	}
	c := v.session.core
	computer := c.Computer()
	r.Least = Resources{CPUs: 1, Memory: leastMemory, Disk: leastDisk}
	r.Most = Resources{CPUs: max(computer.CPUs, r.Next.CPUs), Memory: max(computer.Memory, r.Next.Memory), Disk: max(computer.Disk, r.Next.Disk)}
	vm := c.layout(name)
	if _, size := diskUsage(filepath.Join(vm.Dir(), "diffdisk")); size > 0 {
		r.Least.Disk = size // it can only grow
	}
	launched, running, err := c.launched(name)
	if err != nil || !running {
		return r, failed(op, name, err)
	}
	current, err := ResourcesOf(launched.Template)
	if err != nil {
		return r, failed(op, name, err)
	}
	r.Current, r.Pending = &current, current != r.Next
	return r, nil
}

// SetResources changes what a VM gets at its next start, in its own template, and waits until that is
// known to whoever runs the VM.
func (v *VMs) SetResources(ctx context.Context, name string, r Resources, w Wait) error {
	const op = "change the resources of VM"
	w = w.fromNow()
	was, err := v.Template(ctx, name)
	if err != nil {
		return err
	}
	text, err := WithResources(was.Text, r)
	if err != nil {
		return failed(op, name, err)
	}
	if text == was.Text {
		return nil
	}
	return v.SetTemplate(ctx, name, was, text, w)
}

// launched is the template, with its params, that a VM's guest was started with; running is false when
// there is none. rdd-lima writes that file before each start, and nobody else does while the hostagent lives.
func (c *Core) launched(name string) (job event.Job, running bool, err error) {
	vm := c.layout(name)
	if !held(vm.AgentLock()) {
		return job, false, nil
	}
	job, err = readJob(vm)
	if errors.Is(err, os.ErrNotExist) { // an older RDD has started it
		return job, false, nil
	}
	return job, err == nil, err
}

func readJob(vm layout.VM) (job event.Job, err error) {
	f, err := os.Open(vm.Job())
	if err != nil {
		return job, err
	}
	defer f.Close()
	return event.ReadJob(f)
}

// preparedBy is the template, with its params, that a VM's disk and configuration were made by.
func preparedBy(vm layout.VM) (event.Job, error) {
	job, err := readJob(vm)
	if errors.Is(err, os.ErrNotExist) { // an older RDD has made it
		var text []byte
		text, err = os.ReadFile(vm.LimaYAML())
		job.Template = string(text)
	}
	return job, err
}

// Pending finds the settings that wait for a restart. It remembers what it found, so it is cheap to ask on
// every change of a VM.
type Pending struct {
	mu    sync.Mutex
	known map[string]compared // by VM
}

// compared is what was found of one VM, and of what.
type compared struct {
	generation int64     // of its spec, for the params
	digest     string    // of its template
	written    time.Time // when the configuration of the guest was
	changes    []string
}

// Changes names, in words, the settings of a running VM that its next start will change. It is empty
// when there are none, or when they can't be known.
func (p *Pending) Changes(ctx context.Context, c *Core, vm *VM) []string {
	info, err := os.Stat(c.layout(vm.Name).Job())
	if err != nil || vm.DeletionTimestamp != nil || !held(c.layout(vm.Name).AgentLock()) {
		return nil
	}
	now := compared{generation: vm.Generation, digest: vm.Status.TemplateDigest, written: info.ModTime()}
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
		p.known = map[string]compared{}
	}
	p.known[vm.Name] = now
	return now.changes
}

// RestartNeeded names, in words, the settings of a running VM that wait for a restart, as Pending.Changes does.
func (v *VMs) RestartNeeded(ctx context.Context, vm *VM) []string {
	return new(Pending).Changes(ctx, v.session.core, vm)
}

// pending compares what a VM's guest was started with and what the next one will be.
func (c *Core) pending(ctx context.Context, vm *VM) ([]string, error) {
	launched, running, err := c.launched(vm.Name)
	if err != nil || !running {
		return nil, err
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
		return nil, errors.New("the template is about to be another one")
	}
	return settingsChanged(launched, event.Job{Template: own.Text, Params: vm.Spec.Params})
}

// settingsChanged compares what a guest was started with and what the next one will be.
func settingsChanged(launched, wanted event.Job) ([]string, error) {
	var changes []string
	was, err := ResourcesOf(launched.Template)
	if err != nil {
		return nil, err
	}
	next, err := ResourcesOf(wanted.Template)
	if err != nil {
		return nil, err
	}
	if was.CPUs != next.CPUs {
		changes = append(changes, fmt.Sprintf("processors %d → %d", was.CPUs, next.CPUs))
	}
	if was.Memory != next.Memory {
		changes = append(changes, fmt.Sprintf("memory %s → %s", units.BytesSize(float64(was.Memory)), units.BytesSize(float64(next.Memory))))
	}
	if was.Disk != next.Disk {
		changes = append(changes, fmt.Sprintf("disk %s → %s", units.BytesSize(float64(was.Disk)), units.BytesSize(float64(next.Disk))))
	}
	for _, name := range paramsChanged(launched, wanted) {
		changes = append(changes, "param "+name) // its value may be a secret
	}
	var before, after map[string]any
	for _, t := range []struct {
		text string
		into *map[string]any
	}{{launched.Template, &before}, {wanted.Template, &after}} {
		if err := template.Unmarshal([]byte(t.text), t.into); err != nil {
			return nil, err
		}
	}
	for _, key := range keysChanged(before, after) {
		changes = append(changes, key+" in the template")
	}
	return changes, nil
}

func paramsChanged(launched, wanted event.Job) []string {
	was, err := paramValues(launched)
	if err != nil {
		return nil
	}
	next, err := paramValues(wanted)
	if err != nil {
		return nil
	}
	var names []string
	for name := range was {
		if value, ok := next[name]; !ok || value != was[name] {
			names = append(names, name)
		}
	}
	for name := range next {
		if _, ok := was[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// paramValues are the params of a template with the values that they are given.
func paramValues(job event.Job) (map[string]string, error) {
	defaults, err := paramDefaults(job.Template)
	if err != nil {
		return nil, err
	}
	values := map[string]string{}
	maps.Copy(values, defaults)
	maps.Copy(values, job.Params)
	return values, nil
}

// keysChanged lists the other settings at the top of a template that differ.
func keysChanged(before, after map[string]any) []string {
	var keys []string
	for _, m := range []map[string]any{before, after} {
		for key := range m {
			if !slices.Contains([]string{"cpus", "memory", "disk", "param"}, key) && !reflect.DeepEqual(before[key], after[key]) {
				keys = append(keys, key)
			}
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// stored is a VM's own template, in the ConfigMap that it owns.
func (v *VMs) stored(ctx context.Context, name string) (Template, error) {
	cm, err := v.configMaps().Get(ctx, v1alpha1.TemplateConfigMapName(name), metav1.GetOptions{})
	if err != nil {
		return Template{}, err
	}
	text, _, err := unstructured.NestedString(cm.Object, "data", v1alpha1.TemplateKey)
	return Template{text, cm}, err
}
