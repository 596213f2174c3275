package limavm

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"rancherdesktop.io/rdd/internal/api/crds"
	"rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
	"rancherdesktop.io/rdd/internal/controlplane"
	"rancherdesktop.io/rdd/internal/datastore"
	"rancherdesktop.io/rdd/internal/machine"
)

// limit bounds each wait of these tests; none comes near it unless something is broken.
const limit = 20 * time.Second

// world is a real API server in this process with the guard's rules, a controller, and a fake fleet.
type world struct {
	client.WithWatch // of a user, through the port and with the token
	fleet            *fakeFleet
	loopback         *rest.Config
}

// TestServer runs all that needs the API server on one: linking and starting it is what takes time.
func TestServer(t *testing.T) {
	w := newWorld(t)
	for name, test := range map[string]func(*testing.T, *world){
		"rules of the definition":                          testRules,
		"bad templates are rejected and change nothing":    testBadTemplates,
		"a missing template ConfigMap is named":            testMissingTemplate,
		"a name too long for sockets is rejected":          testLongName,
		"a name that exists is taken":                      testNameExists,
		"ten creates of one name at once: one wins":        testConcurrentCreates,
		"a dry run changes nothing":                        testDryRun,
		"create, start, stop, restart, delete":             testLife,
		"created and not started":                          testCreatedOnly,
		"params are checked again when they change":        testParams,
		"a VM that can't start says so until it can":       testPermanentFailure,
		"deletion stops the VM before anything is gone":    testDeleteRunning,
		"deletion while preparing":                         testDeletePreparing,
		"a guest that does not stop is ended by force":     testForceWhileDeleting,
		"a VM's template can't be deleted or changed":      testOwnedTemplate,
		"a template without its VM strands nobody":         testStrandedTemplate,
		"a new VM of a deleted one's name begins afresh":   testNameReuse,
		"a new process starts or adopts what should run":   testNewProcess,
		"a hostagent's death wakes the controller":         testDeath,
		"writes to status don't wake the guard":            testStatusOfOldVM,
		"rules without a client ask to be tried again":     testGuardBeforeConnect,
		"apply by a user does not fight the controller":    testServerSideApply,
		"a VM is created, though its template ref is gone": testRefGoneAfterCreation,
	} {
		t.Run(strings.ReplaceAll(name, "/", " "), func(t *testing.T) { test(t, w) })
	}
}

func newWorld(t *testing.T) *world {
	dir := t.TempDir()
	store, err := datastore.Open(t.Context(), datastore.Options{Dir: filepath.Join(dir, "store")})
	if err != nil {
		t.Fatal(err)
	}
	definitions, err := crds.All()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{fleet: newFleet()}
	w.fleet.reject = lima
	guard := NewGuard(w.fleet, func(vm string) error {
		if len(vm) > 20 {
			return fmt.Errorf("the socket path for VM %q would be too long", vm)
		}
		return nil
	})
	server, err := controlplane.New(t.Context(), controlplane.Config{
		Dir: filepath.Join(dir, "controlplane"), Store: store, CRDs: definitions,
		Admission: guard.Admission(), Namespaces: []string{v1alpha1.SystemNamespace},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := errors.Join(<-ended, store.Close()); err != nil {
			t.Error(err)
		}
	})
	select {
	case <-server.Ready():
	case err := <-ended:
		ended <- err
		t.Fatal(err)
	}
	w.loopback = server.Loopback()
	guard.Connect(w.control(t, w.fleet))

	e := server.Endpoint()
	w.WithWatch, err = client.NewWithWatch(&rest.Config{Host: e.URL, BearerToken: e.Token, QPS: -1, TLSClientConfig: rest.TLSClientConfig{CAData: e.CA}},
		client.Options{Scheme: testScheme(t)})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// control runs a controller, as one process of the service does, until the test ends.
func (w *world) control(t *testing.T, f *fakeFleet) client.Reader {
	grace := time.Second
	mgr, err := ctrl.NewManager(rest.CopyConfig(w.loopback), ctrl.Options{
		Scheme: testScheme(t), Logger: logr.Discard(), Metrics: metricsserver.Options{BindAddress: "0"}, HealthProbeBindAddress: "0",
		GracefulShutdownTimeout: &grace, Cache: cache.Options{ByObject: Cached()},
	})
	if err != nil {
		t.Fatal(err)
	}
	wake := &Wake{}
	f.wake = wake.Changed
	host := ""
	if f != w.fleet {
		host = "second"
	}
	if err := Setup(mgr, f, Options{Host: host, OwnsEmptyHost: host == "", Wake: wake}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	if !mgr.GetCache().WaitForCacheSync(ctx) {
		t.Fatal("no cache")
	}
	return mgr.GetAPIReader()
}

// lima stands in for Lima's judgement of a template.
func lima(template string, params map[string]string) error {
	switch {
	case strings.Contains(template, "broken"):
		return &machine.TemplateError{Field: "images[0].digest", Message: "is not a digest"}
	case strings.Contains(template, "unaskable"):
		return errors.New("rdd-lima: permission denied")
	case params["color"] == "loud":
		return &machine.TemplateError{Field: "param[color]", Message: "is not known"}
	}
	return nil
}

func (w *world) vm(name string, change ...func(*v1alpha1.LimaVM)) *v1alpha1.LimaVM {
	vm := &v1alpha1.LimaVM{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.LimaVMSpec{Template: "images: []"}}
	for _, c := range change {
		c(vm)
	}
	return vm
}

func runs(vm *v1alpha1.LimaVM) { vm.Spec.Running = true }

// made creates the VM and has it deleted in the end.
func (w *world) made(t *testing.T, vm *v1alpha1.LimaVM) *v1alpha1.LimaVM {
	t.Helper()
	if err := w.Create(t.Context(), vm); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.removed(t, vm) })
	return vm
}

// removed deletes the VM, by force, and waits until it is gone.
func (w *world) removed(t *testing.T, vm *v1alpha1.LimaVM) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if err := client.IgnoreNotFound(w.Delete(ctx, vm)); err != nil {
		t.Fatal(err)
	}
	w.until(t, vm, vm.Asked().Deleted)
}

// until follows the VM until judge decides, and fails if that is an error.
func (w *world) until(t *testing.T, vm *v1alpha1.LimaVM, judge func(*v1alpha1.LimaVM) (bool, error)) {
	t.Helper()
	if err := w.follow(t, vm.Name, judge); err != nil {
		t.Fatal(err)
	}
}

// follow follows the VM called name until judge decides.
func (w *world) follow(t *testing.T, name string, judge func(*v1alpha1.LimaVM) (bool, error)) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	list := &v1alpha1.LimaVMList{}
	events, err := w.Watch(ctx, list, client.MatchingFields{"metadata.name": name})
	if err != nil {
		t.Fatal(err)
	}
	defer events.Stop()
	seen := &v1alpha1.LimaVM{}
	if err := w.Get(ctx, types.NamespacedName{Name: name}, seen); err != nil {
		seen = nil
	}
	for {
		if done, err := judge(seen); done || err != nil {
			return err
		}
		ev, open := <-events.ResultChan()
		if !open {
			t.Fatalf("VM %q: still %+v after %s; asked for %v", name, seen, limit, w.fleet.actions(name))
		}
		seen, _ = ev.Object.(*v1alpha1.LimaVM)
		if ev.Type == "DELETED" {
			seen = nil
		}
	}
}

// patched changes the spec and returns the VM as the server answers.
func (w *world) patched(t *testing.T, vm *v1alpha1.LimaVM, change func(*v1alpha1.LimaVM)) *v1alpha1.LimaVM {
	t.Helper()
	now := vm.DeepCopy()
	change(now)
	if err := w.Patch(t.Context(), now, client.MergeFrom(vm)); err != nil {
		t.Fatal(err)
	}
	return now
}

func (w *world) kept(t *testing.T, vm string) (*corev1.ConfigMap, error) {
	t.Helper()
	cm := &corev1.ConfigMap{}
	err := w.Get(context.Background(), types.NamespacedName{Namespace: v1alpha1.SystemNamespace, Name: "limavm-" + vm}, cm)
	return cm, err
}

func testRules(t *testing.T, w *world) {
	for name, tc := range map[string]struct {
		vm   *v1alpha1.LimaVM
		says string
	}{
		"underscore":       {w.vm("a_b"), "metadata.name"},
		"dot":              {w.vm("a.b"), "name must be 1 to 30 characters"},
		"trailing hyphen":  {w.vm("a-"), "metadata.name"},
		"31 characters":    {w.vm(strings.Repeat("a", 31)), "name must be 1 to 30 characters"},
		"no template":      {w.vm("a", func(vm *v1alpha1.LimaVM) { vm.Spec.Template = "" }), "set exactly one of template and templateRef"},
		"two templates":    {w.vm("a", func(vm *v1alpha1.LimaVM) { vm.Spec.TemplateRef = &v1alpha1.TemplateRef{Name: "b"} }), "set exactly one of template and templateRef"},
		"long template":    {w.vm("a", func(vm *v1alpha1.LimaVM) { vm.Spec.Template = strings.Repeat("#", 262145) }), "spec.template: Too long"},
		"many params":      {w.vm("a", func(vm *v1alpha1.LimaVM) { vm.Spec.Params = manyParams(65) }), "spec.params: Too many"},
		"long param":       {w.vm("a", func(vm *v1alpha1.LimaVM) { vm.Spec.Params = map[string]string{"k": strings.Repeat("v", 4097)} }), "at most 4096"},
		"bad stopMode":     {w.vm("a", func(vm *v1alpha1.LimaVM) { vm.Spec.StopMode = "Softly" }), `supported values: "Graceful", "Force"`},
		"bad acceleration": {w.vm("a", func(vm *v1alpha1.LimaVM) { vm.Spec.Acceleration = "Fast" }), `supported values: "Auto", "Hardware", "Emulation"`},
	} {
		err := w.Create(t.Context(), tc.vm)
		if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v", name, err)
		}
	}

	vm := w.made(t, w.vm("rules", func(vm *v1alpha1.LimaVM) { vm.Spec.Params = manyParams(64) }))
	if vm.Spec.StopMode != v1alpha1.StopGraceful || vm.Spec.Acceleration != v1alpha1.AccelerationAuto || vm.Spec.Running {
		t.Errorf("defaults %+v", vm.Spec)
	}
	for says, change := range map[string]func(*v1alpha1.LimaVM){
		"spec.template: Invalid value: template is immutable": func(vm *v1alpha1.LimaVM) { vm.Spec.Template = "other" },
		"templateRef is immutable": func(vm *v1alpha1.LimaVM) {
			vm.Spec.Template, vm.Spec.TemplateRef = "", &v1alpha1.TemplateRef{Name: "b"}
		},
		"host is immutable: the disk does not move": func(vm *v1alpha1.LimaVM) { vm.Spec.Host = "elsewhere" },
	} {
		now := vm.DeepCopy()
		change(now)
		if err := w.Patch(t.Context(), now, client.MergeFrom(vm)); !apierrors.IsInvalid(err) || !strings.Contains(strings.ReplaceAll(err.Error(), `"object"`, ""), says) {
			t.Errorf("want %q, got %v", says, err)
		}
	}
}

func manyParams(n int) map[string]string {
	params := map[string]string{}
	for i := range n {
		params[fmt.Sprintf("k%d", i)] = "v"
	}
	return params
}

func testBadTemplates(t *testing.T, w *world) {
	err := w.Create(t.Context(), w.vm("bad", func(vm *v1alpha1.LimaVM) { vm.Spec.Template = "broken" }))
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "spec.template: Invalid value: images[0].digest: is not a digest") {
		t.Error(err)
	}
	err = w.Create(t.Context(), w.vm("bad", func(vm *v1alpha1.LimaVM) { vm.Spec.Template = "unaskable" }))
	if !apierrors.IsInternalError(err) || !strings.Contains(err.Error(), "permission denied") {
		t.Error(err)
	}
	if _, err := w.kept(t, "bad"); !apierrors.IsNotFound(err) {
		t.Errorf("a template is left: %v", err)
	}
	if err := w.Get(t.Context(), types.NamespacedName{Name: "bad"}, &v1alpha1.LimaVM{}); !apierrors.IsNotFound(err) {
		t.Error(err)
	}
	w.made(t, w.vm("bad")) // the name is free
}

func (w *world) template(t *testing.T, name, text string) *corev1.ConfigMap {
	t.Helper()
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Data: map[string]string{v1alpha1.TemplateKey: text}}
	if err := w.Create(t.Context(), cm); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Delete(context.Background(), cm) })
	return cm
}

func refers(to string) func(*v1alpha1.LimaVM) {
	return func(vm *v1alpha1.LimaVM) { vm.Spec.Template, vm.Spec.TemplateRef = "", &v1alpha1.TemplateRef{Name: to} }
}

func testMissingTemplate(t *testing.T, w *world) {
	err := w.Create(t.Context(), w.vm("missing", refers("nowhere")))
	want := `spec.templateRef.name: Invalid value: there is no ConfigMap "nowhere" in namespace "default" with the key "template"; make it with: rdd ctl create configmap nowhere --namespace default --from-file=template=FILE`
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), want) {
		t.Error(err)
	}
	w.template(t, "empty", "")
	if err := w.Create(t.Context(), w.vm("missing", refers("empty"))); !apierrors.IsInvalid(err) {
		t.Error(err)
	}
	w.template(t, "wrong", "broken")
	if err := w.Create(t.Context(), w.vm("missing", refers("wrong"))); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "spec.templateRef: Invalid value: images[0].digest") {
		t.Error(err)
	}
}

func testLongName(t *testing.T, w *world) {
	err := w.Create(t.Context(), w.vm("abcdefghijklmnopqrstu"))
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "metadata.name: Invalid value: the socket path") {
		t.Error(err)
	}
}

func testNameExists(t *testing.T, w *world) {
	w.made(t, w.vm("taken"))
	if err := w.Create(t.Context(), w.vm("taken", func(vm *v1alpha1.LimaVM) { vm.Spec.Template = "broken" })); !apierrors.IsAlreadyExists(err) {
		t.Error(err)
	}
}

func testConcurrentCreates(t *testing.T, w *world) {
	for round := range 5 {
		name := fmt.Sprintf("race-%d", round)
		var group sync.WaitGroup
		results := make([]error, 10)
		for i := range results {
			group.Go(func() { results[i] = w.Create(context.Background(), w.vm(name)) })
		}
		group.Wait()
		won := 0
		for _, err := range results {
			switch {
			case err == nil:
				won++
			case !apierrors.IsAlreadyExists(err):
				t.Error(err)
			}
		}
		if won != 1 {
			t.Errorf("%d creates won", won)
		}
		vm := &v1alpha1.LimaVM{}
		if err := w.Get(t.Context(), types.NamespacedName{Name: name}, vm); err != nil {
			t.Fatal(err)
		}
		w.until(t, vm, vm.Asked().Created)
		w.removed(t, vm)
	}
}

func testDryRun(t *testing.T, w *world) {
	if err := w.Create(t.Context(), w.vm("dry", runs), client.DryRunAll); err != nil {
		t.Fatal(err)
	}
	if err := w.Create(t.Context(), w.vm("dry", func(vm *v1alpha1.LimaVM) { vm.Spec.Template = "broken" }), client.DryRunAll); !apierrors.IsInvalid(err) {
		t.Errorf("a dry run accepts what would be rejected: %v", err)
	}
	if err := w.Get(t.Context(), types.NamespacedName{Name: "dry"}, &v1alpha1.LimaVM{}); !apierrors.IsNotFound(err) {
		t.Error(err)
	}
	vm := w.made(t, w.vm("dry"))
	w.until(t, vm, vm.Asked().Created)
	now := vm.DeepCopy()
	now.Spec.Running = true
	if err := w.Patch(t.Context(), now, client.MergeFrom(vm), client.DryRunAll); err != nil {
		t.Error(err)
	}
	if err := w.Delete(t.Context(), vm, client.DryRunAll); err != nil {
		t.Error(err)
	}
	if got := w.fleet.actions("dry"); !slices.Equal(got, []machine.Action{machine.Prepare}) {
		t.Errorf("asked for %v", got)
	}
}

func testLife(t *testing.T, w *world) {
	w.template(t, "debian", "images: [debian]")
	vm := w.made(t, w.vm("life", runs, refers("debian"), func(vm *v1alpha1.LimaVM) { vm.Spec.Params = map[string]string{"color": "red"} }))
	w.until(t, vm, vm.Asked().Running)
	r := w.fleet.requests["life"][0]
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
	w.until(t, restarted, restarted.Asked().Running)
	stopped := w.patched(t, restarted, func(vm *v1alpha1.LimaVM) { vm.Spec.Running = false })
	w.until(t, stopped, stopped.Asked().Running)
	again := w.patched(t, stopped, runs)
	w.until(t, again, again.Asked().Running)
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
	list := &corev1.ConfigMapList{}
	events, err := w.Watch(ctx, list, client.InNamespace(v1alpha1.SystemNamespace))
	if err != nil {
		t.Fatal(err)
	}
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
	w.until(t, vm, vm.Asked().Created)
	w.until(t, vm, vm.Asked().Running) // that is, stopped
	if got := w.fleet.actions("created"); !slices.Equal(got, []machine.Action{machine.Prepare}) {
		t.Errorf("asked for %v", got)
	}
}

func testParams(t *testing.T, w *world) {
	w.template(t, "colored", "images: [colored]")
	vm := w.made(t, w.vm("params", refers("colored")))
	w.until(t, vm, vm.Asked().Created)
	loud := vm.DeepCopy()
	loud.Spec.Params = map[string]string{"color": "loud"}
	if err := w.Patch(t.Context(), loud, client.MergeFrom(vm)); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "param[color]") {
		t.Error(err)
	}
	vm = w.patched(t, vm, func(vm *v1alpha1.LimaVM) { vm.Spec.Params = map[string]string{"color": "blue"} })
	vm = w.patched(t, vm, runs)
	w.until(t, vm, vm.Asked().Running)
	requests := w.fleet.requests["params"]
	if last := requests[len(requests)-1]; last.Params["color"] != "blue" {
		t.Errorf("started with %v", last.Params)
	}
}

func testRefGoneAfterCreation(t *testing.T, w *world) {
	cm := w.template(t, "fleeting", "images: [fleeting]")
	vm := w.made(t, w.vm("ref-gone", refers("fleeting")))
	w.until(t, vm, vm.Asked().Created)
	if err := w.Delete(t.Context(), cm); err != nil {
		t.Fatal(err)
	}
	vm = w.patched(t, vm, func(vm *v1alpha1.LimaVM) { vm.Spec.Running, vm.Spec.Params = true, map[string]string{"color": "blue"} })
	w.until(t, vm, vm.Asked().Running)
}

func testPermanentFailure(t *testing.T, w *world) {
	w.fleet.beSlow(true)
	defer w.fleet.beSlow(false)
	vm := w.made(t, w.vm("broken", runs))
	w.fleet.await(t, "broken", machine.Start, 1)
	w.fleet.fail("broken", machine.Absent, true)
	err := w.follow(t, vm.Name, vm.Asked().Running)
	if failed, ok := errors.AsType[*v1alpha1.FailedError](err); !ok || failed.Reason != v1alpha1.ReasonCreateFailed || failed.Message != "because" {
		t.Fatalf("%v", err)
	}
	w.fleet.wake("broken")
	vm = w.patched(t, vm, func(vm *v1alpha1.LimaVM) { now := metav1.NowMicro(); vm.Spec.RestartedAt = &now })
	w.fleet.await(t, "broken", machine.Start, 2)
	w.fleet.advance("broken")
	w.fleet.advance("broken")
	w.until(t, vm, vm.Asked().Running)
	if n := w.fleet.count("broken", machine.Start); n != 2 {
		t.Errorf("%d starts", n)
	}
	w.fleet.beSlow(false)
}

func testDeleteRunning(t *testing.T, w *world) {
	vm := w.made(t, w.vm("gone", runs))
	w.until(t, vm, vm.Asked().Running)
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
	if _, err := vm.Asked().Running(vm); err != nil {
		t.Error(err)
	}
	if err := w.follow(t, vm.Name, vm.Asked().Running); !errors.Is(err, v1alpha1.ErrDeleted) {
		t.Errorf("waiting for a VM that is being deleted: %v", err)
	}
	w.fleet.advance("gone") // stopped
	w.until(t, vm, func(vm *v1alpha1.LimaVM) (bool, error) {
		return condition(vm.Status, "Created") == "Unknown/Removing", nil
	})
	w.fleet.advance("gone") // removed
	w.until(t, vm, vm.Asked().Deleted)
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
	w.until(t, vm, vm.Asked().Running)
	w.fleet.beSlow(true)
	if err := w.Delete(t.Context(), vm); err != nil {
		t.Fatal(err)
	}
	w.until(t, vm, func(vm *v1alpha1.LimaVM) (bool, error) {
		return condition(vm.Status, "Running") == "Unknown/Stopping", nil
	})
	w.fleet.beSlow(false)
	w.patched(t, vm, func(vm *v1alpha1.LimaVM) { vm.Spec.StopMode = v1alpha1.StopForce })
	w.until(t, vm, vm.Asked().Deleted)
	if w.fleet.count("stubborn", machine.Kill) != 1 {
		t.Errorf("asked for %v", w.fleet.actions("stubborn"))
	}
}

func testOwnedTemplate(t *testing.T, w *world) {
	vm := w.made(t, w.vm("owner"))
	w.until(t, vm, vm.Asked().Created)
	cm, err := w.kept(t, "owner")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Delete(t.Context(), cm); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "rdd limavm delete owner") {
		t.Error(err)
	}
	changed := cm.DeepCopy()
	changed.Data[v1alpha1.TemplateKey] = "other"
	disowned := cm.DeepCopy()
	disowned.OwnerReferences = nil
	for _, now := range []*corev1.ConfigMap{changed, disowned} {
		if err := w.Patch(t.Context(), now, client.MergeFrom(cm)); !apierrors.IsForbidden(err) {
			t.Error(err)
		}
	}
	if err := w.DeleteAllOf(t.Context(), &corev1.ConfigMap{}, client.InNamespace(v1alpha1.SystemNamespace)); !apierrors.IsForbidden(err) {
		t.Error(err)
	}
	squat := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.SystemNamespace, Name: "limavm-later"}}
	if err := w.Create(t.Context(), squat); !apierrors.IsForbidden(err) {
		t.Error(err)
	}
	other := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.SystemNamespace, Name: "other"}}
	if err := errors.Join(w.Create(t.Context(), other), w.Delete(t.Context(), other)); err != nil {
		t.Error(err)
	}
}

func testStrandedTemplate(t *testing.T, w *world) {
	vm := w.made(t, w.vm("strand", func(vm *v1alpha1.LimaVM) { vm.Spec.Host = "far-away" }))
	system, err := client.New(w.loopback, client.Options{Scheme: testScheme(t)})
	if err != nil {
		t.Fatal(err)
	}
	r := &reconciler{client: system, live: system}
	if err := r.keepTemplate(t.Context(), vm, "text"); err != nil {
		t.Fatal(err)
	}
	cm, err := w.kept(t, "strand")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Delete(t.Context(), cm); !apierrors.IsForbidden(err) {
		t.Error(err)
	}
	held := w.patched(t, vm, func(vm *v1alpha1.LimaVM) { vm.Finalizers = []string{"example.com/hold"} })
	if err := w.Delete(t.Context(), vm); err != nil {
		t.Fatal(err)
	}
	if err := w.Delete(t.Context(), cm); err != nil {
		t.Errorf("its VM is being deleted: %v", err)
	}
	_ = w.patched(t, held, func(vm *v1alpha1.LimaVM) { vm.Finalizers = nil })
	w.until(t, vm, vm.Asked().Deleted)
}

func testNameReuse(t *testing.T, w *world) {
	for i := range 2 {
		vm := w.vm("reused", runs, func(vm *v1alpha1.LimaVM) { vm.Spec.Template = fmt.Sprintf("images: [%d]", i) })
		if err := w.Create(t.Context(), vm); err != nil {
			t.Fatal(err)
		}
		w.until(t, vm, vm.Asked().Running)
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
		w.until(t, died, died.Asked().Running)
		f.change("adopted", func(s *machine.State) { s.Phase = machine.Running })
		w.until(t, adopted, adopted.Asked().Running)
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
	w.until(t, vm, vm.Asked().Running)
	w.fleet.die("dying")
	w.until(t, vm, func(vm *v1alpha1.LimaVM) (bool, error) {
		return vm.Status.RestartCount == 1 && condition(vm.Status, "Running") == "True/Started", nil
	})
}

func testStatusOfOldVM(t *testing.T, w *world) {
	vm := w.made(t, w.vm("old", runs))
	w.until(t, vm, vm.Asked().Running)
	w.fleet.mu.Lock()
	checked := w.fleet.checked
	w.fleet.mu.Unlock()
	stopped := w.patched(t, vm, func(vm *v1alpha1.LimaVM) { vm.Spec.Running = false })
	w.until(t, stopped, stopped.Asked().Running)
	w.fleet.mu.Lock()
	defer w.fleet.mu.Unlock()
	if w.fleet.checked != checked {
		t.Error("a template was checked though nothing about it changed")
	}
}

func testGuardBeforeConnect(t *testing.T, w *world) {
	g := NewGuard(w.fleet, func(string) error { return nil })
	if _, err := g.live(); !apierrors.IsServiceUnavailable(err) {
		t.Error(err)
	}
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
	w.until(t, vm, vm.Asked().Running)
	same := apply(true)
	if same.Generation != vm.Generation || !slices.Contains(same.Finalizers, v1alpha1.Finalizer) {
		t.Errorf("applying the same again: generation %d, finalizers %v", same.Generation, same.Finalizers)
	}
	off := apply(false)
	w.until(t, off, off.Asked().Running)
}
