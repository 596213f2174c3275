package limavm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
	"rancherdesktop.io/rdd/internal/machine"
)

func testLife(t *testing.T, w *world) {
	w.template(t, "debian", "images: [debian]")
	vm := w.made(t, w.vm("life", runs, refers("debian"), func(vm *v1alpha1.LimaVM) { vm.Spec.Params = map[string]string{"color": "red"} }))
	w.until(t, vm, vm.Expectation().Running)
	r := w.fleet.asked("life")[0]
	if r.Action != machine.Start || string(r.Template) != "images: [debian]" || r.Params["color"] != "red" || r.Acceleration != "Auto" {
		t.Errorf("request %+v", r)
	}
	cm, err := w.kept(t, "life")
	if err != nil || cm.Data[v1alpha1.TemplateKey] != "images: [debian]" || !metav1.IsControlledBy(cm, vm) || !*cm.OwnerReferences[0].BlockOwnerDeletion {
		t.Errorf("kept %+v, %v", cm, err)
	}
	running := &v1alpha1.LimaVM{}
	if err := w.Get(t.Context(), client.ObjectKeyFromObject(vm), running); err != nil {
		t.Fatal(err)
	}
	s := running.Status
	if s.SSHPort != 2222 || s.TemplateConfigMap != "limavm-life" || s.RestartCount != 0 || condition(s, "Accelerated") != "False/HardwareHangs" || condition(s, "Created") != "True/Created" {
		t.Errorf("status %+v", s)
	}
	if !slices.Contains(running.Finalizers, v1alpha1.Finalizer) {
		t.Error("no finalizer")
	}

	restarted := w.patched(t, running, func(vm *v1alpha1.LimaVM) { now := metav1.NowMicro(); vm.Spec.RestartedAt = &now })
	w.until(t, restarted, restarted.Expectation().Running)
	stopped := w.patched(t, restarted, func(vm *v1alpha1.LimaVM) { vm.Spec.Running = false })
	w.until(t, stopped, stopped.Expectation().Running)
	again := w.patched(t, stopped, runs)
	w.until(t, again, again.Expectation().Running)
	want := []machine.Action{machine.Start, machine.Stop, machine.Start, machine.Stop, machine.Start}
	if got := w.fleet.actions("life"); !slices.Equal(got, want) {
		t.Errorf("asked for %v, want %v", got, want)
	}
	w.removed(t, vm)
	if got := w.fleet.actions("life"); !slices.Equal(got[5:], []machine.Action{machine.Stop, machine.Remove}) || !w.fleet.forgotten("life") {
		t.Errorf("asked for %v", got[5:])
	}
	w.untilCollected(t, "life")
}

// untilCollected waits until the template of a VM that is gone has been collected.
func (w *world) untilCollected(t *testing.T, vm string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	events := w.watch(ctx, t, &corev1.ConfigMapList{}, client.InNamespace(v1alpha1.SystemNamespace))
	defer events.Stop()
	for {
		if _, err := w.kept(t, vm); apierrors.IsNotFound(err) {
			return
		}
		if _, open := <-events.ResultChan(); !open {
			t.Fatalf("the template of VM %q is left behind", vm)
		}
	}
}

func testCreatedOnly(t *testing.T, w *world) {
	vm := w.made(t, w.vm("created"))
	w.until(t, vm, vm.Expectation().Created)
	w.until(t, vm, vm.Expectation().Running) // that is, stopped
	if got := w.fleet.actions("created"); !slices.Equal(got, []machine.Action{machine.Prepare}) {
		t.Errorf("asked for %v", got)
	}
}

func testReset(t *testing.T, w *world) {
	for _, running := range []bool{true, false} {
		vm := w.made(t, w.vm(fmt.Sprintf("reset-%t", running), func(vm *v1alpha1.LimaVM) { vm.Spec.Running = running }))
		w.until(t, vm, vm.Expectation().Reset)
		before := len(w.fleet.actions(vm.Name))
		vm = w.patched(t, vm, func(vm *v1alpha1.LimaVM) { now := metav1.NowMicro(); vm.Spec.ResetAt = &now })
		w.until(t, vm, vm.Expectation().Reset)
		want := []machine.Action{machine.Remove, machine.Prepare}
		if running {
			want = []machine.Action{machine.Stop, machine.Remove, machine.Start}
		}
		if got := w.fleet.actions(vm.Name)[before:]; !slices.Equal(got, want) {
			t.Errorf("running %t: asked for %v, want %v", running, got, want)
		}
	}
}

func testParams(t *testing.T, w *world) {
	w.template(t, "colored", "images: [colored]")
	vm := w.made(t, w.vm("params", refers("colored")))
	w.until(t, vm, vm.Expectation().Created)
	loud := vm.DeepCopy()
	loud.Spec.Params = map[string]string{"color": "loud"}
	if err := w.Patch(t.Context(), loud, client.MergeFrom(vm)); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "spec.params: Invalid value: param[color]") {
		t.Error(err)
	}
	vm = w.patched(t, vm, func(vm *v1alpha1.LimaVM) { vm.Spec.Params = map[string]string{"color": "blue"} })
	vm = w.patched(t, vm, runs)
	w.until(t, vm, vm.Expectation().Running)
	requests := w.fleet.asked("params")
	if last := requests[len(requests)-1]; last.Params["color"] != "blue" {
		t.Errorf("started with %v", last.Params)
	}
}

func testRefGoneAfterCreation(t *testing.T, w *world) {
	cm := w.template(t, "fleeting", "images: [fleeting]")
	vm := w.made(t, w.vm("ref-gone", refers("fleeting")))
	w.until(t, vm, vm.Expectation().Created)
	if err := w.Delete(t.Context(), cm); err != nil {
		t.Fatal(err)
	}
	vm = w.patched(t, vm, func(vm *v1alpha1.LimaVM) { vm.Spec.Running, vm.Spec.Params = true, map[string]string{"color": "blue"} })
	w.until(t, vm, vm.Expectation().Running)
}

func testPermanentFailure(t *testing.T, w *world) {
	w.fleet.beSlow(true)
	defer w.fleet.beSlow(false)
	vm := w.made(t, w.vm("broken", runs))
	w.fleet.await(t, "broken", machine.Start, 1)
	w.fleet.fail("broken", machine.Absent, true)
	err := w.follow(t, vm.Name, vm.Expectation().Running)
	if failed, ok := errors.AsType[*v1alpha1.FailedError](err); !ok || failed.Reason != v1alpha1.ReasonCreateFailed || failed.Message != "because" {
		t.Fatalf("%v", err)
	}
	w.fleet.wake("broken")
	vm = w.patched(t, vm, func(vm *v1alpha1.LimaVM) { now := metav1.NowMicro(); vm.Spec.RestartedAt = &now })
	w.fleet.await(t, "broken", machine.Start, 2)
	w.fleet.advance("broken")
	w.fleet.advance("broken")
	w.until(t, vm, vm.Expectation().Running)
	if n := w.fleet.count("broken", machine.Start); n != 2 {
		t.Errorf("%d starts", n)
	}
	w.fleet.beSlow(false)
}

func testDeleteRunning(t *testing.T, w *world) {
	vm := w.made(t, w.vm("gone", runs))
	w.until(t, vm, vm.Expectation().Running)
	w.fleet.beSlow(true)
	defer w.fleet.beSlow(false)
	if err := w.Delete(t.Context(), vm); err != nil {
		t.Fatal(err)
	}
	w.until(t, vm, func(vm *v1alpha1.LimaVM) (bool, error) {
		return condition(vm.Status, "Running") == "Unknown/Stopping" && condition(vm.Status, "Created") == "True/Created", nil
	})
	if w.fleet.count("gone", machine.Remove) != 0 {
		t.Error("removed before it was stopped")
	}
	if _, err := vm.Expectation().Running(vm); err != nil {
		t.Error(err)
	}
	if err := w.follow(t, vm.Name, vm.Expectation().Running); !errors.Is(err, v1alpha1.ErrDeleted) {
		t.Errorf("waiting for a VM that is being deleted: %v", err)
	}
	w.fleet.advance("gone") // stopped
	w.until(t, vm, func(vm *v1alpha1.LimaVM) (bool, error) {
		return condition(vm.Status, "Created") == "Unknown/Removing", nil
	})
	w.fleet.advance("gone") // removed
	w.until(t, vm, vm.Expectation().Deleted)
}

func testDeletePreparing(t *testing.T, w *world) {
	w.fleet.beSlow(true)
	defer w.fleet.beSlow(false)
	vm := w.made(t, w.vm("early", runs))
	w.fleet.await(t, "early", machine.Start, 1)
	w.fleet.beSlow(false)
	w.removed(t, vm)
	if got := w.fleet.actions("early"); !slices.Equal(got, []machine.Action{machine.Start, machine.Remove}) {
		t.Errorf("asked for %v", got)
	}
}

func testForceWhileDeleting(t *testing.T, w *world) {
	vm := w.made(t, w.vm("stubborn", runs))
	w.until(t, vm, vm.Expectation().Running)
	w.fleet.beSlow(true)
	if err := w.Delete(t.Context(), vm); err != nil {
		t.Fatal(err)
	}
	w.until(t, vm, func(vm *v1alpha1.LimaVM) (bool, error) {
		return condition(vm.Status, "Running") == "Unknown/Stopping", nil
	})
	w.fleet.beSlow(false)
	w.patched(t, vm, func(vm *v1alpha1.LimaVM) { vm.Spec.StopMode = v1alpha1.StopForce })
	w.until(t, vm, vm.Expectation().Deleted)
	if w.fleet.count("stubborn", machine.Kill) != 1 {
		t.Errorf("asked for %v", w.fleet.actions("stubborn"))
	}
}

func testNameReuse(t *testing.T, w *world) {
	for i := range 2 {
		vm := w.vm("reused", runs, func(vm *v1alpha1.LimaVM) { vm.Spec.Template = fmt.Sprintf("images: [%d]", i) })
		if err := w.Create(t.Context(), vm); err != nil {
			t.Fatal(err)
		}
		w.until(t, vm, vm.Expectation().Running)
		w.fleet.die("reused")
		w.until(t, vm, func(vm *v1alpha1.LimaVM) (bool, error) { return vm.Status.RestartCount == 1, nil })
		if cm, err := w.kept(t, "reused"); err != nil || cm.Data[v1alpha1.TemplateKey] != vm.Spec.Template {
			t.Errorf("kept %v, %v", cm.Data, err)
		}
		w.removed(t, vm)
	}
}

// testNewProcess runs a second controller beside the first, for a host of its own.
func testNewProcess(t *testing.T, w *world) {
	on := func(vm *v1alpha1.LimaVM) { vm.Spec.Running, vm.Spec.Host = true, "second" }
	adopted, died := w.vm("adopted", on), w.vm("died", on)
	for _, vm := range []*v1alpha1.LimaVM{adopted, died} {
		if err := w.Create(t.Context(), vm); err != nil {
			t.Fatal(err)
		}
	}
	f := newFleet()
	f.states["adopted"] = machine.State{Phase: machine.Unknown}
	f.states["died"] = machine.State{Phase: machine.Stopped}
	t.Run("running", func(t *testing.T) {
		w.control(t, f)
		w.until(t, died, died.Expectation().Running)
		f.change("adopted", func(s *machine.State) { s.Phase = machine.Running })
		w.until(t, adopted, adopted.Expectation().Running)
		if got := f.actions("adopted"); len(got) != 0 {
			t.Errorf("asked for %v", got)
		}
		if got := f.actions("died"); !slices.Equal(got, []machine.Action{machine.Start}) {
			t.Errorf("asked for %v", got)
		}
		w.removed(t, adopted)
		w.removed(t, died)
	})
	if len(w.fleet.actions("adopted")) != 0 {
		t.Error("two hosts ran one VM")
	}
}

func testDeath(t *testing.T, w *world) {
	vm := w.made(t, w.vm("dying", runs))
	w.until(t, vm, vm.Expectation().Running)
	w.fleet.die("dying")
	w.until(t, vm, func(vm *v1alpha1.LimaVM) (bool, error) {
		return vm.Status.RestartCount == 1 && condition(vm.Status, "Running") == "True/Started", nil
	})
}

func testServerSideApply(t *testing.T, w *world) {
	apply := func(running bool) *v1alpha1.LimaVM {
		vm := w.vm("applied")
		vm.APIVersion, vm.Kind = v1alpha1.GroupVersion.String(), v1alpha1.Kind
		vm.Spec.Running = running
		if err := w.Patch(t.Context(), vm, client.Apply, client.FieldOwner("user")); err != nil { //nolint:staticcheck // typed apply needs generated types
			t.Fatal(err)
		}
		return vm
	}
	vm := apply(true)
	defer w.removed(t, vm)
	w.until(t, vm, vm.Expectation().Running)
	same := apply(true)
	if same.Generation != vm.Generation || !slices.Contains(same.Finalizers, v1alpha1.Finalizer) {
		t.Errorf("applying the same again: generation %d, finalizers %v", same.Generation, same.Finalizers)
	}
	off := apply(false)
	w.until(t, off, off.Expectation().Running)
}
