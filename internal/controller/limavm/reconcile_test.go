package limavm

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
	"rancherdesktop.io/rdd/internal/machine"
)

// reconcilerEnv is a reconciler with objects in memory, for tests in which time passes. server_test.go tests it with a real API
// server.
type reconcilerEnv struct {
	*reconciler
	t        *testing.T
	machines *fakeMachines
	writes   []time.Time // of status
	nextErr  error       // returned by the next status write
}

func newReconcilerEnv(t *testing.T, objects ...client.Object) *reconcilerEnv {
	env := &reconcilerEnv{t: t, machines: newFakeMachines()}
	c := fake.NewClientBuilder().WithScheme(testScheme(t)).WithObjects(objects...).WithStatusSubresource(&v1alpha1.LimaVM{}).
		WithInterceptorFuncs(interceptor.Funcs{
			SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
				if err := env.nextErr; err != nil {
					env.nextErr = nil
					return err
				}
				env.writes = append(env.writes, time.Now())
				return c.SubResource(sub).Patch(ctx, o, p, opts...)
			},
		}).Build()
	env.reconciler = &reconciler{client: c, live: c, machines: env.machines, options: Options{OwnsEmptyHost: true}}
	return env
}

func testScheme(t *testing.T) *runtime.Scheme {
	scheme := runtime.NewScheme()
	if err := errors.Join(corev1.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	return scheme
}

func newVM(name string, running bool) *v1alpha1.LimaVM {
	return &v1alpha1.LimaVM{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-" + name), Generation: 1},
		Spec:       v1alpha1.LimaVMSpec{Running: running, Template: "images: []"},
	}
}

// reconcile reconciles once and returns when to reconcile again.
func (env *reconcilerEnv) reconcile(name string) time.Duration {
	env.t.Helper()
	result, err := env.Reconcile(env.t.Context(), ctrl.Request{NamespacedName: types.NamespacedName{Name: name}})
	if err != nil {
		env.t.Fatal(err)
	}
	return result.RequeueAfter
}

// until reconciles until the worker was asked n times for action.
func (env *reconcilerEnv) until(name string, action machine.Action, n int) {
	env.t.Helper()
	for range 100 {
		again := env.reconcile(name)
		if env.machines.count(name, action) >= n {
			return
		}
		time.Sleep(again)
	}
	env.t.Fatalf("asked for %v", env.machines.actions(name))
}

func (env *reconcilerEnv) get(name string) *v1alpha1.LimaVM {
	env.t.Helper()
	vm := &v1alpha1.LimaVM{}
	if err := env.client.Get(env.t.Context(), types.NamespacedName{Name: name}, vm); err != nil {
		env.t.Fatal(err)
	}
	return vm
}

func TestHostagentThatKeepsDyingIsStartedLessAndLessOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		env := newReconcilerEnv(t, newVM("rd", true))
		env.until("rd", machine.Start, 1)
		env.reconcile("rd")
		for i, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
			died := time.Now()
			env.machines.die("rd")
			env.until("rd", machine.Start, i+2)
			if got := time.Since(died); got != want*time.Second {
				t.Errorf("start %d came %s after the death, want %s", i+2, got, want*time.Second)
			}
			env.reconcile("rd")
			if vm := env.get("rd"); vm.Status.RestartCount != int32(i+1) || condition(vm.Status, "Running") != "True/Started" {
				t.Fatalf("after death %d: %+v", i+1, vm.Status)
			}
		}
		time.Sleep(11 * time.Minute)
		died := time.Now()
		env.machines.die("rd")
		env.until("rd", machine.Start, 10)
		if got := time.Since(died); got != time.Second {
			t.Errorf("after long service the start came after %s", got)
		}
	})
}

func TestBytesAreWrittenTwiceASecondAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		env := newReconcilerEnv(t, newVM("rd", true))
		env.machines.slow = true
		env.reconcile("rd")
		env.writes = nil
		const total = 10_000
		var again time.Duration
		for done := int64(0); done <= total; done += 50 { // an event each 50 ms, for 10 s
			env.machines.change("rd", func(s *machine.State) {
				s.Progress = &machine.Progress{Phase: "download", Step: 1, Steps: 3, Bytes: done, Total: total}
			})
			again = env.reconcile("rd")
			time.Sleep(50 * time.Millisecond)
		}
		if n := len(env.writes); n < 18 || n > 22 {
			t.Errorf("%d writes in 10 s", n)
		}
		time.Sleep(again)
		env.reconcile("rd")
		if p := env.get("rd").Status.Progress; p == nil || p.Bytes != total {
			t.Errorf("the last bytes were not written: %+v", p)
		}
		env.machines.change("rd", func(s *machine.State) { s.Progress = &machine.Progress{Phase: "boot", Step: 2, Steps: 3} })
		if env.reconcile("rd"); env.get("rd").Status.Progress.Phase != "boot" {
			t.Error("a new phase was held back")
		}
		n := len(env.writes)
		for range 10 {
			if env.reconcile("rd") != 0 {
				t.Error("looks again without a reason")
			}
		}
		if len(env.writes) != n {
			t.Error("an unchanged status was written")
		}
	})
}

func TestLostStatusWriteLosesNoCountAndRepeatsNoWork(t *testing.T) {
	env := newReconcilerEnv(t, newVM("rd", true))
	env.reconcile("rd")
	env.reconcile("rd")
	env.machines.die("rd")
	env.nextErr = apierrors.NewConflict(limaVMs, "rd", errors.New("changed meanwhile"))
	env.reconcile("rd")
	if n := env.get("rd").Status.RestartCount; n != 0 {
		t.Fatalf("count %d", n)
	}
	env.reconcile("rd")
	env.reconcile("rd")
	if n := env.get("rd").Status.RestartCount; n != 1 {
		t.Errorf("count %d", n)
	}
	if n := env.machines.count("rd", machine.Start); n != 1 {
		t.Errorf("%d starts before the delay is over", n)
	}
}

func TestRestartIsCarriedOutOnceWhateverWriteIsLost(t *testing.T) {
	for lost := range 5 {
		env := newReconcilerEnv(t, newVM("rd", true))
		env.reconcile("rd")
		env.reconcile("rd")
		vm := env.get("rd")
		vm.Spec.RestartedAt, vm.Generation = &asked, 2
		if err := env.client.Update(t.Context(), vm); err != nil {
			t.Fatal(err)
		}
		for i := range 10 {
			if i == lost {
				env.nextErr = apierrors.NewConflict(limaVMs, "rd", errors.New("changed meanwhile"))
			}
			env.reconcile("rd")
		}
		if got := env.machines.actions("rd"); !slices.Equal(got, []machine.Action{machine.Start, machine.Stop, machine.Start}) {
			t.Errorf("write %d lost: %v", lost, got)
		}
		if done, err := env.get("rd").SettledRunning(2); !done || err != nil {
			t.Errorf("write %d lost: done=%t err=%v", lost, done, err)
		}
	}
}

func TestVMOfAnotherHostIsNotChanged(t *testing.T) {
	vm := newVM("rd", true)
	vm.Spec.Host = "elsewhere"
	env := newReconcilerEnv(t, vm, newVM("empty", true))
	env.options = Options{Host: "here"}
	env.reconcile("rd")
	env.reconcile("empty")
	if len(env.machines.states) != 0 || len(env.writes) != 0 || len(env.get("rd").Finalizers) != 0 {
		t.Error("touched")
	}
	env.options.Host = "elsewhere"
	env.reconcile("rd")
	if env.machines.count("rd", machine.Start) != 1 {
		t.Error("not started by its host")
	}
}

func TestVMWhoseObjectVanishedIsStoppedAndItsDiskKept(t *testing.T) {
	env := newReconcilerEnv(t, newVM("rd", true))
	env.reconcile("rd")
	vm := env.get("rd")
	vm.Finalizers = nil
	if err := errors.Join(env.client.Update(t.Context(), vm), env.client.Delete(t.Context(), vm)); err != nil {
		t.Fatal(err)
	}
	env.reconcile("rd")
	env.reconcile("rd")
	env.reconcile("rd")
	if got := env.machines.actions("rd"); !slices.Equal(got, []machine.Action{machine.Start, machine.Stop}) || !env.machines.forgotten("rd") {
		t.Errorf("asked for %v, forgotten %v", got, env.machines.forgot)
	}
	env.reconcile("never-seen")
	if env.machines.forgotten("never-seen") {
		t.Error("asked the machines about a VM that is not ours")
	}
}

func TestNewVMIsNotDelayedByTheFailureOfAnEarlierOneOfItsName(t *testing.T) {
	env := newReconcilerEnv(t, newVM("rd", true))
	env.machines.slow = true
	env.reconcile("rd")
	env.machines.fail("rd", machine.Stopped, true)
	env.reconcile("rd")
	if n := env.machines.count("rd", machine.Start); n != 1 {
		t.Fatalf("%d starts after a permanent failure", n)
	}
	vm := env.get("rd")
	vm.Finalizers = nil
	another := newVM("rd", true)
	another.UID = "another"
	if err := errors.Join(env.client.Update(t.Context(), vm), env.client.Delete(t.Context(), vm), env.client.Create(t.Context(), another)); err != nil {
		t.Fatal(err)
	}
	env.reconcile("rd")
	if n := env.machines.count("rd", machine.Start); n != 2 {
		t.Errorf("%d starts", n)
	}
}

func TestMissingTemplateIsReadAgainLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		vm := newVM("rd", false)
		vm.Spec.Template, vm.Spec.TemplateRef = "", &v1alpha1.TemplateRef{Name: "debian", Namespace: "default"}
		env := newReconcilerEnv(t, vm)
		if again := env.reconcile("rd"); again != templateRetryInterval {
			t.Fatalf("again in %s", again)
		}
		failure, permanent := env.get("rd").Failure()
		if failure == nil || permanent || !strings.Contains(failure.Message, "rdd ctl create configmap debian --namespace default") {
			t.Errorf("failure %v, permanent %t", failure, permanent)
		}
		cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "debian"}, Data: map[string]string{"template": "arch: x86_64"}}
		if err := env.client.Create(t.Context(), cm); err != nil {
			t.Fatal(err)
		}
		env.reconcile("rd")
		env.reconcile("rd")
		if done, err := env.get("rd").SettledCreated(1); !done || err != nil {
			t.Errorf("done=%t err=%v", done, err)
		}
		if got := string(env.machines.asked("rd")[0].Template); got != "arch: x86_64" {
			t.Errorf("template %q", got)
		}
	})
}

func TestTemplateOfAnEarlierVMIsReplaced(t *testing.T) {
	earlier := newVM("rd", true)
	earlier.UID = "earlier"
	vm := newVM("rd", true)
	env := newReconcilerEnv(t, vm)
	if err := env.storeTemplate(t.Context(), earlier, "old"); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time it is ours
		if err := env.storeTemplate(t.Context(), vm, "new"); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := ownedTemplate(t.Context(), env.client, vm); got != "new" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func TestFailureToAskLimaIsNotARejection(t *testing.T) {
	env := newReconcilerEnv(t, newVM("rd", true))
	env.machines.reject = func(string, map[string]string) error { return errors.New("rdd-lima: no such file") }
	env.reconcile("rd")
	if failure, permanent := env.get("rd").Failure(); failure == nil || permanent {
		t.Errorf("failure %v, permanent %t", failure, permanent)
	}
	env.machines.reject = func(string, map[string]string) error {
		return &machine.TemplateError{Field: "images[0].digest", Message: "is not a digest"}
	}
	env.reconcile("rd")
	failure, permanent := env.get("rd").Failure()
	if failure == nil || !permanent || !strings.Contains(failure.Message, "images[0].digest") {
		t.Errorf("failure %v, permanent %t", failure, permanent)
	}
}
