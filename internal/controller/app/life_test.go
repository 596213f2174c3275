package app

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"rancherdesktop.io/rdd/internal/admission"
	"rancherdesktop.io/rdd/internal/api/app/v1alpha1"
	lima "rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
	"rancherdesktop.io/rdd/internal/engine"
	"rancherdesktop.io/rdd/internal/machine"
)

func testLife(t *testing.T, env *testEnv) {
	app := env.settled(t, env.createApp(t, runs))
	_, vm := env.now(t)
	if !metav1.IsControlledBy(vm, app) || !vm.Spec.Running || vm.Spec.DataDisk.Size.String() != "100Gi" || !strings.Contains(env.storedText(t), "cpus: 4\n") {
		t.Errorf("VM %+v", vm)
	}
	if app.Spec.VirtualMachine.CPUs != 0 || app.Spec.VirtualMachine.Memory != nil {
		t.Errorf("defaults were written into the spec: %+v", app.Spec)
	}
	env.until(t, "the status tells all", func(app *v1alpha1.App, _ *lima.LimaVM) bool {
		s := app.Status
		return s.VirtualMachine.CPUs == 4 && s.Engine != nil && s.Engine.Containers == 3 && s.DockerContext == "rdd" && s.Progress == nil && len(s.Problems) == 0
	})
	if target, _ := env.link.Get(); target.Phase != engine.Running {
		t.Errorf("target %+v", target)
	}
	env.settled(t, env.patch(t, func(app *v1alpha1.App) { now := metav1.NowMicro(); app.Spec.RestartedAt = &now }))
	env.settled(t, env.patch(t, func(app *v1alpha1.App) { app.Spec.Running = false }))
	if target, _ := env.link.Get(); target.Phase != engine.Stopped || !strings.Contains(target.Reason, "rdd start") {
		t.Errorf("target %+v", target)
	}
	env.settled(t, env.patch(t, runs))
	env.settled(t, env.patch(t, func(app *v1alpha1.App) { now := metav1.NowMicro(); app.Spec.ResetAt = &now }))
	env.deleteApp(t)
	if _, vm := env.now(t); vm != nil {
		t.Errorf("left %+v", vm)
	}
	env.until(t, "the engine is not set up", func(*v1alpha1.App, *lima.LimaVM) bool {
		target, _ := env.link.Get()
		return target.Phase == engine.Stopped && strings.Contains(target.Reason, "has not been set up") && strings.Contains(target.Reason, "rdd start")
	})
	want := []machine.Action{machine.Start, machine.Stop, machine.Start, machine.Stop, machine.Start, machine.Stop, machine.Remove, machine.Start, machine.Stop, machine.Remove}
	if got := env.machines.did(); !slices.Equal(got, want) {
		t.Errorf("did %v, want %v", got, want)
	}
	if got := slices.Compact(env.docker.did()); !slices.Equal(got, []string{"Auto", "removed"}) {
		t.Errorf("docker's files: %v", got)
	}
}

func testSettings(t *testing.T, env *testEnv) {
	env.settled(t, env.createApp(t, runs))
	env.machines.did()
	cpus := func(n int32) func(*v1alpha1.App) {
		return func(app *v1alpha1.App) { app.Spec.VirtualMachine.CPUs = n }
	}
	env.settled(t, env.patch(t, cpus(3)))
	if text, _, _ := env.machines.runs("rd"); !strings.Contains(text, "cpus: 3\n") || text != env.storedText(t) {
		t.Errorf("it runs %q", text)
	}
	if got := env.machines.did(); !slices.Equal(got, []machine.Action{machine.Stop, machine.Start}) {
		t.Errorf("did %v", got)
	}
	env.settled(t, env.patch(t, func(app *v1alpha1.App) { app.Spec.ContainerEngine.DockerContext = v1alpha1.DockerContextNever }))
	env.settled(t, env.patch(t, func(app *v1alpha1.App) { app.Spec.Running = false }))
	env.machines.did()
	env.settled(t, env.patch(t, cpus(5)))
	if text := env.storedText(t); !strings.Contains(text, "cpus: 5\n") {
		t.Errorf("the next start uses %q", text)
	}
	if got := env.machines.did(); len(got) != 0 {
		t.Errorf("a stopped VM: did %v", got)
	}
	env.settled(t, env.patch(t, runs))
	if text, _, _ := env.machines.runs("rd"); !strings.Contains(text, "cpus: 5\n") {
		t.Errorf("it runs %q", text)
	}
	// While it starts, a change and the change back are one wish, and nothing restarts.
	env.settled(t, env.patch(t, func(app *v1alpha1.App) { app.Spec.Running = false }))
	env.machines.set(func() { env.machines.hold = true })
	app := env.patch(t, runs)
	env.until(t, "it starts", func(app *v1alpha1.App, _ *lima.LimaVM) bool {
		p := app.Status.Progress
		return condition(app.Status, "Running") == "Unknown/Starting" && p != nil && p.Step == 6 && p.Steps == 10
	})
	env.machines.let()
	env.settled(t, app)
	if got := env.machines.did(); !slices.Equal(got, []machine.Action{machine.Start, machine.Stop, machine.Start}) {
		t.Errorf("did %v", got)
	}
}

func testMissingGuest(t *testing.T, env *testEnv) {
	env.setGuest("")
	app := env.createApp(t, runs)
	env.failsWith(t, app, lima.ReasonCreateFailed, "make guest")
	if _, vm := env.now(t); vm != nil {
		t.Errorf("made %+v", vm)
	}
	env.setGuest(guest)
	env.until(t, "it runs", func(app *v1alpha1.App, _ *lima.LimaVM) bool {
		return condition(app.Status, "Settled") == "True/Settled"
	})
}

func testForeign(t *testing.T, env *testEnv) {
	vm := &lima.LimaVM{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.VM}, Spec: lima.LimaVMSpec{Running: true, Template: "cpus: 1\n"}}
	if err := env.Create(t.Context(), vm); err != nil {
		t.Fatal(err)
	}
	env.until(t, "the VM runs", func(_ *v1alpha1.App, vm *lima.LimaVM) bool {
		return meta.IsStatusConditionTrue(vm.Status.Conditions, "Running")
	})
	app := env.createApp(t, runs)
	env.failsWith(t, app, lima.ReasonCreateFailed, "rdd vm delete rd")
	app.Spec.Running = false
	env.settled(t, env.patch(t, func(app *v1alpha1.App) { app.Spec.Running = false }))
	_, now := env.now(t)
	if now.UID != vm.UID || now.Generation != vm.Generation || !meta.IsStatusConditionTrue(now.Status.Conditions, "Running") {
		t.Errorf("the user's VM: %+v", now)
	}
	was := now.DeepCopy()
	now.Spec.Running = false
	if err := env.Patch(t.Context(), now, client.MergeFrom(was)); err != nil {
		t.Errorf("the user can't change a VM of their own: %v", err)
	}
	env.patch(t, runs)
	if err := env.Delete(t.Context(), vm); err != nil {
		t.Fatal(err)
	}
	env.until(t, "the App goes on", func(app *v1alpha1.App, _ *lima.LimaVM) bool {
		return condition(app.Status, "Settled") == "True/Settled"
	})
}

func testFailedStart(t *testing.T, env *testEnv) {
	env.machines.set(func() { env.machines.fail = "no QEMU here" })
	app := env.createApp(t, runs)
	env.failsWith(t, app, lima.ReasonStartFailed, "no QEMU here")
	if target, _ := env.link.Get(); target.Phase != engine.Stopped || !strings.Contains(target.Reason, "no QEMU here") {
		t.Errorf("target %+v", target)
	}
	env.machines.set(func() { env.machines.fail = "" })
	env.settled(t, env.patch(t, func(app *v1alpha1.App) { now := metav1.NowMicro(); app.Spec.RestartedAt = &now }))
}

func testLateEngine(t *testing.T, env *testEnv) {
	env.engine.speak(true)
	app := env.createApp(t, runs)
	silent := func(app *v1alpha1.App, _ *lima.LimaVM) bool {
		p := app.Status.Progress
		return condition(app.Status, "ContainerEngineReady") == "Unknown/Connecting" && condition(app.Status, "Settled") == "False/WaitingForEngine" &&
			p != nil && p.Phase == EnginePhase && p.Step == p.Steps && app.Status.Engine == nil
	}
	env.until(t, "it waits for the engine", silent)
	env.engine.speak(false)
	env.settled(t, app)
	env.engine.speak(true)
	env.until(t, "the engine is gone", silent)
	env.engine.speak(false)
	env.until(t, "the engine is back", func(app *v1alpha1.App, _ *lima.LimaVM) bool {
		return condition(app.Status, "Settled") == "True/Settled"
	})
	env.engine.lose("another program has it")
	env.until(t, "another program has the socket", func(app *v1alpha1.App, _ *lima.LimaVM) bool {
		return app.Status.Engine != nil && app.Status.Engine.Socket == "" && slices.Equal(app.Status.Problems, []string{"another program has it"})
	})
	env.engine.lose("")
	env.until(t, "the socket is served again", func(app *v1alpha1.App, _ *lima.LimaVM) bool {
		return app.Status.Engine != nil && app.Status.Engine.Socket == "/s/docker.sock" && len(app.Status.Problems) == 0
	})
}

func testDockerFiles(t *testing.T, env *testEnv) {
	env.settled(t, env.createApp(t, runs, func(app *v1alpha1.App) { app.Spec.ContainerEngine.DockerContext = v1alpha1.DockerContextAlways }))
	env.until(t, "the problem is told", func(app *v1alpha1.App, _ *lima.LimaVM) bool {
		return slices.Equal(app.Status.Problems, []string{"config.json can't be changed"})
	})
	env.docker.be(true)
	if err := env.Delete(t.Context(), &v1alpha1.App{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.Name}}); err != nil {
		t.Fatal(err)
	}
	env.until(t, "the App says why it stays", func(app *v1alpha1.App, vm *lima.LimaVM) bool {
		settled := meta.FindStatusCondition(app.Status.Conditions, "Settled")
		return vm == nil && settled.Reason == v1alpha1.ReasonDeleting && strings.Contains(settled.Message, "read-only file system")
	})
	env.docker.be(false)
	env.deleteApp(t)
}

func testRejected(t *testing.T, env *testEnv) {
	env.createApp(t)
	env.settled(t, env.patch(t, func(app *v1alpha1.App) { q := resource.MustParse("200Gi"); app.Spec.VirtualMachine.Disk = &q }))
	folder := tempFolder(t)
	memory := func(s string) func(*v1alpha1.App) {
		return func(app *v1alpha1.App) { q := resource.MustParse(s); app.Spec.VirtualMachine.Memory = &q }
	}
	disk := func(s string) func(*v1alpha1.App) {
		return func(app *v1alpha1.App) { q := resource.MustParse(s); app.Spec.VirtualMachine.Disk = &q }
	}
	mounts := func(paths ...string) func(*v1alpha1.App) {
		return func(app *v1alpha1.App) {
			for _, path := range paths {
				app.Spec.VirtualMachine.Mounts = append(app.Spec.VirtualMachine.Mounts, v1alpha1.Mount{Path: path})
			}
		}
	}
	for _, tc := range []struct {
		name   string
		change func(*v1alpha1.App)
		says   string
	}{
		{"processors", func(app *v1alpha1.App) { app.Spec.VirtualMachine.CPUs = 9 }, "spec.virtualMachine.cpus: Invalid value: 9: this host has 8 processors"},
		{"memory", memory("17Gi"), `spec.virtualMachine.memory: Invalid value: "17Gi": this host has 16GiB of memory`},
		{"what Lima says", memory("13Gi"), "spec.virtualMachine.memory: Invalid value: 13 is not for us"},
		{"too little memory", memory("512Mi"), "must be at least 1Gi"},
		{"a smaller disk", disk("150Gi"), `spec.virtualMachine.disk: Invalid value: "150Gi": the data disk has 200Gi and can't shrink`},
		{"the default disk, which is smaller", func(app *v1alpha1.App) { app.Spec.VirtualMachine.Disk = nil }, "the data disk has 200Gi and can't shrink"},
		{"a relative mount", mounts("src"), "spec.virtualMachine.mounts[0].path: Invalid value: \"src\": must be an absolute path, or begin with ~/"},
		{"another user's home", mounts("~somebody/src"), "must be an absolute path"},
		{"no such folder", mounts(folder + "/none"), "there is no such folder on this host"},
		{"a file", mounts(tempFile(t)), "is not a folder"},
		{"a folder twice", mounts(folder, folder+"/."), "spec.virtualMachine.mounts[1].path: Invalid value: \"" + folder + "/.\": is the same folder as mounts[0]"},
		{"Kubernetes", func(app *v1alpha1.App) { app.Spec.Kubernetes.Enabled = true }, "Kubernetes is not available in this version of RDD"},
		{"a version of Kubernetes", func(app *v1alpha1.App) { app.Spec.Kubernetes.Version = "1.36.2" }, "Kubernetes is not available in this version of RDD, so it can't have a version"},
		{"the finalizer", func(app *v1alpha1.App) { app.Finalizers = nil }, "to delete all: rdd delete"},
	} {
		app, vm := env.now(t)
		was, text := app.DeepCopy(), env.storedText(t)
		tc.change(app)
		err := env.Patch(t.Context(), app, client.MergeFrom(was))
		if (!apierrors.IsInvalid(err) && !apierrors.IsForbidden(err)) || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v", tc.name, err)
		}
		if now, nowVM := env.now(t); now.ResourceVersion != was.ResourceVersion || nowVM.ResourceVersion != vm.ResourceVersion || env.storedText(t) != text {
			t.Errorf("%s: something has changed", tc.name)
		}
	}
	env.settled(t, env.patch(t, mounts(folder)))
	env.settled(t, env.patch(t, func(app *v1alpha1.App) { app.Spec.VirtualMachine.Mounts = []v1alpha1.Mount{} }))
	other := &v1alpha1.App{ObjectMeta: metav1.ObjectMeta{Name: "second"}}
	if err := env.Create(t.Context(), other); err == nil || !strings.Contains(err.Error(), "the only App is named app") {
		t.Errorf("a second App: %v", err)
	}
}

// testGuarded tries what `rdd vm` and kubectl can do to the App's VM.
func testGuarded(t *testing.T, env *testEnv) {
	env.settled(t, env.createApp(t, runs))
	now := metav1.NowMicro()
	for says, change := range map[string]func(*lima.LimaVM){
		"use: rdd stop":         func(vm *lima.LimaVM) { vm.Spec.Running = false },
		"use: rdd stop --force": func(vm *lima.LimaVM) { vm.Spec.Running, vm.Spec.StopMode = false, lima.StopForce },
		"use: rdd restart":      func(vm *lima.LimaVM) { vm.Spec.RestartedAt = &now },
		"use: rdd reset":        func(vm *lima.LimaVM) { vm.Spec.ResetAt = &now },
		"use: rdd set":          func(vm *lima.LimaVM) { vm.Spec.Params = map[string]string{"a": "b"} },
		"use: rdd delete":       func(vm *lima.LimaVM) { vm.OwnerReferences = nil },
	} {
		_, vm := env.now(t)
		was := vm.DeepCopy()
		change(vm)
		if err := env.Patch(t.Context(), vm, client.MergeFrom(was)); !apierrors.IsForbidden(err) || !strings.HasSuffix(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
	}
	_, vm := env.now(t)
	was := vm.DeepCopy()
	vm.Labels = map[string]string{"mine": "yes"}
	if err := env.Patch(t.Context(), vm, client.MergeFrom(was)); err != nil {
		t.Errorf("a label: %v", err)
	}
	if err := env.Delete(t.Context(), vm); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "rdd delete") {
		t.Errorf("delete: %v", err)
	}
	for name, write := range map[string]func(client.Object) error{
		"edit": func(cm client.Object) error {
			return env.Patch(t.Context(), cm, client.RawPatch("application/merge-patch+json", []byte(`{"data":{"template":"cpus: 1\n"}}`)))
		},
		"delete": func(cm client.Object) error { return env.Delete(t.Context(), cm) },
	} {
		cm, err := templateConfigMap(t.Context(), env, vm)
		if err != nil {
			t.Fatal(err)
		}
		if err := write(cm); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "rdd set") || strings.Contains(err.Error(), "rdd vm") {
			t.Errorf("%s the template: %v", name, err)
		}
	}
	env.settled(t, env.patch(t, func(app *v1alpha1.App) { app.Spec.Running = false }))
	_, vm = env.now(t)
	was = vm.DeepCopy()
	vm.Spec.Running = true
	if err := env.Patch(t.Context(), vm, client.MergeFrom(was)); !apierrors.IsForbidden(err) || !strings.HasSuffix(err.Error(), "use: rdd start") {
		t.Errorf("start: %v", err)
	}
	// The name is the App's while there is an App.
	env.setGuest("")
	defer env.setGuest(guest)
	env.deleteApp(t)
	env.createApp(t)
	err := env.Create(t.Context(), &lima.LimaVM{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.VM}, Spec: lima.LimaVMSpec{Template: "cpus: 1\n"}})
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "choose another one") {
		t.Errorf("create: %v", err)
	}
}

func testDryRun(t *testing.T, env *testEnv) {
	app := &v1alpha1.App{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.Name}, Spec: v1alpha1.AppSpec{Running: true}}
	if err := env.Create(t.Context(), app, client.DryRunAll); err != nil {
		t.Fatal(err)
	}
	// A VM of the App before may be left for a moment.
	env.until(t, "there is neither an App nor a VM", func(app *v1alpha1.App, vm *lima.LimaVM) bool { return app == nil && vm == nil })
	bad := &v1alpha1.App{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.Name}, Spec: v1alpha1.AppSpec{VirtualMachine: v1alpha1.VirtualMachine{CPUs: 99}}}
	if err := env.Create(t.Context(), bad, client.DryRunAll); !apierrors.IsInvalid(err) {
		t.Error(err)
	}
}

func testNextService(t *testing.T, env *testEnv, app *v1alpha1.App) {
	was, vm := env.now(t)
	stop := env.control(t, "")
	env.settled(t, app)
	if now, nowVM := env.now(t); now.Generation != was.Generation || nowVM.Generation != vm.Generation || len(env.machines.did()) != 0 {
		t.Errorf("the App %+v, its VM %+v", now, nowVM)
	}
	stop()
	// It has died meanwhile: a client of a service that is ready sees that.
	env.machines.set(func() {
		env.machines.states["rd"] = machine.State{Phase: machine.Stopped}
		env.machines.hold = true
	})
	stop = env.control(t, "")
	if now, _ := env.now(t); condition(now.Status, "Settled") == "True/Settled" || condition(now.Status, "Running") == "True/Started" {
		t.Errorf("the App %+v", now.Status)
	}
	env.machines.let()
	env.until(t, "it runs again", func(app *v1alpha1.App, _ *lima.LimaVM) bool {
		return condition(app.Status, "Settled") == "True/Settled"
	})
	env.deleteApp(t)
	stop()
}

func testTwoHosts(t *testing.T, env *testEnv) {
	hosts := map[string]*testEnv{"a": env.beside(), "b": env.beside()}
	for name, host := range hosts {
		defer host.control(t, name)()
	}
	app := env.settled(t, env.createApp(t, runs))
	owner := app.Annotations[HostAnnotation]
	_, vm := env.now(t)
	if hosts[owner] == nil || vm.Spec.Host != owner {
		t.Fatalf("the host is %q, the VM's %q", owner, vm.Spec.Host)
	}
	for name, host := range hosts {
		host.until(t, fmt.Sprintf("the engine of host %s is told", name), func(*v1alpha1.App, *lima.LimaVM) bool {
			target, _ := host.link.Get()
			return (target.Phase == engine.Running) == (name == owner) && (name == owner || strings.Contains(target.Reason, "runs on the host "+owner))
		})
		if did := host.machines.did(); name != owner && len(did) != 0 {
			t.Errorf("host %s did %v", name, did)
		}
	}
	env.deleteApp(t)
	chosen := env.createApp(t, runs, func(app *v1alpha1.App) { app.Annotations = map[string]string{HostAnnotation: "b"} })
	env.settled(t, chosen)
	if _, vm := env.now(t); vm.Spec.Host != "b" {
		t.Errorf("the VM's host is %q", vm.Spec.Host)
	}
	env.deleteApp(t)
}

// Rules that need a client before there is one must not let anything pass.
func TestRulesBeforeTheServiceIsReady(t *testing.T) {
	rules := newValidator(newParts().options("", nil)).admission()
	for _, r := range []admission.Review{
		{Operation: admission.Create, Name: v1alpha1.VM, User: "somebody", Object: unstructuredOf(t, &lima.LimaVM{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.VM}})},
	} {
		if err := rules[1].Admit(context.Background(), r); !apierrors.IsServiceUnavailable(err) {
			t.Error(err)
		}
	}
}
