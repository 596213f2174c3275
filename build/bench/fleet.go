package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"

	"rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
)

const (
	startCount     = 20  // VMs that exist while a service is started
	fleetCount     = 200 // VMs in a service whose memory and latency are measured
	settleInterval = 50 * time.Millisecond
	settleTimeout  = 2 * time.Minute
)

// vms is a client of the LimaVMs, with a connection of its own.
type vms struct{ dynamic.ResourceInterface }

func (s *service) vms(ctx context.Context) (vms, error) {
	client, err := s.client(ctx)
	if err != nil {
		return vms{}, err
	}
	return vms{client.Resource(v1alpha1.GroupVersion.WithResource(v1alpha1.Resource))}, nil
}

func vmName(n int) string { return fmt.Sprintf("vm%d", n) }

// create creates VMs that don't run, and waits until their disks exist.
func (v vms) create(ctx context.Context, count int) error {
	for n := range count {
		_, err := v.Create(ctx, &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": v1alpha1.GroupVersion.String(), "kind": v1alpha1.Kind, "metadata": map[string]any{"name": vmName(n)},
			"spec": map[string]any{"template": "images: []\n"},
		}}, metav1.CreateOptions{})
		if err != nil {
			return err
		}
	}
	return v.settle(ctx, count, v1alpha1.ConditionCreated)
}

// start starts VMs and waits until they run.
func (v vms) start(ctx context.Context, count int) error {
	for n := range count {
		if _, err := v.Patch(ctx, vmName(n), types.MergePatchType, []byte(`{"spec":{"running":true}}`), metav1.PatchOptions{}); err != nil {
			return err
		}
	}
	return v.settle(ctx, count, v1alpha1.ConditionRunning)
}

// settle waits until a condition of count VMs is true.
func (v vms) settle(ctx context.Context, count int, condition string) error {
	err := wait.PollUntilContextTimeout(ctx, settleInterval, settleTimeout, true, func(ctx context.Context) (bool, error) {
		list, err := v.List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, err
		}
		for i := range list.Items {
			if conditionStatus(&list.Items[i], condition) != "True" {
				return false, nil
			}
		}
		return len(list.Items) == count, nil
	})
	if err != nil {
		return fmt.Errorf("wait until the condition %s of %d VMs is true: %w", condition, count, err)
	}
	return nil
}

// startFake starts a service whose VMs are run by the tests' fake of rdd-lima: they boot in milliseconds, so
// only the service is measured.
func (b *bench) startFake(ctx context.Context) (*service, vms, error) {
	libexec, err := b.fakeLibexec(ctx)
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

// fakeLibexec returns a libexec folder whose rdd-lima is the tests' fake. The first call makes it.
func (b *bench) fakeLibexec(ctx context.Context) (string, error) {
	libexec := filepath.Join(b.dir, "libexec", "rdd")
	suffix := filepath.Ext(b.rdd)
	program := filepath.Join(libexec, "rdd-lima"+suffix)
	if _, err := os.Stat(program); err == nil {
		return libexec, nil
	}
	if err := os.MkdirAll(libexec, 0o700); err != nil {
		return "", err
	}
	for _, name := range []string{"rddd" + suffix, "rdd-kubectl" + suffix} {
		if err := os.Symlink(filepath.Join(b.dist, "libexec", "rdd", name), filepath.Join(libexec, name)); err != nil && !errors.Is(err, fs.ErrExist) {
			return "", err
		}
	}
	_, err := goCommand(ctx, "test", "-tags", "grpcnotrace", "-c", "-o", program, module+"internal/machine/machinetest")
	return libexec, err
}

// crash kills the service, starts it again at once, and returns the time from the kill to ready.
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

// measureCrash kills a service with a running VM again and again.
func (b *bench) measureCrash(ctx context.Context) error {
	b.logf("crash: SIGKILL, then a start")
	s, v, err := b.startFake(ctx)
	if err != nil {
		return err
	}
	if err := errors.Join(v.create(ctx, 1), v.start(ctx, 1)); err != nil {
		return err
	}
	for range b.runs * quickFactor {
		took, err := s.crash(ctx)
		if err != nil {
			return err
		}
		b.add("crash.ready", milliseconds(took))
	}
	return b.remove(ctx, s)
}

// measureFleet measures services with many VMs.
func (b *bench) measureFleet(ctx context.Context) error {
	if b.wants("fleet.start-stopped", "fleet.start-running") {
		for n := range b.runs {
			b.logf("fleet: start with %d VMs, run %d of %d", startCount, n+1, b.runs)
			if err := b.measureStarts(ctx); err != nil {
				return err
			}
		}
	}
	if b.wants("fleet.reconcile-p50", "fleet.reconcile-p99", "fleet.memory") {
		return b.measureMany(ctx)
	}
	return nil
}

// measureStarts starts a service that has VMs: first with all of them stopped, then with VMs that kept running
// while the service was down.
func (b *bench) measureStarts(ctx context.Context) error {
	s, v, err := b.startFake(ctx)
	if err != nil {
		return err
	}
	if err := v.create(ctx, startCount); err != nil {
		return err
	}
	if _, err := s.stop(ctx); err != nil {
		return err
	}
	stopped, err := s.start(ctx)
	if err != nil {
		return err
	}
	if err := v.start(ctx, startCount); err != nil {
		return err
	}
	running, err := s.crash(ctx)
	if err != nil {
		return err
	}
	b.add("fleet.start-stopped", milliseconds(stopped))
	b.add("fleet.start-running", milliseconds(running))
	return b.remove(ctx, s)
}

// fleetRun is a service with many VMs, and a client of it.
type fleetRun struct {
	*service
	vms vms
}

// measureMany measures how much memory many stopped VMs take, and how quickly changes of them are reconciled.
func (b *bench) measureMany(ctx context.Context) error {
	runs := make([]fleetRun, b.runs)
	for n := range runs {
		s, v, err := b.startFake(ctx)
		if err != nil {
			return err
		}
		runs[n] = fleetRun{s, v}
	}
	b.logf("fleet: memory of %d VMs in each of %d services, after %s without and %s with them", fleetCount, b.runs, settleTime, settleTime)
	if err := each(runs, func(r fleetRun) error { return b.measureVMMemory(ctx, r) }); err != nil {
		return err
	}
	for n, r := range runs {
		b.logf("fleet: reconcile with %d VMs, run %d of %d", fleetCount, n+1, b.runs)
		if err := b.measureReconcile(ctx, r); err != nil {
			return err
		}
		if err := b.remove(ctx, r.service); err != nil {
			return err
		}
	}
	return nil
}

// measureVMMemory creates the VMs and measures how much memory the service takes for each.
func (b *bench) measureVMMemory(ctx context.Context, r fleetRun) error {
	pid, err := r.pid(ctx)
	if err != nil {
		return err
	}
	without, err := settledMemory(ctx, pid)
	if err != nil {
		return err
	}
	if err := r.vms.create(ctx, fleetCount); err != nil {
		return err
	}
	with, err := settledMemory(ctx, pid)
	if err != nil {
		return err
	}
	b.add("fleet.memory", float64(with.Anonymous-without.Anonymous)/fleetCount/(1<<10))
	return nil
}

// measureReconcile changes the specs of the VMs one after the other, and measures how much time passes from each
// request to the event, in a watch on another connection, whose status has observed the new generation.
func (b *bench) measureReconcile(ctx context.Context, r fleetRun) error {
	watcher, err := r.service.vms(ctx)
	if err != nil {
		return err
	}
	took, err := watchLatencies(ctx, watcher, metav1.ListOptions{}, func(n int) (condition, error) {
		acceleration := []v1alpha1.Acceleration{v1alpha1.AccelerationEmulation, v1alpha1.AccelerationAuto}[n/fleetCount%2]
		vm, err := r.vms.Patch(ctx, vmName(n%fleetCount), types.MergePatchType, fmt.Appendf(nil, `{"spec":{"acceleration":%q}}`, acceleration), metav1.PatchOptions{})
		return func(obj *unstructured.Unstructured) bool {
			observed, _, _ := unstructured.NestedInt64(obj.Object, "status", "observedGeneration")
			return obj.GetName() == vm.GetName() && observed >= vm.GetGeneration()
		}, err
	})
	if err != nil {
		return err
	}
	b.addPercentiles("fleet.reconcile", took)
	return nil
}
