package app

import (
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rancherdesktop.io/rdd/internal/api/app/v1alpha1"
	lima "rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
	"rancherdesktop.io/rdd/internal/engine"
)

var (
	noon  = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	asked = metav1.NewMicroTime(noon.Add(-time.Hour))
)

const guest = "# RDD's guest\ncpus: 2\nmemory: 2GiB\ndisk: 20GiB\nmounts: []\n"

// sizes are the templates of all tests.
var sizes edited

var computer = Computer{CPUs: 8, Memory: 16 * gib, Home: "/home/me"}

// situation is an observation in the making: an App of generation 3 that runs and has settled, at noon.
func situation(change ...func(*observation)) observation {
	o := observation{
		app: &v1alpha1.App{
			ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.Name, UID: "1", Generation: 3},
			Spec: v1alpha1.AppSpec{Running: true, StopMode: lima.StopGraceful,
				ContainerEngine: v1alpha1.ContainerEngine{Name: v1alpha1.Moby, DockerContext: v1alpha1.DockerContextAuto}},
		},
		engine: engine.State{Answers: true, Version: "26.1.5", APIVersion: "1.45", Containers: 2}, linked: engine.Running,
		docker: docker{context: "rdd", socket: "/s/docker.sock"}, template: guest,
		computer: computer, command: func(c string) string { return "rdd " + c }, withSize: sizes.withSize, now: noon,
	}
	size := sizeOf(o.app.Spec.VirtualMachine, o.computer)
	o.stored, _ = withSize(guest, size, v1alpha1.Moby)
	o.launched = &launched{template: o.stored, dataDisk: v1alpha1.DefaultDisk}
	o.vm = &lima.LimaVM{
		ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.VM, Generation: 5,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(o.app, v1alpha1.GroupVersion.WithKind(v1alpha1.Kind))}},
		Spec:   lima.LimaVMSpec{Running: true, StopMode: lima.StopGraceful, SystemDisk: lima.SystemDiskReplace, DataDisk: &lima.DataDisk{Size: *size.Disk}, Template: o.stored},
		Status: lima.LimaVMStatus{ObservedGeneration: 5, TemplateDigest: lima.TemplateDigest(o.stored)},
	}
	vmIs(lima.ConditionCreated, metav1.ConditionTrue, lima.ReasonCreated)(&o)
	vmIs(lima.ConditionRunning, metav1.ConditionTrue, lima.ReasonStarted)(&o)
	d := decide(o)
	o.app.Status, o.memory = d.status, d.memory
	for _, c := range change {
		c(&o)
	}
	return o
}

// vmIs gives the VM a condition, as of a minute ago.
func vmIs(kind string, status metav1.ConditionStatus, reason string) func(*observation) {
	return func(o *observation) {
		meta.SetStatusCondition(&o.vm.Status.Conditions, metav1.Condition{Type: kind, Status: status, Reason: reason, Message: "because",
			ObservedGeneration: o.vm.Generation, LastTransitionTime: metav1.NewTime(noon.Add(-time.Minute))})
		if reason == lima.ReasonStopped {
			o.launched = nil
		}
	}
}

func all(changes ...func(*observation)) func(*observation) {
	return func(o *observation) {
		for _, c := range changes {
			c(o)
		}
	}
}

// newer says that the App was changed, and not looked at since.
func newer(change func(*v1alpha1.AppSpec)) func(*observation) {
	return func(o *observation) {
		o.app.Generation++
		change(&o.app.Spec)
	}
}

var (
	stop      = newer(func(s *v1alpha1.AppSpec) { s.Running = false })
	restart   = newer(func(s *v1alpha1.AppSpec) { s.RestartedAt = &asked })
	reset     = newer(func(s *v1alpha1.AppSpec) { s.ResetAt = &asked })
	threeCPUs = newer(func(s *v1alpha1.AppSpec) { s.VirtualMachine.CPUs = 3 })
	useOther  = newer(func(s *v1alpha1.AppSpec) { s.ContainerEngine.Name = v1alpha1.Containerd })
	starting  = vmIs(lima.ConditionRunning, metav1.ConditionUnknown, lima.ReasonStarting)
	// stopped is after the stop: both have seen it.
	stopped = all(stop, func(o *observation) { o.vm.Spec.Running = false }, vmIs(lima.ConditionRunning, metav1.ConditionFalse, lima.ReasonStopped))
	noVM    = func(o *observation) { o.vm, o.stored, o.launched = nil, "", nil }
	deleted = func(o *observation) { t := metav1.NewTime(noon); o.app.DeletionTimestamp = &t }
	foreign = func(o *observation) { o.vm.OwnerReferences = nil }
	oldApps = func(o *observation) { o.vm.OwnerReferences[0].UID = "0" }
	silent  = func(o *observation) { o.engine = engine.State{Problem: "dial: refused.", Attempts: 3} }
	missing = all(noVM, func(o *observation) {
		o.template, o.refused = "", &refusal{message: "the guest is missing", permanent: true, problem: "install-broken"}
	})
	// restarting is while the VM restarts because its size was changed.
	changing = all(threeCPUs, func(o *observation) {
		o.stored, _ = withSize(o.stored, sizeOf(o.app.Spec.VirtualMachine, o.computer), o.engineName())
		now := metav1.NewMicroTime(noon)
		o.vm.Spec.RestartedAt, o.vm.Status.TemplateDigest, o.memory.applied = &now, lima.TemplateDigest(o.stored), o.stored
	}, vmIs(lima.ConditionRunning, metav1.ConditionUnknown, lima.ReasonStopping), func(o *observation) { o.app.Status = decide(*o).status })
	changed = all(changing, func(o *observation) {
		o.vm.Status.RestartedAt, o.launched.template = o.vm.Spec.RestartedAt, o.stored
	})
)

func condition(s v1alpha1.AppStatus, kind string) string {
	c := meta.FindStatusCondition(s.Conditions, kind)
	if c == nil {
		return ""
	}
	return string(c.Status) + "/" + c.Reason
}

// does says in words what a decision does.
func does(d decision) string {
	var words []string
	for _, w := range []struct {
		word string
		is   bool
	}{
		{"create", d.createVM != nil}, {"edit", d.template != ""}, {"patch", d.vmSpec != nil}, {"delete", d.deleteVM},
		{"context", d.ensureContext}, {"uncontext", d.removeContext}, {"release", d.removeFinalizer},
	} {
		if w.is {
			words = append(words, w.word)
		}
	}
	return strings.Join(words, " ")
}

func TestDecide(t *testing.T) {
	for _, tc := range []struct {
		name                            string
		o                               observation
		does                            string
		phase                           engine.Phase
		created, running, ready, settle string
		check                           func(decision) bool
	}{
		{"settled", situation(), "", engine.Running, "True/Created", "True/Started", "True/Connected", "True/Settled", func(d decision) bool {
			e := d.status.Engine
			return e.Version == "26.1.5" && e.APIVersion == "1.45" && e.Containers == 2 && e.Socket == "/s/docker.sock" && d.status.Progress == nil && d.status.DockerContext == "rdd"
		}},
		{"no VM yet", situation(noVM), "create", engine.Starting, "Unknown/Pending", "Unknown/Starting", "False/Stopped", "False/WaitingForVM", func(d decision) bool {
			s := d.createVM.Spec
			return s.Running && strings.Contains(s.Template, "cpus: 4\nmemory: 4GiB\ndisk: 20GiB\nmounts: [{location: \"/home/me\", writable: true}]") && s.DataDisk.Size.Value() == v1alpha1.DefaultDisk
		}},
		{"another engine", situation(useOther), "edit patch", engine.Starting, "True/Created", "True/Started", "False/Stopped", "False/ApplyingSettings", func(d decision) bool {
			return strings.Contains(d.template, `env: {"RDD_ENGINE": "containerd"}`) && d.vmSpec.RestartedAt != nil
		}},
		{"another engine answers", situation(useOther, func(o *observation) {
			o.stored, _ = withSize(guest, sizeOf(o.app.Spec.VirtualMachine, o.computer), v1alpha1.Containerd)
			o.vm.Status.TemplateDigest, o.launched.template = lima.TemplateDigest(o.stored), o.stored
			o.memory.context = "" // docker's is not made for it
		}), "", engine.Running, "True/Created", "True/Started", "True/Connected", "True/Settled", func(d decision) bool {
			return d.status.Engine.Name == v1alpha1.Containerd
		}},
		{"no VM yet, and not to run", situation(stop, noVM), "create", engine.Stopped, "Unknown/Pending", "False/Stopped", "False/Stopped", "False/WaitingForVM", nil},
		{"no guest", situation(missing), "", engine.Stopped, "False/CreateFailed", "False/StartFailed", "False/Stopped", "False/CreateFailed", func(d decision) bool {
			return d.requeueAfter > 0 && d.status.KnownProblem == "install-broken" && strings.Contains(d.reason, "the guest is missing")
		}},
		{"no guest, and not to run", situation(stop, missing), "", engine.Stopped, "False/CreateFailed", "False/Stopped", "False/Stopped", "True/Settled", nil},
		{"another VM has the name", situation(foreign), "", engine.Stopped, "False/CreateFailed", "False/StartFailed", "False/Stopped", "False/CreateFailed", func(d decision) bool {
			return strings.Contains(meta.FindStatusCondition(d.status.Conditions, "Created").Message, "rdd vm delete rd") && d.status.Ports == nil
		}},
		{"the VM of an App that is gone", situation(oldApps), "", engine.Starting, "Unknown/Pending", "Unknown/Starting", "False/Stopped", "False/WaitingForVM", nil},
		{"starting", situation(starting), "", engine.Starting, "True/Created", "Unknown/Starting", "False/Stopped", "False/WaitingForVM", nil},
		{"the VM is being created", situation(starting, vmIs(lima.ConditionCreated, metav1.ConditionUnknown, lima.ReasonPending)), "", engine.Starting, "Unknown/Pending", "Unknown/Starting", "False/Stopped", "False/WaitingForVM", nil},
		{"a start that failed for now", situation(vmIs(lima.ConditionRunning, metav1.ConditionUnknown, lima.ReasonStartFailed)), "", engine.Starting, "True/Created", "Unknown/StartFailed", "False/Stopped", "False/StartFailed", nil},
		{"a start that failed for good", situation(vmIs(lima.ConditionRunning, metav1.ConditionFalse, lima.ReasonStartFailed)), "", engine.Stopped, "True/Created", "False/StartFailed", "False/Stopped", "False/StartFailed", func(d decision) bool {
			return strings.Contains(d.reason, "can't start: because")
		}},
		{"a new start after that", situation(vmIs(lima.ConditionRunning, metav1.ConditionFalse, lima.ReasonStartFailed), restart), "patch", engine.Starting, "True/Created", "False/StartFailed", "False/Stopped", "False/WaitingForVM", func(d decision) bool {
			return meta.FindStatusCondition(d.status.Conditions, "Running").ObservedGeneration < 4
		}},
		{"the guest doesn't answer", situation(vmIs(lima.ConditionRunning, metav1.ConditionUnknown, lima.ReasonUnresponsive)), "", engine.Running, "True/Created", "Unknown/Unresponsive", "True/Connected", "False/WaitingForVM", nil},
		{"the engine was told a moment ago", situation(func(o *observation) { o.linked = engine.Starting }), "", engine.Running, "True/Created", "True/Started", "Unknown/Connecting", "False/WaitingForEngine", nil},
		{"the engine doesn't answer yet", situation(silent), "", engine.Running, "True/Created", "True/Started", "Unknown/Connecting", "False/WaitingForEngine", func(d decision) bool {
			return d.memory.connecting.Equal(noon) && d.requeueAfter > 0 && d.status.Progress.Phase == EnginePhase && d.status.Engine == nil
		}},
		{"the engine doesn't come up", situation(silent, func(o *observation) { o.memory.connecting = noon.Add(-connectTimeout) }), "", engine.Running, "True/Created", "True/Started", "Unknown/ConnectFailed", "False/ConnectFailed", func(d decision) bool {
			return strings.Contains(meta.FindStatusCondition(d.status.Conditions, "Settled").Message, "dial: refused. RDD goes on trying. The engine's log: rdd vm shell rd -- sudo journalctl -u docker")
		}},
		{"the guest has given up starting the engine", situation(silent, func(o *observation) { o.engine.Failed = "The service docker could not start." }), "", engine.Running, "True/Created", "True/Started", "False/ConnectFailed", "False/ConnectFailed", func(d decision) bool {
			message := meta.FindStatusCondition(d.status.Conditions, "Settled").Message
			return strings.Contains(message, "The service docker could not start. Its log: ") && strings.Contains(message, "rdd reset")
		}},
		{"stop", situation(stop), "patch", engine.Stopped, "True/Created", "True/Started", "False/Stopped", "False/WaitingForVM", func(d decision) bool {
			return !d.vmSpec.Running && meta.FindStatusCondition(d.status.Conditions, "Running").ObservedGeneration == 3
		}},
		{"stopped", situation(stopped), "", engine.Stopped, "True/Created", "False/Stopped", "False/Stopped", "True/Settled", func(d decision) bool { return strings.Contains(d.reason, "rdd start") }},
		{"a stop by force", situation(newer(func(s *v1alpha1.AppSpec) { s.Running, s.StopMode = false, lima.StopForce })), "patch", engine.Stopped, "True/Created", "True/Started", "False/Stopped", "False/WaitingForVM", func(d decision) bool {
			return d.vmSpec.StopMode == lima.StopForce
		}},
		{"start", situation(stopped, newer(func(s *v1alpha1.AppSpec) { s.Running = true })), "patch", engine.Starting, "True/Created", "False/Stopped", "False/Stopped", "False/WaitingForVM", func(d decision) bool { return d.vmSpec.Running }},
		{"restart", situation(restart), "patch", engine.Starting, "True/Created", "True/Started", "False/Stopped", "False/WaitingForVM", func(d decision) bool {
			return d.vmSpec.RestartedAt.Equal(&asked) && d.status.RestartedAt == nil
		}},
		{"a restart that was carried out", situation(restart, func(o *observation) { o.vm.Spec.RestartedAt, o.vm.Status.RestartedAt = &asked, &asked }), "", engine.Running, "True/Created", "True/Started", "True/Connected", "True/Settled", func(d decision) bool {
			return d.status.RestartedAt.Equal(&asked)
		}},
		{"reset", situation(reset), "patch", engine.Starting, "True/Created", "True/Started", "False/Stopped", "False/WaitingForVM", func(d decision) bool { return d.vmSpec.ResetAt.Equal(&asked) }},
		{"new settings", situation(threeCPUs), "edit patch", engine.Starting, "True/Created", "True/Started", "False/Stopped", "False/ApplyingSettings", func(d decision) bool {
			return strings.Contains(d.template, "cpus: 3\n") && d.vmSpec.RestartedAt.Time.Equal(noon) && d.status.VirtualMachine.CPUs == 3
		}},
		{"new settings of a stopped VM", situation(stopped, threeCPUs), "edit", engine.Stopped, "True/Created", "False/Stopped", "False/Stopped", "False/WaitingForVM", nil},
		{"new settings, restarting", situation(changing), "", engine.Starting, "True/Created", "Unknown/Stopping", "False/Stopped", "False/ApplyingSettings", nil},
		{"new settings, starting again", situation(changed, starting), "", engine.Starting, "True/Created", "Unknown/Starting", "False/Stopped", "False/ApplyingSettings", nil},
		{"new settings, done", situation(changed, vmIs(lima.ConditionRunning, metav1.ConditionTrue, lima.ReasonStarted)), "", engine.Running, "True/Created", "True/Started", "True/Connected", "True/Settled", nil},
		{"settings changed and changed back", situation(threeCPUs, newer(func(s *v1alpha1.AppSpec) { s.VirtualMachine.CPUs = 0 })), "", engine.Running, "True/Created", "True/Started", "True/Connected", "True/Settled", nil},
		{"a larger data disk", situation(newer(func(s *v1alpha1.AppSpec) { q := resource.MustParse("200Gi"); s.VirtualMachine.Disk = &q })), "patch", engine.Starting, "True/Created", "True/Started", "False/Stopped", "False/ApplyingSettings", func(d decision) bool {
			return d.vmSpec.DataDisk.Size.String() == "200Gi" && d.vmSpec.RestartedAt != nil
		}},
		{"a smaller data disk", situation(newer(func(s *v1alpha1.AppSpec) { q := resource.MustParse("10Gi"); s.VirtualMachine.Disk = &q })), "", engine.Running, "True/Created", "True/Started", "True/Connected", "True/Settled", nil},
		{"another mode of docker's context", situation(newer(func(s *v1alpha1.AppSpec) { s.ContainerEngine.DockerContext = v1alpha1.DockerContextAlways })), "context", engine.Running, "True/Created", "True/Started", "True/Connected", "True/Settled", nil},
		{"the VM has not taken the spec up", situation(func(o *observation) { o.vm.Generation++ }), "", engine.Starting, "True/Created", "True/Started", "False/Stopped", "False/WaitingForVM", nil},
		{"the VM is deleted by somebody", situation(func(o *observation) { t := metav1.NewTime(noon); o.vm.DeletionTimestamp = &t }), "", engine.Starting, "True/Created", "True/Started", "False/Stopped", "False/WaitingForVM", nil},
		{"deleted", situation(deleted), "delete", engine.Stopped, "True/Created", "True/Started", "False/Stopped", "False/Deleting", nil},
		{"deleted, the VM is on its way", situation(deleted, func(o *observation) { o.vm.DeletionTimestamp = o.app.DeletionTimestamp }, vmIs(lima.ConditionRunning, metav1.ConditionUnknown, lima.ReasonStopping)), "", engine.Stopped, "True/Created", "Unknown/Stopping", "False/Stopped", "False/Deleting", nil},
		{"deleted, by force now", situation(deleted, func(o *observation) {
			o.vm.DeletionTimestamp, o.app.Spec.StopMode = o.app.DeletionTimestamp, lima.StopForce
		}), "patch", engine.Stopped, "True/Created", "True/Started", "False/Stopped", "False/Deleting", nil},
		{"deleted, the VM is gone", situation(deleted, noVM), "uncontext release", engine.Stopped, "Unknown/Removing", "False/Stopped", "False/Stopped", "False/Deleting", nil},
		{"deleted, another VM has the name", situation(deleted, foreign), "uncontext release", engine.Stopped, "Unknown/Removing", "False/Stopped", "False/Stopped", "False/Deleting", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			app, vm := tc.o.app.DeepCopy(), tc.o.vm.DeepCopy()
			d := decide(tc.o)
			if got := does(d); got != tc.does {
				t.Errorf("it does %q, want %q", got, tc.does)
			}
			if d.phase != tc.phase || (d.phase == engine.Running) != (d.reason == "") {
				t.Errorf("engine %s (%q), want %s", d.phase, d.reason, tc.phase)
			}
			for kind, want := range map[string]string{"Created": tc.created, "Running": tc.running, "ContainerEngineReady": tc.ready, "Settled": tc.settle} {
				if got := condition(d.status, kind); got != want {
					t.Errorf("%s is %s, want %s", kind, got, want)
				}
			}
			if tc.check != nil && !tc.check(d) {
				t.Errorf("decision %+v\nVM %+v", d, d.vmSpec)
			}
			if !equal(app, tc.o.app) || tc.o.vm != nil && !equal(vm, tc.o.vm) {
				t.Error("it has changed what it was given")
			}
		})
	}
}

func TestProgressIsCountedFromTheVMsFirstStepToTheEngine(t *testing.T) {
	o := situation(starting, func(o *observation) {
		o.vm.Status.Progress = &lima.Progress{Phase: "boot", Step: 6, Steps: 9, Message: "waiting for SSH"}
	})
	d := decide(o)
	if p := d.status.Progress; p == nil || p.Phase != "boot" || p.Step != 6 || p.Steps != 10 || p.Message != "waiting for SSH" {
		t.Errorf("%+v", p)
	}
	o.app.Status, o.memory, o.vm.Status.Progress = d.status, d.memory, nil
	all(silent, vmIs(lima.ConditionRunning, metav1.ConditionTrue, lima.ReasonStarted))(&o)
	for range 2 {
		d = decide(o)
		if p := d.status.Progress; p == nil || p.Phase != EnginePhase || p.Step != 10 || p.Steps != 10 {
			t.Errorf("%+v", p)
		}
		o.app.Status, o.memory = d.status, d.memory
	}
	stopping := situation(stop, func(o *observation) { o.vm.Status.Progress = &lima.Progress{Phase: "stop", Step: 1, Steps: 1} })
	if p := decide(stopping).status.Progress; p == nil || p.Steps != 1 {
		t.Errorf("a stop: %+v", p)
	}
}

func TestConditionsOfTheVMKeepTheirTimes(t *testing.T) {
	o := situation()
	for _, kind := range []string{"Created", "Running"} {
		got := meta.FindStatusCondition(o.app.Status.Conditions, kind)
		if want := meta.FindStatusCondition(o.vm.Status.Conditions, kind); !got.LastTransitionTime.Equal(&want.LastTransitionTime) || got.Message != "because" || got.ObservedGeneration != 3 {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
}

// rdd status says it beside the disk, and with the commands of the engine.
func TestAFullDataDiskIsSaidOnce(t *testing.T) {
	full := lima.Disk{Name: lima.DataDiskName, Used: 9 * gib, Capacity: 10 * gib}
	d := decide(situation(func(o *observation) {
		o.vm.Status.Disks, o.vm.Status.Problems = []lima.Disk{full}, []string{full.Problem(), "no mounts"}
	}))
	if full.Problem() == "" || *d.status.Disk != full || !slices.Equal(d.status.Problems, []string{"no mounts"}) {
		t.Errorf("%q", d.status.Problems)
	}
}

// Should the comparison of what runs with what was asked for be wrong one day, a VM must not restart forever.
func TestNewSettingsRestartOnce(t *testing.T) {
	o := situation(changed, vmIs(lima.ConditionRunning, metav1.ConditionTrue, lima.ReasonStarted), func(o *observation) { o.launched.template = guest })
	if d := decide(o); d.vmSpec != nil {
		t.Errorf("restarted again: %+v", d.vmSpec)
	}
}

// A newer RDD brings a newer guest. It must not restart what runs, and the next start has it.
func TestANewerGuestDoesNotRestartTheVM(t *testing.T) {
	d := decide(situation(func(o *observation) { o.template = strings.ReplaceAll(guest, "RDD's guest", "RDD's newer guest") }))
	if does(d) != "edit" || !strings.Contains(d.template, "RDD's newer guest") || !strings.Contains(d.template, "cpus: 4\n") {
		t.Error(does(d), d.template)
	}
}

// RDD was removed in part, and the VM goes on with what it has.
func TestAMissingGuestChangesNothing(t *testing.T) {
	if d := decide(situation(func(o *observation) { o.template = "" })); does(d) != "" {
		t.Error(does(d))
	}
}
