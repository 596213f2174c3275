package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
)

const (
	startCount   = 20  // VMs that exist while a service is started
	fleetCount   = 200 // VMs in a service whose memory and latency are measured
	settledLimit = 2 * time.Minute
)

// vms is a client of the LimaVMs, with a connection of its own.
type vms struct{ dynamic.ResourceInterface }

func (s *service) vms(ctx context.Context) (vms, error) {
	client, err := s.dynamic(ctx)
	if err != nil {
		return vms{}, err
	}
	return vms{client.Resource(schema.GroupVersionResource{Group: "lima.rancherdesktop.io", Version: "v1alpha1", Resource: "limavms"})}, nil
}

func vmName(n int) string { return fmt.Sprintf("vm%d", n) }

// create makes count VMs and waits until all exist, and run if they are to.
func (v vms) create(ctx context.Context, count int, run bool) error {
	for n := range count {
		_, err := v.Create(ctx, &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "lima.rancherdesktop.io/v1alpha1", "kind": "LimaVM", "metadata": map[string]any{"name": vmName(n)},
			"spec": map[string]any{"running": run, "template": "images: []\n"},
		}}, metav1.CreateOptions{})
		if err != nil {
			return err
		}
	}
	if run {
		return v.settle(ctx, count, "Running")
	}
	return v.settle(ctx, count, "Created")
}

// run starts count VMs and waits until all run.
func (v vms) run(ctx context.Context, count int) error {
	for n := range count {
		if _, err := v.Patch(ctx, vmName(n), types.MergePatchType, []byte(`{"spec":{"running":true}}`), metav1.PatchOptions{}); err != nil {
			return err
		}
	}
	return v.settle(ctx, count, "Running")
}

// settle waits until the condition of count VMs is true.
func (v vms) settle(ctx context.Context, count int, condition string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, settledLimit, fmt.Errorf("%w: not %d VMs were %s within %s", context.DeadlineExceeded, count, condition, settledLimit))
	defer cancel()
	for {
		list, err := v.List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		settled := 0
		for i := range list.Items {
			if conditionStatus(&list.Items[i], condition) == "True" {
				settled++
			}
		}
		if settled == count {
			return nil
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}

// startPlayed starts a service whose VMs are played by the tests' stand-in for rdd-lima: they boot in
// milliseconds, so what is measured is the service.
func (b *bench) startPlayed(ctx context.Context) (*service, vms, error) {
	libexec, err := b.standIn(ctx)
	if err != nil {
		return nil, vms{}, err
	}
	s, err := b.newService()
	if err != nil {
		return nil, vms{}, err
	}
	s.libexec = libexec
	if _, err := s.start(ctx); err != nil {
		return nil, vms{}, err
	}
	v, err := s.vms(ctx)
	return s, v, err
}

// standIn returns a libexec folder whose rdd-lima is the stand-in. The first call makes it.
func (b *bench) standIn(ctx context.Context) (string, error) {
	libexec := filepath.Join(b.dir, "libexec", "rdd")
	suffix := ""
	if runtime.GOOS == "windows" {
		suffix = ".exe"
	}
	program := filepath.Join(libexec, "rdd-lima"+suffix)
	if _, err := os.Stat(program); err == nil {
		return libexec, nil
	}
	if err := os.MkdirAll(libexec, 0o700); err != nil {
		return "", err
	}
	for _, name := range []string{"rddd", "rdd-kubectl"} {
		if err := os.Symlink(filepath.Join(b.dist, "libexec", "rdd", name+suffix), filepath.Join(libexec, name+suffix)); err != nil && !errors.Is(err, os.ErrExist) {
			return "", err
		}
	}
	cmd := exec.CommandContext(ctx, "go", "test", "-c", "-o", program, "rancherdesktop.io/rdd/internal/machine/machinetest")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the stand-in for rdd-lima: %w: %s", err, out)
	}
	return libexec, nil
}

// crash kills the service, starts it again at once, and says how long it took from the kill to ready.
func (s *service) crash(ctx context.Context) (time.Duration, error) {
	pid, err := s.pid(ctx)
	if err != nil {
		return 0, err
	}
	p, err := os.FindProcess(pid)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	if err := p.Kill(); err != nil {
		return 0, err
	}
	_, err = s.start(ctx)
	return time.Since(began), err
}

// measureCrash kills a service with a VM that runs, again and again.
func (b *bench) measureCrash(ctx context.Context) error {
	b.sayf("crash: SIGKILL, then a start")
	s, v, err := b.startPlayed(ctx)
	if err != nil {
		return err
	}
	if err := v.create(ctx, 1, true); err != nil {
		return err
	}
	for range b.runs * quickFactor {
		took, err := s.crash(ctx)
		if err != nil {
			return err
		}
		b.add("crash.ready", milliseconds(took))
	}
	return b.discard(ctx, s)
}

// measureFleet measures services with many VMs.
func (b *bench) measureFleet(ctx context.Context) error {
	if b.wants("fleet.start-stopped") || b.wants("fleet.start-running") {
		for n := range b.runs {
			b.sayf("fleet: start with %d VMs, run %d of %d", startCount, n+1, b.runs)
			if err := b.measureStarts(ctx); err != nil {
				return err
			}
		}
	}
	if b.wants("fleet.reconcile-p50") || b.wants("fleet.reconcile-p99") || b.wants("fleet.memory") {
		return b.measureMany(ctx)
	}
	return nil
}

// measureMany measures what many VMs cost that exist and do nothing, and how quickly they are seen to.
func (b *bench) measureMany(ctx context.Context) error {
	services, clients := make([]*service, b.runs), map[*service]vms{}
	for i := range services {
		s, v, err := b.startPlayed(ctx)
		if err != nil {
			return err
		}
		services[i], clients[s] = s, v
	}
	b.sayf("fleet: memory of %d VMs in each of %d services, with twice %s of quiet", fleetCount, b.runs, settleTime)
	if err := each(services, func(s *service) error { return b.measureVMMemory(ctx, s, clients[s]) }); err != nil {
		return err
	}
	for n, s := range services {
		b.sayf("fleet: reconcile with %d VMs, run %d of %d", fleetCount, n+1, b.runs)
		if err := b.measureReconcile(ctx, s, clients[s]); err != nil {
			return err
		}
		if err := b.discard(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// measureStarts starts a service in which VMs exist: first stopped ones, then ones that went on
// running while no service did.
func (b *bench) measureStarts(ctx context.Context) error {
	s, v, err := b.startPlayed(ctx)
	if err != nil {
		return err
	}
	if err := v.create(ctx, startCount, false); err != nil {
		return err
	}
	if _, err := s.stop(ctx); err != nil {
		return err
	}
	stopped, err := s.start(ctx)
	if err != nil {
		return err
	}
	if err := v.run(ctx, startCount); err != nil {
		return err
	}
	running, err := s.crash(ctx)
	if err != nil {
		return err
	}
	b.add("fleet.start-stopped", stopped.milliseconds())
	b.add("fleet.start-running", milliseconds(running))
	return b.discard(ctx, s)
}

// measureVMMemory measures what VMs cost that exist and do nothing.
func (b *bench) measureVMMemory(ctx context.Context, s *service, v vms) error {
	pid, err := s.pid(ctx)
	if err != nil {
		return err
	}
	look := func() (memory, error) {
		if err := pause(ctx, settleTime); err != nil {
			return memory{}, err
		}
		return readMemory(pid)
	}
	none, err := look()
	if err != nil {
		return err
	}
	if err := v.create(ctx, fleetCount, false); err != nil {
		return err
	}
	all, err := look()
	if err != nil {
		return err
	}
	b.add("fleet.memory", float64(all.Anonymous-none.Anonymous)/fleetCount/(1<<10))
	return nil
}

// observed is a status of a VM as a watch told of it, or why the watch ended.
type observed struct {
	name       string
	generation int64
	at         time.Time
	err        error
}

// measureReconcile changes a spec again and again, each time of another VM, and measures how long
// after the request was sent a watch on another connection tells of a status that counts it in.
func (b *bench) measureReconcile(ctx context.Context, s *service, writer vms) error {
	watcher, err := s.vms(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w, err := watcher.Watch(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	defer w.Stop()
	statuses := make(chan observed, latencyCount*4+fleetCount*2) // whatever comes, it is not in the way
	go receiveStatuses(w, statuses)
	took, err := timedAt(latencyCount, func(n int) (time.Time, error) {
		how := []string{"Emulation", "Auto"}[n/fleetCount%2]
		vm, err := writer.Patch(ctx, vmName(n%fleetCount), types.MergePatchType, fmt.Appendf(nil, `{"spec":{"acceleration":%q}}`, how), metav1.PatchOptions{})
		if err != nil {
			return time.Time{}, err
		}
		return awaitObserved(ctx, statuses, vm.GetName(), vm.GetGeneration())
	})
	if err != nil {
		return err
	}
	b.add("fleet.reconcile-p50", percentile(took, 50))
	b.add("fleet.reconcile-p99", percentile(took, 99))
	return nil
}

// timedAt calls do count times and returns how long after each call began it says that it was done, in
// milliseconds.
func timedAt(count int, do func(n int) (time.Time, error)) ([]float64, error) {
	took := make([]float64, count)
	for n := range count {
		began := time.Now()
		at, err := do(n)
		if err != nil {
			return nil, err
		}
		took[n] = milliseconds(at.Sub(began))
	}
	return took, nil
}

// receiveStatuses notes when each status comes, until the watch ends.
func receiveStatuses(w watch.Interface, statuses chan<- observed) {
	defer close(statuses)
	for e := range w.ResultChan() {
		at := time.Now()
		if e.Type == watch.Error {
			statuses <- observed{err: apierrors.FromObject(e.Object)}
			return
		}
		if vm, ok := e.Object.(*unstructured.Unstructured); ok {
			generation, _, _ := unstructured.NestedInt64(vm.Object, "status", "observedGeneration")
			statuses <- observed{name: vm.GetName(), generation: generation, at: at}
		}
	}
}

// awaitObserved returns when the status came that counts in the generation.
func awaitObserved(ctx context.Context, statuses <-chan observed, name string, generation int64) (time.Time, error) {
	late := time.After(watchTimeout)
	for {
		select {
		case s, ok := <-statuses:
			if !ok {
				return time.Time{}, fmt.Errorf("the watch ended while waiting for VM %s", name)
			}
			if s.err != nil {
				return time.Time{}, fmt.Errorf("the watch ended while waiting for VM %s: %w", name, s.err)
			}
			if s.name == name && s.generation >= generation {
				return s.at, nil
			}
		case <-late:
			return time.Time{}, fmt.Errorf("%w: generation %d of VM %s was not reconciled within %s", context.DeadlineExceeded, generation, name, watchTimeout)
		case <-ctx.Done():
			return time.Time{}, context.Cause(ctx)
		}
	}
}
