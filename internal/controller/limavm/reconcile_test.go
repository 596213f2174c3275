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

// bench is a reconciler over a store in memory, for what has to do with time. How it does with a real
// API server is tested in server_test.go.
type bench struct {
	*reconciler
	t      *testing.T
	fleet  *fakeFleet
	writes []time.Time // of status
	hinder error       // given to the next status write
}

func newBench(t *testing.T, objects ...client.Object) *bench {
	b := &bench{t: t, fleet: newFleet()}
	c := fake.NewClientBuilder().WithScheme(testScheme(t)).WithObjects(objects...).WithStatusSubresource(&v1alpha1.LimaVM{}).
		WithInterceptorFuncs(interceptor.Funcs{
			SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
				if err := b.hinder; err != nil {
					b.hinder = nil
					return err
				}
				b.writes = append(b.writes, time.Now())
				return c.SubResource(sub).Patch(ctx, o, p, opts...)
			},
		}).Build()
	b.reconciler = &reconciler{client: c, live: c, machines: b.fleet, options: Options{OwnsEmptyHost: true}, backoffs: map[string]backoffOf{}}
	return b
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

// look reconciles once and returns when to do so again.
func (b *bench) look(name string) time.Duration {
	b.t.Helper()
	result, err := b.Reconcile(b.t.Context(), ctrl.Request{NamespacedName: types.NamespacedName{Name: name}})
	if err != nil {
		b.t.Fatal(err)
	}
	return result.RequeueAfter
}

// until looks as often as asked to, and at changes, until the worker was asked n times for action.
func (b *bench) until(name string, action machine.Action, n int) {
	b.t.Helper()
	for range 100 {
		again := b.look(name)
		if b.fleet.count(name, action) >= n {
			return
		}
		time.Sleep(again)
	}
	b.t.Fatalf("asked for %v", b.fleet.actions(name))
}

func (b *bench) get(name string) *v1alpha1.LimaVM {
	b.t.Helper()
	vm := &v1alpha1.LimaVM{}
	if err := b.client.Get(b.t.Context(), types.NamespacedName{Name: name}, vm); err != nil {
		b.t.Fatal(err)
	}
	return vm
}

func TestHostagentThatKeepsDyingIsStartedLessAndLessOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, newVM("rd", true))
		b.until("rd", machine.Start, 1)
		b.look("rd")
		for i, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
			died := time.Now()
			b.fleet.die("rd")
			b.until("rd", machine.Start, i+2)
			if got := time.Since(died); got != want*time.Second {
				t.Errorf("start %d came %s after the death, want %s", i+2, got, want*time.Second)
			}
			b.look("rd")
			if vm := b.get("rd"); vm.Status.RestartCount != int32(i+1) || condition(vm.Status, "Running") != "True/Started" {
				t.Fatalf("after death %d: %+v", i+1, vm.Status)
			}
		}
		time.Sleep(11 * time.Minute)
		died := time.Now()
		b.fleet.die("rd")
		b.until("rd", machine.Start, 10)
		if got := time.Since(died); got != time.Second {
			t.Errorf("after long service the start came after %s", got)
		}
	})
}

func TestBytesAreWrittenTwiceASecondAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, newVM("rd", true))
		b.fleet.slow = true
		b.look("rd")
		b.writes = nil
		const total = 10_000
		var again time.Duration
		for done := int64(0); done <= total; done += 50 { // an event each 50 ms, for 10 s
			b.fleet.change("rd", func(s *machine.State) {
				s.Progress = &machine.Progress{Phase: "download", Step: 1, Steps: 3, Bytes: done, Total: total}
			})
			again = b.look("rd")
			time.Sleep(50 * time.Millisecond)
		}
		if n := len(b.writes); n < 18 || n > 22 {
			t.Errorf("%d writes in 10 s", n)
		}
		time.Sleep(again)
		b.look("rd")
		if p := b.get("rd").Status.Progress; p == nil || p.Bytes != total {
			t.Errorf("the last bytes were not written: %+v", p)
		}
		b.fleet.change("rd", func(s *machine.State) { s.Progress = &machine.Progress{Phase: "boot", Step: 2, Steps: 3} })
		if b.look("rd"); b.get("rd").Status.Progress.Phase != "boot" {
			t.Error("a new phase was held back")
		}
		n := len(b.writes)
		for range 10 {
			if b.look("rd") != 0 {
				t.Error("looks again without a reason")
			}
		}
		if len(b.writes) != n {
			t.Error("an unchanged status was written")
		}
	})
}

func TestLostStatusWriteLosesNoCountAndRepeatsNoWork(t *testing.T) {
	b := newBench(t, newVM("rd", true))
	b.look("rd")
	b.look("rd")
	b.fleet.die("rd")
	b.hinder = apierrors.NewConflict(limaVMs, "rd", errors.New("changed meanwhile"))
	b.look("rd")
	if n := b.get("rd").Status.RestartCount; n != 0 {
		t.Fatalf("count %d", n)
	}
	b.look("rd")
	b.look("rd")
	if n := b.get("rd").Status.RestartCount; n != 1 {
		t.Errorf("count %d", n)
	}
	if n := b.fleet.count("rd", machine.Start); n != 1 {
		t.Errorf("%d starts before the delay is over", n)
	}
}

func TestRestartIsCarriedOutOnceWhateverWriteIsLost(t *testing.T) {
	for lost := range 5 {
		b := newBench(t, newVM("rd", true))
		b.look("rd")
		b.look("rd")
		vm := b.get("rd")
		vm.Spec.RestartedAt, vm.Generation = &asked, 2
		if err := b.client.Update(t.Context(), vm); err != nil {
			t.Fatal(err)
		}
		for i := range 10 {
			if i == lost {
				b.hinder = apierrors.NewConflict(limaVMs, "rd", errors.New("changed meanwhile"))
			}
			b.look("rd")
		}
		if got := b.fleet.actions("rd"); !slices.Equal(got, []machine.Action{machine.Start, machine.Stop, machine.Start}) {
			t.Errorf("write %d lost: %v", lost, got)
		}
		if done, err := b.get("rd").SettledRunning(2); !done || err != nil {
			t.Errorf("write %d lost: done=%t err=%v", lost, done, err)
		}
	}
}

func TestAnotherHostsVMIsLeftAlone(t *testing.T) {
	vm := newVM("rd", true)
	vm.Spec.Host = "elsewhere"
	b := newBench(t, vm, newVM("empty", true))
	b.options = Options{Host: "here"}
	b.look("rd")
	b.look("empty")
	if len(b.fleet.states) != 0 || len(b.writes) != 0 || len(b.get("rd").Finalizers) != 0 {
		t.Error("touched")
	}
	b.options.Host = "elsewhere"
	b.look("rd")
	if b.fleet.count("rd", machine.Start) != 1 {
		t.Error("not started by its host")
	}
}

func TestVMWhoseObjectVanishedIsStoppedAndItsDiskKept(t *testing.T) {
	b := newBench(t, newVM("rd", true))
	b.look("rd")
	vm := b.get("rd")
	vm.Finalizers = nil
	if err := errors.Join(b.client.Update(t.Context(), vm), b.client.Delete(t.Context(), vm)); err != nil {
		t.Fatal(err)
	}
	b.look("rd")
	b.look("rd")
	b.look("rd")
	if got := b.fleet.actions("rd"); !slices.Equal(got, []machine.Action{machine.Start, machine.Stop}) || !b.fleet.forgotten("rd") {
		t.Errorf("asked for %v, forgotten %v", got, b.fleet.forgot)
	}
	b.look("never-seen")
	if b.fleet.forgotten("never-seen") {
		t.Error("asked the fleet about a VM that is not ours")
	}
}

func TestNewVMIsNotHeldBackByItsNamesakesFailure(t *testing.T) {
	b := newBench(t, newVM("rd", true))
	b.fleet.slow = true
	b.look("rd")
	b.fleet.fail("rd", machine.Stopped, true)
	b.look("rd")
	if n := b.fleet.count("rd", machine.Start); n != 1 {
		t.Fatalf("%d starts after a permanent failure", n)
	}
	vm := b.get("rd")
	vm.Finalizers = nil
	another := newVM("rd", true)
	another.UID = "another"
	if err := errors.Join(b.client.Update(t.Context(), vm), b.client.Delete(t.Context(), vm), b.client.Create(t.Context(), another)); err != nil {
		t.Fatal(err)
	}
	b.look("rd")
	if n := b.fleet.count("rd", machine.Start); n != 2 {
		t.Errorf("%d starts", n)
	}
}

func TestTemplateThatGoesMissingIsLookedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		vm := newVM("rd", false)
		vm.Spec.Template, vm.Spec.TemplateRef = "", &v1alpha1.TemplateRef{Name: "debian", Namespace: "default"}
		b := newBench(t, vm)
		if again := b.look("rd"); again != templateRetryInterval {
			t.Fatalf("again in %s", again)
		}
		failure, permanent := b.get("rd").Failure()
		if failure == nil || permanent || !strings.Contains(failure.Message, "rdd ctl create configmap debian --namespace default") {
			t.Errorf("failure %v, permanent %t", failure, permanent)
		}
		cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "debian"}, Data: map[string]string{"template": "arch: x86_64"}}
		if err := b.client.Create(t.Context(), cm); err != nil {
			t.Fatal(err)
		}
		b.look("rd")
		b.look("rd")
		if done, err := b.get("rd").SettledCreated(1); !done || err != nil {
			t.Errorf("done=%t err=%v", done, err)
		}
		if got := string(b.fleet.asked("rd")[0].Template); got != "arch: x86_64" {
			t.Errorf("template %q", got)
		}
	})
}

func TestTemplateLeftOverFromAnEarlierVMGivesWay(t *testing.T) {
	earlier := newVM("rd", true)
	earlier.UID = "earlier"
	vm := newVM("rd", true)
	b := newBench(t, vm)
	if err := b.storeTemplate(t.Context(), earlier, "old"); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time it is ours
		if err := b.storeTemplate(t.Context(), vm, "new"); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := ownedTemplate(t.Context(), b.client, vm); got != "new" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func TestLimaThatCanNotBeAskedIsNotARejection(t *testing.T) {
	b := newBench(t, newVM("rd", true))
	b.fleet.reject = func(string, map[string]string) error { return errors.New("rdd-lima: no such file") }
	b.look("rd")
	if failure, permanent := b.get("rd").Failure(); failure == nil || permanent {
		t.Errorf("failure %v, permanent %t", failure, permanent)
	}
	b.fleet.reject = func(string, map[string]string) error {
		return &machine.TemplateError{Field: "images[0].digest", Message: "is not a digest"}
	}
	b.look("rd")
	failure, permanent := b.get("rd").Failure()
	if failure == nil || !permanent || !strings.Contains(failure.Message, "images[0].digest") {
		t.Errorf("failure %v, permanent %t", failure, permanent)
	}
}
