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

func testLife(t *testing.T, env *testEnv) {
	env.template(t, "debian", "images: [debian]")
	vm := env.createVM(t, env.newVM("life", runs, refers("debian"), func(vm *v1alpha1.LimaVM) { vm.Spec.Params = map[string]string{"color": "red"} }))
	env.until(t, vm, vm.Expectation().Running)
	r := env.machines.asked("life")[0]
	if r.Action != machine.Start || string(r.Template) != "images: [debian]" || r.Params["color"] != "red" || r.Acceleration != "Auto" {
		t.Errorf("request %+v", r)
	}
	cm, err := env.storedTemplate(t, "life")
	if err != nil || cm.Data[v1alpha1.TemplateKey] != "images: [debian]" || !metav1.IsControlledBy(cm, vm) || !*cm.OwnerReferences[0].BlockOwnerDeletion {
		t.Errorf("kept %+v, %v", cm, err)
	}
	running := &v1alpha1.LimaVM{}
	if err := env.Get(t.Context(), client.ObjectKeyFromObject(vm), running); err != nil {
		t.Fatal(err)
	}
	s := running.Status
	if s.SSHPort != 2222 || s.TemplateConfigMap != "limavm-life" || s.RestartCount != 0 || condition(s, "Accelerated") != "False/HardwareHangs" || condition(s, "Created") != "True/Created" {
		t.Errorf("status %+v", s)
	}
	if !slices.Contains(running.Finalizers, v1alpha1.Finalizer) {
		t.Error("no finalizer")
	}

	restarted := env.patchVM(t, running, func(vm *v1alpha1.LimaVM) { now := metav1.NowMicro(); vm.Spec.RestartedAt = &now })
	env.until(t, restarted, restarted.Expectation().Running)
	stopped := env.patchVM(t, restarted, func(vm *v1alpha1.LimaVM) { vm.Spec.Running = false })
	env.until(t, stopped, stopped.Expectation().Running)
	again := env.patchVM(t, stopped, runs)
	env.until(t, again, again.Expectation().Running)
	want := []machine.Action{machine.Start, machine.Stop, machine.Start, machine.Stop, machine.Start}
	if got := env.machines.actions("life"); !slices.Equal(got, want) {
		t.Errorf("asked for %v, want %v", got, want)
	}
	env.deleteVM(t, vm)
	if got := env.machines.actions("life"); !slices.Equal(got[5:], []machine.Action{machine.Stop, machine.Remove}) || !env.machines.forgotten("life") {
		t.Errorf("asked for %v", got[5:])
	}
	env.untilCollected(t, "life")
}

// untilCollected waits until the template of a VM that is gone has been collected.
func (env *testEnv) untilCollected(t *testing.T, vm string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	events := env.watch(ctx, t, &corev1.ConfigMapList{}, client.InNamespace(v1alpha1.SystemNamespace))
	defer events.Stop()
	for {
		if _, err := env.storedTemplate(t, vm); apierrors.IsNotFound(err) {
			return
		}
		if _, open := <-events.ResultChan(); !open {
			t.Fatalf("the template of VM %q is left behind", vm)
		}
	}
}

func testCreatedOnly(t *testing.T, env *testEnv) {
	vm := env.createVM(t, env.newVM("created"))
	env.until(t, vm, vm.Expectation().Created)
	env.until(t, vm, vm.Expectation().Running) // that is, stopped
	if got := env.machines.actions("created"); !slices.Equal(got, []machine.Action{machine.Prepare}) {
		t.Errorf("asked for %v", got)
	}
}

func testReset(t *testing.T, env *testEnv) {
	for _, running := range []bool{true, false} {
		vm := env.createVM(t, env.newVM(fmt.Sprintf("reset-%t", running), func(vm *v1alpha1.LimaVM) { vm.Spec.Running = running }))
		env.until(t, vm, vm.Expectation().Reset)
		before := len(env.machines.actions(vm.Name))
		vm = env.patchVM(t, vm, func(vm *v1alpha1.LimaVM) { now := metav1.NowMicro(); vm.Spec.ResetAt = &now })
		env.until(t, vm, vm.Expectation().Reset)
		want := []machine.Action{machine.Remove, machine.Prepare}
		if running {
			want = []machine.Action{machine.Stop, machine.Remove, machine.Start}
		}
		if got := env.machines.actions(vm.Name)[before:]; !slices.Equal(got, want) {
			t.Errorf("running %t: asked for %v, want %v", running, got, want)
		}
	}
}

func testParams(t *testing.T, env *testEnv) {
	env.template(t, "colored", "images: [colored]")
	vm := env.createVM(t, env.newVM("params", refers("colored")))
	env.until(t, vm, vm.Expectation().Created)
	loud := vm.DeepCopy()
	loud.Spec.Params = map[string]string{"color": "loud"}
	if err := env.Patch(t.Context(), loud, client.MergeFrom(vm)); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "spec.params: Invalid value: param[color]") {
		t.Error(err)
	}
	vm = env.patchVM(t, vm, func(vm *v1alpha1.LimaVM) { vm.Spec.Params = map[string]string{"color": "blue"} })
	vm = env.patchVM(t, vm, runs)
	env.until(t, vm, vm.Expectation().Running)
	requests := env.machines.asked("params")
	if last := requests[len(requests)-1]; last.Params["color"] != "blue" {
		t.Errorf("started with %v", last.Params)
	}
}

func testRefGoneAfterCreation(t *testing.T, env *testEnv) {
	cm := env.template(t, "fleeting", "images: [fleeting]")
	vm := env.createVM(t, env.newVM("ref-gone", refers("fleeting")))
	env.until(t, vm, vm.Expectation().Created)
	if err := env.Delete(t.Context(), cm); err != nil {
		t.Fatal(err)
	}
	vm = env.patchVM(t, vm, func(vm *v1alpha1.LimaVM) { vm.Spec.Running, vm.Spec.Params = true, map[string]string{"color": "blue"} })
	env.until(t, vm, vm.Expectation().Running)
}

func testPermanentFailure(t *testing.T, env *testEnv) {
	env.machines.beSlow(true)
	defer env.machines.beSlow(false)
	vm := env.createVM(t, env.newVM("broken", runs))
	env.machines.await(t, "broken", machine.Start, 1)
	env.machines.fail("broken", machine.Absent, true)
	err := env.follow(t, vm.Name, vm.Expectation().Running)
	if failed, ok := errors.AsType[*v1alpha1.FailedError](err); !ok || failed.Reason != v1alpha1.ReasonCreateFailed || failed.Message != "because" {
		t.Fatalf("%v", err)
	}
	env.machines.wake("broken")
	vm = env.patchVM(t, vm, func(vm *v1alpha1.LimaVM) { now := metav1.NowMicro(); vm.Spec.RestartedAt = &now })
	env.machines.await(t, "broken", machine.Start, 2)
	env.machines.advance("broken")
	env.machines.advance("broken")
	env.until(t, vm, vm.Expectation().Running)
	if n := env.machines.count("broken", machine.Start); n != 2 {
		t.Errorf("%d starts", n)
	}
	env.machines.beSlow(false)
}

func testDeleteRunning(t *testing.T, env *testEnv) {
	vm := env.createVM(t, env.newVM("gone", runs))
	env.until(t, vm, vm.Expectation().Running)
	env.machines.beSlow(true)
	defer env.machines.beSlow(false)
	if err := env.Delete(t.Context(), vm); err != nil {
		t.Fatal(err)
	}
	env.until(t, vm, func(vm *v1alpha1.LimaVM) (bool, error) {
		return condition(vm.Status, "Running") == "Unknown/Stopping" && condition(vm.Status, "Created") == "True/Created", nil
	})
	if env.machines.count("gone", machine.Remove) != 0 {
		t.Error("removed before it was stopped")
	}
	if _, err := vm.Expectation().Running(vm); err != nil {
		t.Error(err)
	}
	if err := env.follow(t, vm.Name, vm.Expectation().Running); !errors.Is(err, v1alpha1.ErrDeleted) {
		t.Errorf("waiting for a VM that is being deleted: %v", err)
	}
	env.machines.advance("gone") // stopped
	env.until(t, vm, func(vm *v1alpha1.LimaVM) (bool, error) {
		return condition(vm.Status, "Created") == "Unknown/Removing", nil
	})
	env.machines.advance("gone") // removed
	env.until(t, vm, vm.Expectation().Deleted)
}

func testDeletePreparing(t *testing.T, env *testEnv) {
	env.machines.beSlow(true)
	defer env.machines.beSlow(false)
	vm := env.createVM(t, env.newVM("early", runs))
	env.machines.await(t, "early", machine.Start, 1)
	env.machines.beSlow(false)
	env.deleteVM(t, vm)
	if got := env.machines.actions("early"); !slices.Equal(got, []machine.Action{machine.Start, machine.Remove}) {
		t.Errorf("asked for %v", got)
	}
}

func testForceWhileDeleting(t *testing.T, env *testEnv) {
	vm := env.createVM(t, env.newVM("stubborn", runs))
	env.until(t, vm, vm.Expectation().Running)
	env.machines.beSlow(true)
	if err := env.Delete(t.Context(), vm); err != nil {
		t.Fatal(err)
	}
	env.until(t, vm, func(vm *v1alpha1.LimaVM) (bool, error) {
		return condition(vm.Status, "Running") == "Unknown/Stopping", nil
	})
	env.machines.beSlow(false)
	env.patchVM(t, vm, func(vm *v1alpha1.LimaVM) { vm.Spec.StopMode = v1alpha1.StopForce })
	env.until(t, vm, vm.Expectation().Deleted)
	if env.machines.count("stubborn", machine.Kill) != 1 {
		t.Errorf("asked for %v", env.machines.actions("stubborn"))
	}
}

func testNameReuse(t *testing.T, env *testEnv) {
	for i := range 2 {
		vm := env.newVM("reused", runs, func(vm *v1alpha1.LimaVM) { vm.Spec.Template = fmt.Sprintf("images: [%d]", i) })
		if err := env.Create(t.Context(), vm); err != nil {
			t.Fatal(err)
		}
		env.until(t, vm, vm.Expectation().Running)
		env.machines.die("reused")
		env.until(t, vm, func(vm *v1alpha1.LimaVM) (bool, error) { return vm.Status.RestartCount == 1, nil })
		if cm, err := env.storedTemplate(t, "reused"); err != nil || cm.Data[v1alpha1.TemplateKey] != vm.Spec.Template {
			t.Errorf("kept %v, %v", cm.Data, err)
		}
		env.deleteVM(t, vm)
	}
}

// testNewProcess runs a second controller beside the first, for a host of its own.
func testNewProcess(t *testing.T, env *testEnv) {
	on := func(vm *v1alpha1.LimaVM) { vm.Spec.Running, vm.Spec.Host = true, "second" }
	adopted, died := env.newVM("adopted", on), env.newVM("died", on)
	for _, vm := range []*v1alpha1.LimaVM{adopted, died} {
		if err := env.Create(t.Context(), vm); err != nil {
			t.Fatal(err)
		}
	}
	f := newFakeMachines()
	f.states["adopted"] = machine.State{Phase: machine.Unknown}
	f.states["died"] = machine.State{Phase: machine.Stopped}
	t.Run("running", func(t *testing.T) {
		env.control(t, f)
		env.until(t, died, died.Expectation().Running)
		f.change("adopted", func(s *machine.State) { s.Phase = machine.Running })
		env.until(t, adopted, adopted.Expectation().Running)
		if got := f.actions("adopted"); len(got) != 0 {
			t.Errorf("asked for %v", got)
		}
		if got := f.actions("died"); !slices.Equal(got, []machine.Action{machine.Start}) {
			t.Errorf("asked for %v", got)
		}
		env.deleteVM(t, adopted)
		env.deleteVM(t, died)
	})
	if len(env.machines.actions("adopted")) != 0 {
		t.Error("two hosts ran one VM")
	}
}

func testDeath(t *testing.T, env *testEnv) {
	vm := env.createVM(t, env.newVM("dying", runs))
	env.until(t, vm, vm.Expectation().Running)
	env.machines.die("dying")
	env.until(t, vm, func(vm *v1alpha1.LimaVM) (bool, error) {
		return vm.Status.RestartCount == 1 && condition(vm.Status, "Running") == "True/Started", nil
	})
}

func testServerSideApply(t *testing.T, env *testEnv) {
	apply := func(running bool) *v1alpha1.LimaVM {
		vm := env.newVM("applied")
		vm.APIVersion, vm.Kind = v1alpha1.GroupVersion.String(), v1alpha1.Kind
		vm.Spec.Running = running
		if err := env.Patch(t.Context(), vm, client.Apply, client.FieldOwner("user")); err != nil { //nolint:staticcheck // typed apply needs generated types
			t.Fatal(err)
		}
		return vm
	}
	vm := apply(true)
	defer env.deleteVM(t, vm)
	env.until(t, vm, vm.Expectation().Running)
	same := apply(true)
	if same.Generation != vm.Generation || !slices.Contains(same.Finalizers, v1alpha1.Finalizer) {
		t.Errorf("applying the same again: generation %d, finalizers %v", same.Generation, same.Finalizers)
	}
	off := apply(false)
	env.until(t, off, off.Expectation().Running)
}
