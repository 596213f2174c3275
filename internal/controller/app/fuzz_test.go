package app

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rancherdesktop.io/rdd/internal/api/app/v1alpha1"
	lima "rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
	"rancherdesktop.io/rdd/internal/engine"
)

// FuzzDecide builds situations, likely and not, and checks what holds in all of them.
func FuzzDecide(f *testing.F) {
	for seed := range uint64(300) {
		f.Add(seed*0x9E3779B97F4A7C15, seed*0xD1B54A32D192ED03)
	}
	changes := []func(*observation){stop, restart, reset, threeCPUs, silent, changing, oldApps, foreign, deleted, noVM, missing, starting,
		vmIs(lima.ConditionRunning, metav1.ConditionFalse, lima.ReasonStopped), vmIs(lima.ConditionRunning, metav1.ConditionFalse, lima.ReasonStartFailed),
		vmIs(lima.ConditionCreated, metav1.ConditionUnknown, lima.ReasonPending), vmIs(lima.ConditionCreated, metav1.ConditionFalse, lima.ReasonCreateFailed),
		func(o *observation) { o.vm.Generation++ }, func(o *observation) { o.vm.Status = lima.LimaVMStatus{} }, func(o *observation) { o.app.Status = v1alpha1.AppStatus{} },
		func(o *observation) { o.memory = memory{} }, func(o *observation) { o.stored = "" }, func(o *observation) { o.stored = "- no map" },
		func(o *observation) { o.launched = &launched{template: "cpus: ["} }, func(o *observation) { t := metav1.NewTime(noon); o.vm.DeletionTimestamp = &t },
		func(o *observation) { o.vm.Status.Progress = &lima.Progress{Phase: "boot", Step: 3, Steps: 5} },
	}
	f.Fuzz(func(t *testing.T, bits, more uint64) {
		o := situation()
		for i, change := range changes {
			if bits>>i&1 == 1 && more>>i&1 == 1 && o.vm != nil {
				change(&o)
			}
		}
		d := decide(o)
		check(t, o, d)
		// Deciding again at once, with what was noted, does the same or less.
		o.app.Status, o.memory, o.linked = d.status, d.memory, d.phase
		if again := decide(o); again.ensureContext && d.ensureContext || again.requeueAfter < 0 {
			t.Errorf("again: %s", does(again))
		}
	})
}

func check(t *testing.T, o observation, d decision) {
	t.Helper()
	is := func(kind string) metav1.Condition { return *meta.FindStatusCondition(d.status.Conditions, kind) }
	deleting := !o.app.DeletionTimestamp.IsZero()
	settled, running := is("Settled"), is("Running")
	switch {
	case d.removeFinalizer && (!deleting || o.owned()):
		t.Error("it lets the App go before its VM is gone")
	case d.removeContext && !deleting, d.deleteVM && !deleting:
		t.Errorf("it does %q, and nobody asked for that", does(d))
	case (d.vmSpec != nil || d.template != "" || d.deleteVM) && !o.owned():
		t.Error("it changes a VM that is not the App's")
	case d.createVM != nil && (deleting || o.vm != nil || o.refused != nil):
		t.Error("it makes a VM")
	case d.vmSpec != nil && !deleting && d.vmSpec.Running != o.app.Spec.Running:
		t.Error("it starts or stops what the App doesn't")
	case d.vmSpec != nil && d.vmSpec.DataDisk.Size.Cmp(o.vm.Spec.DataDisk.Size) < 0:
		t.Error("it shrinks the data disk")
	case d.phase == engine.Running && (deleting || !o.app.Spec.Running || !o.owned()):
		t.Error("it connects to an engine that is not to run")
	case settled.Status == metav1.ConditionTrue && (deleting || d.vmSpec != nil || d.createVM != nil || d.template != ""):
		t.Errorf("it has settled and does %q", does(d))
	case settled.Status == metav1.ConditionTrue && o.app.Spec.Running && (running.Status != metav1.ConditionTrue || is("ContainerEngineReady").Status != metav1.ConditionTrue):
		t.Error("it has settled and nothing runs")
	case settled.Status == metav1.ConditionTrue && (pending(o.app.Spec.RestartedAt, d.status.RestartedAt) || pending(o.app.Spec.ResetAt, d.status.ResetAt)) && d.failure == nil:
		t.Error("it has settled before the restart or the reset")
	case settled.Reason == "" || settled.Status == metav1.ConditionUnknown:
		t.Errorf("Settled is %+v", settled)
	}
	for _, c := range d.status.Conditions {
		if c.ObservedGeneration > o.app.Generation || c.Reason == "" || strings.HasSuffix(c.Reason, "Failed") && c.Status == metav1.ConditionTrue {
			t.Errorf("condition %+v", c)
		}
	}
	if done, err := o.app.DeepCopy().Expectation().Settled(&v1alpha1.App{ObjectMeta: o.app.ObjectMeta, Spec: o.app.Spec, Status: d.status}); done && (err != nil || settled.Status != metav1.ConditionTrue) {
		t.Errorf("a wait ends: %v", err)
	}
}

// TestRandomWalk plays a user, a VM and an engine that do what they can do at any moment, and checks that the App gets where its
// spec says as soon as they let it.
func TestRandomWalk(t *testing.T) {
	for seed := range uint64(100) {
		w := &walk{o: situation(), bits: seed*0x9E3779B97F4A7C15 + 1}
		for range 60 {
			w.step(t)
		}
		w.settle(t, seed)
	}
}

// walk is an App whose decisions are carried out on a VM that is a few fields.
type walk struct {
	o    observation
	bits uint64
	time time.Duration
}

func (w *walk) pick(n int) int {
	w.bits ^= w.bits << 13
	w.bits ^= w.bits >> 7
	w.bits ^= w.bits << 17
	return int(w.bits % uint64(n))
}

func (w *walk) step(t *testing.T) {
	o := &w.o
	stamp := metav1.NewMicroTime(o.now)
	switch w.pick(11) {
	case 10:
		o.app.Spec.ContainerEngine.Name = []v1alpha1.EngineName{v1alpha1.Moby, v1alpha1.Containerd}[w.pick(2)]
		o.app.Generation++
	case 0:
		o.app.Spec.Running = !o.app.Spec.Running
		o.app.Generation++
	case 1:
		o.app.Spec.VirtualMachine.CPUs = int32(1 + w.pick(4))
		o.app.Generation++
	case 2:
		o.app.Spec.RestartedAt = &stamp
		o.app.Generation++
	case 3:
		o.engine.Answers = !o.engine.Answers
	case 4, 5, 6:
		w.decide(t)
	default:
		w.vm()
	}
	w.time += time.Second
	o.now = noon.Add(w.time)
}

// decide carries a decision out.
func (w *walk) decide(t *testing.T) {
	o := &w.o
	d := decide(*o)
	check(t, *o, d)
	if d.template != "" {
		o.stored = d.template
	}
	if d.vmSpec != nil {
		o.vm.Spec = *d.vmSpec
		o.vm.Generation++
	}
	o.app.Status, o.memory, o.linked = d.status, d.memory, d.phase
}

// vm lets the VM take one step towards its spec.
func (w *walk) vm() {
	o := &w.o
	s := &o.vm.Status
	s.ObservedGeneration, s.TemplateDigest = o.vm.Generation, lima.TemplateDigest(o.stored)
	running := meta.FindStatusCondition(s.Conditions, lima.ConditionRunning)
	switch {
	case o.launched != nil && (!o.vm.Spec.Running || restarting(o.vm.Spec, *s)):
		o.launched = nil
		vmIs(lima.ConditionRunning, metav1.ConditionUnknown, lima.ReasonStopping)(o)
	case o.launched == nil:
		s.RestartedAt, s.ResetAt = o.vm.Spec.RestartedAt, o.vm.Spec.ResetAt
		if !o.vm.Spec.Running {
			vmIs(lima.ConditionRunning, metav1.ConditionFalse, lima.ReasonStopped)(o)
			return
		}
		o.launched = &launched{template: o.stored, dataDisk: v1alpha1.DefaultDisk}
		vmIs(lima.ConditionRunning, metav1.ConditionUnknown, lima.ReasonStarting)(o)
	case running.Reason == lima.ReasonStarting || running.ObservedGeneration != o.vm.Generation:
		vmIs(lima.ConditionRunning, metav1.ConditionTrue, lima.ReasonStarted)(o)
	}
	meta.FindStatusCondition(s.Conditions, lima.ConditionCreated).ObservedGeneration = o.vm.Generation
}

func (w *walk) settle(t *testing.T, seed uint64) {
	t.Helper()
	w.o.engine.Answers = true
	for range 40 {
		w.decide(t)
		w.vm()
	}
	w.decide(t)
	want, _ := withSize(guest, sizeOf(w.o.app.Spec.VirtualMachine, computer), w.o.engineName())
	if got := condition(w.o.app.Status, "Settled"); got != "True/Settled" || w.o.vm.Spec.Running != w.o.app.Spec.Running {
		t.Fatalf("walk %d: Settled is %s: %+v, VM %+v", seed, got, w.o.app, w.o.vm)
	}
	if w.o.launched != nil && w.o.launched.template != want || w.o.stored != want {
		t.Fatalf("walk %d: it runs %q, want %q", seed, w.o.launched.template, want)
	}
}
