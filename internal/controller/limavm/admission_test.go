package limavm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
	"rancherdesktop.io/rdd/internal/machine"
)

func testRules(t *testing.T, env *testEnv) {
	for name, tc := range map[string]struct {
		vm   *v1alpha1.LimaVM
		says string
	}{
		"underscore":       {env.newVM("a_b"), "metadata.name"},
		"dot":              {env.newVM("a.b"), "metadata.name: Invalid value: use 1 to 30 characters"},
		"trailing hyphen":  {env.newVM("a-"), "metadata.name"},
		"31 characters":    {env.newVM(strings.Repeat("a", 31)), "metadata.name: Invalid value: use 1 to 30 characters"},
		"no template":      {env.newVM("a", func(vm *v1alpha1.LimaVM) { vm.Spec.Template = "" }), "set exactly one of template and templateRef"},
		"two templates":    {env.newVM("a", func(vm *v1alpha1.LimaVM) { vm.Spec.TemplateRef = &v1alpha1.TemplateRef{Name: "b"} }), "set exactly one of template and templateRef"},
		"long template":    {env.newVM("a", func(vm *v1alpha1.LimaVM) { vm.Spec.Template = strings.Repeat("#", 262145) }), "spec.template: Too long"},
		"many params":      {env.newVM("a", func(vm *v1alpha1.LimaVM) { vm.Spec.Params = manyParams(65) }), "spec.params: Too many"},
		"long param":       {env.newVM("a", func(vm *v1alpha1.LimaVM) { vm.Spec.Params = map[string]string{"k": strings.Repeat("v", 4097)} }), "at most 4096"},
		"bad stopMode":     {env.newVM("a", func(vm *v1alpha1.LimaVM) { vm.Spec.StopMode = "Softly" }), `supported values: "Graceful", "Force"`},
		"bad acceleration": {env.newVM("a", func(vm *v1alpha1.LimaVM) { vm.Spec.Acceleration = "Fast" }), `supported values: "Auto", "Hardware", "Emulation"`},
	} {
		err := env.Create(t.Context(), tc.vm)
		if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v", name, err)
		}
	}

	vm := env.createVM(t, env.newVM("rules", func(vm *v1alpha1.LimaVM) { vm.Spec.Params = manyParams(64) }))
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
		if err := env.Patch(t.Context(), now, client.MergeFrom(vm)); !apierrors.IsInvalid(err) || !strings.Contains(strings.ReplaceAll(err.Error(), `"object"`, ""), says) {
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

func testBadTemplates(t *testing.T, env *testEnv) {
	err := env.Create(t.Context(), env.newVM("bad", func(vm *v1alpha1.LimaVM) { vm.Spec.Template = "broken" }))
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "spec.template: Invalid value: images[0].digest: is not a digest") {
		t.Error(err)
	}
	err = env.Create(t.Context(), env.newVM("bad", func(vm *v1alpha1.LimaVM) { vm.Spec.Template = "unaskable" }))
	if !apierrors.IsInternalError(err) || !strings.Contains(err.Error(), "permission denied") {
		t.Error(err)
	}
	if _, err := env.storedTemplate(t, "bad"); !apierrors.IsNotFound(err) {
		t.Errorf("a template is left: %v", err)
	}
	if err := env.Get(t.Context(), types.NamespacedName{Name: "bad"}, &v1alpha1.LimaVM{}); !apierrors.IsNotFound(err) {
		t.Error(err)
	}
	env.createVM(t, env.newVM("bad")) // the name is free
}

func (env *testEnv) template(t *testing.T, name, text string) *corev1.ConfigMap {
	t.Helper()
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Data: map[string]string{v1alpha1.TemplateKey: text}}
	if err := env.Create(t.Context(), cm); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = env.Delete(context.Background(), cm) })
	return cm
}

func refers(to string) func(*v1alpha1.LimaVM) {
	return func(vm *v1alpha1.LimaVM) { vm.Spec.Template, vm.Spec.TemplateRef = "", &v1alpha1.TemplateRef{Name: to} }
}

func testMissingTemplate(t *testing.T, env *testEnv) {
	err := env.Create(t.Context(), env.newVM("missing", refers("nowhere")))
	want := `spec.templateRef.name: Invalid value: there is no ConfigMap "nowhere" in namespace "default"; make it with: rdd ctl create configmap nowhere --namespace default --from-file=template=FILE`
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), want) {
		t.Error(err)
	}
	env.template(t, "empty", "")
	if err := env.Create(t.Context(), env.newVM("missing", refers("empty"))); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), `has nothing under the key "template"`) {
		t.Error(err)
	}
	env.template(t, "wrong", "broken")
	if err := env.Create(t.Context(), env.newVM("missing", refers("wrong"))); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "spec.templateRef: Invalid value: images[0].digest") {
		t.Error(err)
	}
}

func testLongName(t *testing.T, env *testEnv) {
	err := env.Create(t.Context(), env.newVM("abcdefghijklmnopqrstu"))
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "metadata.name: Invalid value: the socket path") {
		t.Error(err)
	}
}

func testNameExists(t *testing.T, env *testEnv) {
	env.createVM(t, env.newVM("taken"))
	if err := env.Create(t.Context(), env.newVM("taken", func(vm *v1alpha1.LimaVM) { vm.Spec.Template = "broken" })); !apierrors.IsAlreadyExists(err) {
		t.Error(err)
	}
}

func testConcurrentCreates(t *testing.T, env *testEnv) {
	for round := range 5 {
		name := fmt.Sprintf("race-%d", round)
		var group sync.WaitGroup
		results := make([]error, 10)
		for i := range results {
			group.Go(func() { results[i] = env.Create(context.Background(), env.newVM(name)) })
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
		if err := env.Get(t.Context(), types.NamespacedName{Name: name}, vm); err != nil {
			t.Fatal(err)
		}
		env.until(t, vm, vm.Expectation().Created)
		env.deleteVM(t, vm)
	}
}

// newClient returns another client of the same server.
func (env *testEnv) newClient(t *testing.T) client.Client {
	t.Helper()
	c, err := client.New(env.config, client.Options{Scheme: testScheme(t)})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func testTwoClients(t *testing.T, env *testEnv) {
	clients := []client.Client{env.newClient(t), env.newClient(t)}
	for round := range 100 {
		name := fmt.Sprintf("duel-%d", round)
		results := make([]error, len(clients))
		var group sync.WaitGroup
		begin := make(chan struct{})
		for i, c := range clients {
			group.Go(func() {
				<-begin
				results[i] = c.Create(context.Background(), env.newVM(name, func(vm *v1alpha1.LimaVM) { vm.Spec.Host = "elsewhere" }))
			})
		}
		close(begin)
		group.Wait()
		if results[0] == nil == (results[1] == nil) {
			t.Fatalf("round %d: %v", round, results)
		}
		if lost := errors.Join(results...); !apierrors.IsAlreadyExists(lost) {
			t.Errorf("round %d: the loser was told %v", round, lost)
		}
		if err := env.Delete(t.Context(), env.newVM(name)); err != nil {
			t.Fatal(err)
		}
	}
}

// testRejectedLeavesNothing throws VMs at the server that something is wrong with.
func testRejectedLeavesNothing(t *testing.T, env *testEnv) {
	wrong := []func(*v1alpha1.LimaVM){
		func(vm *v1alpha1.LimaVM) { vm.Spec.Template = "broken" },
		func(vm *v1alpha1.LimaVM) { vm.Spec.Template = "unaskable" },
		func(vm *v1alpha1.LimaVM) { vm.Spec.Template = "" },
		func(vm *v1alpha1.LimaVM) { vm.Spec.TemplateRef = &v1alpha1.TemplateRef{Name: "x"} },
		func(vm *v1alpha1.LimaVM) {
			vm.Spec.Template, vm.Spec.TemplateRef = "", &v1alpha1.TemplateRef{Name: "nowhere"}
		},
		func(vm *v1alpha1.LimaVM) { vm.Spec.Params = map[string]string{"color": "loud"} },
		func(vm *v1alpha1.LimaVM) { vm.Spec.Params = manyParams(65) },
		func(vm *v1alpha1.LimaVM) { vm.Spec.StopMode = "Softly" },
		func(vm *v1alpha1.LimaVM) { vm.Spec.Acceleration = "Fast" },
		func(vm *v1alpha1.LimaVM) { vm.Labels = map[string]string{"not a label": "x"} },
		func(vm *v1alpha1.LimaVM) { vm.Labels = map[string]string{"a": "no value, this"} },
		func(vm *v1alpha1.LimaVM) { vm.Annotations = map[string]string{"/": "x"} },
		func(vm *v1alpha1.LimaVM) { vm.Finalizers = []string{"no finalizer"} },
		func(vm *v1alpha1.LimaVM) { vm.OwnerReferences = []metav1.OwnerReference{{Kind: "LimaVM"}} },
		func(vm *v1alpha1.LimaVM) { vm.Name = "Not-A-Name" },
		func(vm *v1alpha1.LimaVM) { vm.Name = strings.Repeat("a", 31) },
		func(vm *v1alpha1.LimaVM) { vm.Name = "" },
	}
	for i, change := range wrong {
		if err := env.Create(t.Context(), env.newVM("rejected", runs, change)); err == nil {
			t.Errorf("case %d was accepted", i)
		}
	}
	vms, kept := &v1alpha1.LimaVMList{}, &corev1.ConfigMapList{}
	if err := errors.Join(env.List(t.Context(), vms), env.List(t.Context(), kept, client.InNamespace(v1alpha1.SystemNamespace))); err != nil {
		t.Fatal(err)
	}
	for _, vm := range vms.Items {
		if strings.HasPrefix(vm.Name, "rejected") {
			t.Error("it exists")
		}
	}
	for _, cm := range kept.Items {
		if strings.Contains(cm.Name, "rejected") {
			t.Error("its template exists")
		}
	}
	env.until(t, env.createVM(t, env.newVM("rejected")), func(vm *v1alpha1.LimaVM) (bool, error) { return vm != nil, nil }) // the name is free
}

func testDryRun(t *testing.T, env *testEnv) {
	if err := env.Create(t.Context(), env.newVM("dry", runs), client.DryRunAll); err != nil {
		t.Fatal(err)
	}
	if err := env.Create(t.Context(), env.newVM("dry", func(vm *v1alpha1.LimaVM) { vm.Spec.Template = "broken" }), client.DryRunAll); !apierrors.IsInvalid(err) {
		t.Errorf("a dry run accepts what would be rejected: %v", err)
	}
	if err := env.Get(t.Context(), types.NamespacedName{Name: "dry"}, &v1alpha1.LimaVM{}); !apierrors.IsNotFound(err) {
		t.Error(err)
	}
	vm := env.createVM(t, env.newVM("dry"))
	env.until(t, vm, vm.Expectation().Created)
	now := vm.DeepCopy()
	now.Spec.Running = true
	if err := env.Patch(t.Context(), now, client.MergeFrom(vm), client.DryRunAll); err != nil {
		t.Error(err)
	}
	if err := env.Delete(t.Context(), vm, client.DryRunAll); err != nil {
		t.Error(err)
	}
	if got := env.machines.actions("dry"); !slices.Equal(got, []machine.Action{machine.Prepare}) {
		t.Errorf("asked for %v", got)
	}
}

func testOwnedTemplate(t *testing.T, env *testEnv) {
	vm := env.createVM(t, env.newVM("owner"))
	env.until(t, vm, vm.Expectation().Created)
	cm, err := env.storedTemplate(t, "owner")
	if err != nil {
		t.Fatal(err)
	}
	if err := env.Delete(t.Context(), cm); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "rdd vm delete owner") {
		t.Error(err)
	}
	disowned, emptied, more, labelled, both := cm.DeepCopy(), cm.DeepCopy(), cm.DeepCopy(), cm.DeepCopy(), cm.DeepCopy()
	disowned.OwnerReferences = nil
	delete(emptied.Data, v1alpha1.TemplateKey)
	more.Data["more"] = "text"
	labelled.Labels = map[string]string{"a": "b"}
	both.Data[v1alpha1.TemplateKey], both.OwnerReferences = "images: [other]", nil
	for _, now := range []*corev1.ConfigMap{disowned, emptied, more, labelled, both} {
		if err := env.Patch(t.Context(), now, client.MergeFrom(cm)); !apierrors.IsForbidden(err) {
			t.Error(err)
		}
	}
	if err := env.DeleteAllOf(t.Context(), &corev1.ConfigMap{}, client.InNamespace(v1alpha1.SystemNamespace)); !apierrors.IsForbidden(err) {
		t.Error(err)
	}
	squat := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.SystemNamespace, Name: "limavm-later"}}
	if err := env.Create(t.Context(), squat); !apierrors.IsForbidden(err) {
		t.Error(err)
	}
	other := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.SystemNamespace, Name: "other"}}
	if err := errors.Join(env.Create(t.Context(), other), env.Delete(t.Context(), other)); err != nil {
		t.Error(err)
	}
}

func testEdit(t *testing.T, env *testEnv) {
	vm := env.createVM(t, env.newVM("edited", func(vm *v1alpha1.LimaVM) { vm.Spec.Params = map[string]string{"color": "red"} }))
	env.until(t, vm, vm.Expectation().Created)
	cm, err := env.storedTemplate(t, "edited")
	if err != nil {
		t.Fatal(err)
	}
	env.machines.mu.Lock()
	env.machines.refuse = func(vm, template string) error {
		if vm == "edited" && strings.Contains(template, "another image") {
			return &machine.TemplateError{Field: "images", Message: "can't change"}
		}
		return nil
	}
	env.machines.mu.Unlock()
	for text, says := range map[string]string{
		"broken":        "data.template: Invalid value: images[0].digest: is not a digest",
		"another image": "data.template: Invalid value: images: can't change",
	} {
		bad := cm.DeepCopy()
		bad.Data[v1alpha1.TemplateKey] = text
		if err := env.Patch(t.Context(), bad, client.MergeFrom(cm)); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", text, err)
		}
	}
	good := cm.DeepCopy()
	good.Data[v1alpha1.TemplateKey] = "images: [better]"
	if err := env.Patch(t.Context(), good, client.MergeFrom(cm)); err != nil {
		t.Fatal(err)
	}
	env.until(t, vm, vm.Expectation().TemplateObserved(v1alpha1.TemplateDigest(vm.Spec.Template), v1alpha1.TemplateDigest("images: [better]")))
	vm = env.patchVM(t, vm, runs)
	env.until(t, vm, vm.Expectation().Running)
	requests := env.machines.asked("edited")
	if last := requests[len(requests)-1]; string(last.Template) != "images: [better]" {
		t.Errorf("started from %s", last.Template)
	}
	err = env.follow(t, "edited", vm.Expectation().TemplateObserved("", v1alpha1.TemplateDigest("mine")))
	if !errors.Is(err, v1alpha1.ErrSuperseded) {
		t.Errorf("waiting for a text that somebody else has replaced: %v", err)
	}
}

func testStrandedTemplate(t *testing.T, env *testEnv) {
	vm := env.createVM(t, env.newVM("strand", func(vm *v1alpha1.LimaVM) { vm.Spec.Host = "far-away" }))
	system, err := client.New(env.loopback, client.Options{Scheme: testScheme(t)})
	if err != nil {
		t.Fatal(err)
	}
	r := &reconciler{client: system, live: system}
	if err := r.storeTemplate(t.Context(), vm, "text"); err != nil {
		t.Fatal(err)
	}
	cm, err := env.storedTemplate(t, "strand")
	if err != nil {
		t.Fatal(err)
	}
	if err := env.Delete(t.Context(), cm); !apierrors.IsForbidden(err) {
		t.Error(err)
	}
	held := env.patchVM(t, vm, func(vm *v1alpha1.LimaVM) { vm.Finalizers = []string{"example.com/hold"} })
	if err := env.Delete(t.Context(), vm); err != nil {
		t.Fatal(err)
	}
	if err := env.Delete(t.Context(), cm); err != nil {
		t.Errorf("its VM is being deleted: %v", err)
	}
	_ = env.patchVM(t, held, func(vm *v1alpha1.LimaVM) { vm.Finalizers = nil })
	env.until(t, vm, vm.Expectation().Deleted)
}

func testStatusOfOldVM(t *testing.T, env *testEnv) {
	vm := env.createVM(t, env.newVM("old", runs))
	env.until(t, vm, vm.Expectation().Running)
	env.machines.mu.Lock()
	checked := env.machines.checked
	env.machines.mu.Unlock()
	stopped := env.patchVM(t, vm, func(vm *v1alpha1.LimaVM) { vm.Spec.Running = false })
	env.until(t, stopped, stopped.Expectation().Running)
	env.machines.mu.Lock()
	defer env.machines.mu.Unlock()
	if env.machines.checked != checked {
		t.Error("a template was checked though nothing about it changed")
	}
}

func testValidatorBeforeConnect(t *testing.T, env *testEnv) {
	g := newValidator(env.machines, func(string) error { return nil }, func(*v1alpha1.LimaVM) error { return nil })
	if _, err := g.live.Reader(); !apierrors.IsServiceUnavailable(err) {
		t.Error(err)
	}
}

// A finalizer that was patched away during a deletion left a QEMU and a disk that no command reached.
func testFinalizerStays(t *testing.T, env *testEnv) {
	vm := env.createVM(t, env.newVM("held", runs))
	env.until(t, vm, vm.Expectation().Running)
	off := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`))
	refused := func(when string) {
		t.Helper()
		err := env.Patch(t.Context(), vm.DeepCopy(), off)
		if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "rdd vm delete held") {
			t.Errorf("%s: %v", when, err)
		}
	}
	refused("while it runs")
	now := int64(0)
	env.machines.beSlow(true)
	err := env.Delete(t.Context(), vm, &client.DeleteOptions{GracePeriodSeconds: &now})
	if err != nil {
		t.Fatal(err)
	}
	env.machines.await(t, "held", machine.Stop, 1)
	refused("while it is deleted, by force")
	env.machines.beSlow(false)
	for env.machines.busy("held") {
		env.machines.advance("held")
	}
	env.until(t, vm, vm.Expectation().Deleted)
	if n := env.machines.count("held", machine.Remove); n != 1 {
		t.Errorf("the disk was removed %d times", n)
	}
	// A finalizer of the user's own is the user's.
	other := env.createVM(t, env.newVM("other", func(vm *v1alpha1.LimaVM) { vm.Finalizers = []string{"example.com/mine"} }))
	env.until(t, other, other.Expectation().Created)
	seen := &v1alpha1.LimaVM{}
	if err := env.Get(t.Context(), client.ObjectKeyFromObject(other), seen); err != nil {
		t.Fatal(err)
	}
	was := seen.DeepCopy()
	seen.Finalizers = slices.DeleteFunc(seen.Finalizers, func(f string) bool { return f != v1alpha1.Finalizer })
	if err := env.Patch(t.Context(), seen, client.MergeFrom(was)); err != nil {
		t.Error("a user's own finalizer:", err)
	}
}

// testDataDisk changes the data disk of a VM whose disk has 20Gi, as one that was to be larger and could not grow.
func testDataDisk(t *testing.T, env *testEnv) {
	size := func(text string) func(*v1alpha1.LimaVM) {
		return func(vm *v1alpha1.LimaVM) { vm.Spec.DataDisk = &v1alpha1.DataDisk{Size: resource.MustParse(text)} }
	}
	if err := env.Create(t.Context(), env.newVM("tiny", size("1Mi"))); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "at least 1Gi") {
		t.Error(err)
	}
	vm := env.createVM(t, env.newVM("data"))
	vm = env.patchVM(t, vm, size("30Gi"))
	vm = env.patchVM(t, vm, size("20Gi"))
	for says, change := range map[string]func(*v1alpha1.LimaVM){
		"spec.dataDisk.size: Invalid value: 19Gi is smaller than the disk is already, 20Gi": size("19Gi"),
		"spec.dataDisk.size: Invalid value: must be at most 16Ti":                           size("17Ti"),
		"the data disk can't be taken from a VM":                                            func(vm *v1alpha1.LimaVM) { vm.Spec.DataDisk = nil },
	} {
		now := vm.DeepCopy()
		change(now)
		if err := env.Patch(t.Context(), now, client.MergeFrom(vm)); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), says) {
			t.Errorf("want %q, got %v", says, err)
		}
	}
	vm = env.patchVM(t, vm, runs)
	env.until(t, vm, vm.Expectation().Running)
	asked := env.machines.asked("data")
	if r := asked[len(asked)-1]; r.Action != machine.Start || r.DataDisk != 20<<30 {
		t.Errorf("the worker is asked to %s with a data disk of %d bytes", r.Action, r.DataDisk)
	}
}

func testOrphan(t *testing.T, env *testEnv) {
	for _, options := range [][]client.CreateOption{nil, {client.DryRunAll}} {
		err := env.Create(t.Context(), env.newVM("orphan"), options...)
		if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "metadata.name: Invalid value: there is a VM of this name already") {
			t.Error(err)
		}
	}
	env.createVM(t, env.newVM("orphan", func(vm *v1alpha1.LimaVM) { vm.Annotations = map[string]string{v1alpha1.AdoptAnnotation: "true"} }))
}
