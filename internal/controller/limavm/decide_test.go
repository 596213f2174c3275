package limavm

import (
	"strings"
	"testing"
	"time"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
	"rancherdesktop.io/rdd/internal/machine"
)

var (
	noon   = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	before = metav1.NewMicroTime(noon.Add(-2 * time.Hour))
	asked  = metav1.NewMicroTime(noon.Add(-time.Hour))
)

// situation is an observation in the making: a VM of generation 3 that is to run, is created, and
// whose spec was tried, at noon.
func situation(phase machine.Phase, change ...func(*observation)) observation {
	o := observation{
		vm: &v1alpha1.LimaVM{
			ObjectMeta: metav1.ObjectMeta{Name: "rd", UID: "1", Generation: 3},
			Spec:       v1alpha1.LimaVMSpec{Running: true, StopMode: v1alpha1.StopGraceful, Acceleration: v1alpha1.AccelerationAuto},
		},
		template: "images: []", templateStored: true,
		state:   machine.State{Phase: phase},
		backoff: backoff{generation: 3, requested: 3},
		now:     noon,
	}
	was(v1alpha1.ConditionCreated, metav1.ConditionTrue, v1alpha1.ReasonCreated)(&o)
	for _, c := range change {
		c(&o)
	}
	return o
}

func was(kind string, status metav1.ConditionStatus, reason string) func(*observation) {
	return func(o *observation) {
		meta.SetStatusCondition(&o.vm.Status.Conditions, metav1.Condition{Type: kind, Status: status, Reason: reason,
			ObservedGeneration: 3, LastTransitionTime: metav1.NewTime(noon.Add(-time.Minute))})
	}
}

func idle(o *observation)      { o.vm.Spec.Running = false }
func force(o *observation)     { o.vm.Spec.StopMode = v1alpha1.StopForce }
func deleted(o *observation)   { t := metav1.NewTime(noon); o.vm.DeletionTimestamp = &t }
func restart(o *observation)   { o.vm.Spec.RestartedAt, o.vm.Status.RestartedAt = &asked, &before }
func restarted(o *observation) { o.vm.Spec.RestartedAt, o.vm.Status.RestartedAt = &asked, &asked }
func reset(o *observation)     { o.vm.Spec.ResetAt, o.vm.Status.ResetAt = &asked, &before }
func wasReset(o *observation)  { o.vm.Spec.ResetAt, o.vm.Status.ResetAt = &asked, &asked }
func fresh(o *observation) {
	o.vm.Status, o.backoff, o.templateStored = v1alpha1.LimaVMStatus{}, backoff{}, false
}
func uncreated(o *observation) { o.vm.Status.Conditions = nil }
func newer(o *observation)     { o.backoff.generation, o.backoff.requested = 2, 2 }
func exited(o *observation)    { o.state.Exits = 1 }
func hasData(o *observation)   { o.state.HasData = true }
func withDisks(o *observation) {
	o.vm.Spec.DataDisk, o.vm.Spec.SystemDisk = &v1alpha1.DataDisk{Size: resource.MustParse("5Gi")}, v1alpha1.SystemDiskReplace
	o.state.Disks = []machine.Disk{{Name: v1alpha1.DataDiskName, Used: 3, Capacity: 4}}
}

func refusedFor(message string, permanent bool) func(*observation) {
	return func(o *observation) {
		o.template, o.templateStored, o.refused = "", false, &refusal{message, permanent}
	}
}

func failing(action machine.Action, permanent bool) func(*observation) {
	return func(o *observation) {
		o.state.Failure = &machine.Failure{Action: action, Message: "because", Permanent: permanent, At: noon.Add(-time.Second)}
	}
}

// counted says that the failure has been counted, and that the next attempt is then.
func counted(notBefore time.Duration) func(*observation) {
	return func(o *observation) {
		o.backoff.lastFailure, o.backoff.attempts, o.backoff.nextRetry = noon.Add(-time.Second), 1, noon.Add(notBefore)
	}
}

// The conditions that the cases expect.
const (
	isTrue    = metav1.ConditionTrue
	ready     = "True/Created"
	starting  = "Unknown/Starting"
	stopping  = "Unknown/Stopping"
	stopped   = "False/Stopped"
	started   = "True/Started"
	pending   = "Unknown/Pending"
	removing  = "Unknown/Removing"
	stopError = "Unknown/StopFailed"
)

// decideCase is an observation and the decision that it leads to.
type decideCase struct {
	name    string
	o       observation
	action  machine.Action
	created string
	running string
	check   func(decision) bool // more to check; may be nil
}

func checkDecisions(t *testing.T, cases []decideCase) {
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			spec := tc.o.vm.DeepCopy()
			d := decide(tc.o)
			if d.request.Action != tc.action {
				t.Errorf("action %q, want %q", d.request.Action, tc.action)
			}
			if got := condition(d.status, v1alpha1.ConditionCreated); got != tc.created {
				t.Errorf("Created %s, want %s", got, tc.created)
			}
			if got := condition(d.status, v1alpha1.ConditionRunning); got != tc.running {
				t.Errorf("Running %s, want %s", got, tc.running)
			}
			if tc.check != nil && !tc.check(d) {
				t.Errorf("decision %+v", d)
			}
			if !apiequality.Semantic.DeepEqual(spec, tc.o.vm) {
				t.Error("decide changed what it observed")
			}
		})
	}
}

func TestDecideStart(t *testing.T) {
	checkDecisions(t, []decideCase{
		{"the worker has not looked yet", situation(machine.Unknown, newer), machine.None, ready, "", func(d decision) bool { return d.status.ObservedGeneration == 0 && d.requeueAfter == 0 }},
		{"new, to run", situation(machine.Absent, fresh), machine.Start, pending, starting, func(d decision) bool {
			return d.storeTemplate && d.status.TemplateConfigMap == "limavm-rd" && d.status.ObservedGeneration == 3 && string(d.request.Template) == "images: []"
		}},
		{"new, not to run, is prepared", situation(machine.Absent, fresh, idle), machine.Prepare, pending, stopped, func(d decision) bool { return d.storeTemplate }},
		{"being prepared for the first time", situation(machine.Preparing, uncreated), machine.Start, pending, starting, func(d decision) bool { return !d.storeTemplate }},
		{"being prepared before a later start", situation(machine.Preparing), machine.Start, ready, starting, nil},
		{"being prepared, not to run", situation(machine.Preparing, uncreated, idle), machine.Prepare, pending, stopped, nil},
		{"prepared, not to run", situation(machine.Stopped, uncreated, idle), machine.None, ready, stopped, nil},
		{"stopped, to run", situation(machine.Stopped), machine.Start, ready, starting, nil},
		{"booting", situation(machine.Starting), machine.None, ready, starting, nil},
		{"running", situation(machine.Running), machine.None, ready, started, nil},
		{"running, with ports", situation(machine.Running, func(o *observation) {
			o.state.Ports = make([]machine.Port, 1200)
			o.state.Ports[0] = machine.Port{Protocol: "tcp", HostAddress: "127.0.0.1:80", GuestAddress: "0.0.0.0:80", Container: "web", State: "Busy", Message: "nginx has it"}
		}), machine.None, ready, started, func(d decision) bool {
			return len(d.status.Ports) == maxPorts && d.status.Ports[0] == v1alpha1.Port{Protocol: "tcp", HostAddress: "127.0.0.1:80", GuestAddress: "0.0.0.0:80", Container: "web", State: v1alpha1.PortBusy, Message: "nginx has it"}
		}},
		{"stopping, with ports", situation(machine.Stopping, func(o *observation) { o.state.Ports = make([]machine.Port, 1) }), machine.None, ready, stopping, func(d decision) bool {
			return d.status.Ports == nil
		}},
		{"running, not all of it", situation(machine.Running, func(o *observation) { o.state.Problems = []string{"no port forwarding", "no mounts"} }), machine.None, ready, started, func(d decision) bool {
			return meta.FindStatusCondition(d.status.Conditions, "Running").Message == "no port forwarding\nno mounts" && len(d.status.Problems) == 2
		}},
		{"running, a full data disk", situation(machine.Running, func(o *observation) {
			o.state.Disks = []machine.Disk{{Name: "system", Used: 9 << 30, Capacity: 10 << 30}, {Name: "data", Used: 18 << 30, Capacity: 20 << 30}}
		}), machine.None, ready, started, func(d decision) bool {
			return len(d.status.Problems) == 1 && strings.HasPrefix(d.status.Problems[0], "the data disk is 90 % full (of 20GiB)") &&
				meta.FindStatusCondition(d.status.Conditions, "Running").Message == d.status.Problems[0]
		}},
		{"running, a data disk that is not full", situation(machine.Running, func(o *observation) {
			o.state.Disks = []machine.Disk{{Name: "data", Used: 16 << 30, Capacity: 20 << 30}}
		}), machine.None, ready, started, func(d decision) bool { return d.status.Problems == nil }},
		{"adopted by a new process", situation(machine.Running, func(o *observation) { o.backoff = backoff{} }), machine.None, ready, started, func(d decision) bool { return d.status.RestartCount == 0 }},
		{"disk vanished", situation(machine.Absent), machine.Start, pending, starting, nil},
		{"being removed under a spec that wants it", situation(machine.Removing), machine.None, pending, starting, nil},
		{"what an interrupted creation has left is being removed", situation(machine.Removing, uncreated, idle), machine.None, pending, stopped, nil},
		{"what an interrupted creation has left can't be removed", situation(machine.Removing, uncreated, idle, failing(machine.Stop, false)), machine.None, "Unknown/CreateFailed", stopped, nil},
	})
}

func TestDecideStop(t *testing.T) {
	checkDecisions(t, []decideCase{
		{"running, to stop", situation(machine.Running, idle, newer), machine.Stop, ready, stopping, nil},
		{"booting, to stop", situation(machine.Starting, idle), machine.Stop, ready, stopping, nil},
		{"running, to stop by force", situation(machine.Running, idle, force), machine.Kill, ready, stopping, nil},
		{"stopping", situation(machine.Stopping, idle), machine.None, ready, stopping, nil},
		{"stopping, and force is asked for", situation(machine.Stopping, idle, force), machine.Kill, ready, stopping, nil},
		{"stopping late", situation(machine.Stopping, idle, failing(machine.Stop, false)), machine.None, ready, stopError, nil},
		{"stopping failed, again later", situation(machine.Running, idle, failing(machine.Stop, false)), machine.None, ready, stopError, func(d decision) bool { return d.requeueAfter == time.Second }},
		{"stopping failed, again now", situation(machine.Running, idle, failing(machine.Stop, true), counted(0)), machine.Stop, ready, stopError, nil},
		{"stopping, to run again", situation(machine.Stopping), machine.None, ready, stopping, nil},
		{"stopping, to run again, force left over", situation(machine.Stopping, force), machine.None, ready, stopping, nil},
	})
}

func TestDecideRestart(t *testing.T) {
	checkDecisions(t, []decideCase{
		{"restart of a running VM stops it", situation(machine.Running, restart), machine.Stop, ready, stopping, func(d decision) bool { return d.status.RestartedAt.Equal(&before) }},
		{"restart by force", situation(machine.Running, restart, force), machine.Kill, ready, stopping, nil},
		{"restart while booting", situation(machine.Starting, restart), machine.Stop, ready, stopping, nil},
		{"restart, stopping", situation(machine.Stopping, restart), machine.None, ready, stopping, nil},
		{"restart, stopped: noted before the start", situation(machine.Stopped, restart), machine.None, ready, starting, func(d decision) bool { return d.status.RestartedAt.Equal(&asked) }},
		{"restart, noted", situation(machine.Stopped, restarted), machine.Start, ready, starting, nil},
		{"restarted", situation(machine.Running, restarted), machine.None, ready, started, nil},
		{"restart of a VM that is not to run", situation(machine.Stopped, restart, idle), machine.None, ready, stopped, func(d decision) bool { return d.status.RestartedAt.Equal(&asked) }},
		{"new with a restart asked for", situation(machine.Absent, fresh, func(o *observation) { o.vm.Spec.RestartedAt = &asked }), machine.None, pending, starting, func(d decision) bool { return d.status.RestartedAt.Equal(&asked) && d.storeTemplate }},
		{"restart withdrawn", situation(machine.Running, func(o *observation) { o.vm.Status.RestartedAt = &before }), machine.None, ready, started, func(d decision) bool { return d.status.RestartedAt.Equal(&before) }},
	})
}

func TestDecideReset(t *testing.T) {
	checkDecisions(t, []decideCase{
		{"reset of a running VM stops it", situation(machine.Running, reset), machine.Stop, ready, stopping, func(d decision) bool { return d.status.ResetAt.Equal(&before) }},
		{"reset by force", situation(machine.Running, reset, force), machine.Kill, ready, stopping, nil},
		{"reset while booting", situation(machine.Starting, reset), machine.Stop, ready, stopping, nil},
		{"reset, stopping", situation(machine.Stopping, reset), machine.None, ready, stopping, nil},
		{"reset, stopping, and force is asked for", situation(machine.Stopping, reset, force), machine.Kill, ready, stopping, nil},
		{"reset, stopped: the disk goes", situation(machine.Stopped, reset), machine.Remove, removing, starting, func(d decision) bool {
			return d.status.ResetAt.Equal(&before) && !d.removeFinalizer && d.request.KeepData
		}},
		{"reset, stopped, not to run", situation(machine.Stopped, reset, idle), machine.Remove, removing, stopped, nil},
		{"reset while preparing", situation(machine.Preparing, reset, uncreated, idle), machine.Remove, removing, stopped, nil},
		{"reset, removing", situation(machine.Removing, reset), machine.None, removing, starting, nil},
		{"reset, removed: noted before the new disk", situation(machine.Absent, reset), machine.None, pending, starting, func(d decision) bool { return d.status.ResetAt.Equal(&asked) && !d.removeFinalizer }},
		{"reset, noted", situation(machine.Absent, wasReset), machine.Start, pending, starting, nil},
		{"reset, noted, not to run", situation(machine.Absent, wasReset, idle), machine.Prepare, pending, stopped, nil},
		{"reset done", situation(machine.Running, wasReset), machine.None, ready, started, nil},
		{"reset done, stopped", situation(machine.Stopped, wasReset, idle), machine.None, ready, stopped, nil},
		{"reset: removal failed, again later", situation(machine.Stopped, reset, idle, failing(machine.Remove, true)), machine.None, "Unknown/RemoveFailed", stopped, func(d decision) bool { return d.requeueAfter == time.Second }},
		{"reset: removal failed, again now", situation(machine.Stopped, reset, idle, failing(machine.Remove, true), counted(0)), machine.Remove, "Unknown/RemoveFailed", stopped, nil},
		{"reset after a permanent failure", situation(machine.Stopped, reset, failing(machine.Start, true), newer), machine.Remove, removing, starting, nil},
		{"reset and restart at once", situation(machine.Running, reset, restart), machine.Stop, ready, stopping, nil},
		{"reset and deleted", situation(machine.Stopped, reset, deleted), machine.Remove, removing, stopped, nil},
		{"reset and deleted, absent", situation(machine.Absent, reset, deleted), machine.None, removing, stopped, func(d decision) bool { return d.removeFinalizer && d.status.ResetAt.Equal(&before) }},
		{"new with a reset asked for", situation(machine.Absent, fresh, func(o *observation) { o.vm.Spec.ResetAt = &asked }), machine.None, pending, starting, func(d decision) bool { return d.status.ResetAt.Equal(&asked) && d.storeTemplate }},
	})
}

func TestDecideAfterFailure(t *testing.T) {
	checkDecisions(t, []decideCase{
		{"first preparation failed, again later", situation(machine.Absent, uncreated, failing(machine.Prepare, false), idle), machine.None, "Unknown/CreateFailed", stopped, func(d decision) bool { return d.requeueAfter == time.Second && d.backoff.attempts == 1 }},
		{"first preparation failed, again now", situation(machine.Absent, uncreated, failing(machine.Prepare, false), idle, counted(0)), machine.Prepare, "Unknown/CreateFailed", stopped, nil},
		{"first preparation failed for good", situation(machine.Absent, uncreated, failing(machine.Prepare, true), idle), machine.None, "False/CreateFailed", stopped, func(d decision) bool { return d.requeueAfter == 0 }},
		{"half prepared", situation(machine.Stopped, uncreated, failing(machine.Prepare, true), idle), machine.None, "False/CreateFailed", stopped, nil},
		{"start failed while preparing, for good", situation(machine.Absent, uncreated, failing(machine.Start, true)), machine.None, "False/CreateFailed", "False/StartFailed", nil},
		{"start failed, again later", situation(machine.Stopped, failing(machine.Start, false)), machine.None, ready, "Unknown/StartFailed", func(d decision) bool { return d.requeueAfter == time.Second }},
		{"start failed, still later", situation(machine.Stopped, failing(machine.Start, false), counted(4*time.Second)), machine.None, ready, "Unknown/StartFailed", func(d decision) bool { return d.requeueAfter == 4*time.Second && d.backoff.attempts == 1 }},
		{"start with a data disk and a newer guest", situation(machine.Stopped, withDisks), machine.Start, ready, starting, func(d decision) bool {
			return d.request.DataDisk == 5<<30 && d.request.Replace && len(d.status.Disks) == 1 && d.status.Disks[0].Used == 3
		}},
		{"start failed, again now", situation(machine.Stopped, failing(machine.Start, false), counted(0)), machine.Start, ready, "Unknown/StartFailed", nil},
		{"start failed for good", situation(machine.Stopped, failing(machine.Start, true), counted(0)), machine.None, ready, "False/StartFailed", func(d decision) bool { return d.requeueAfter == 0 }},
		{"start failed for good, but the spec is newer", situation(machine.Stopped, failing(machine.Start, true), newer), machine.Start, ready, starting, func(d decision) bool { return d.backoff.requested == 3 && d.backoff.generation == 3 }},
		{"what an older generation asked for failed for good", situation(machine.Stopped, failing(machine.Start, true), func(o *observation) { o.backoff.requested = 2 }), machine.None, ready, "Unknown/StartFailed", func(d decision) bool { return d.requeueAfter == time.Second }},
		{"failure of a start, now not to run", situation(machine.Stopped, failing(machine.Start, true), idle, newer), machine.None, ready, stopped, nil},
		{"template refused by Lima", situation(machine.Absent, fresh, refusedFor("bad", true)), machine.None, "False/CreateFailed", "False/StartFailed", func(d decision) bool {
			return !d.storeTemplate && d.requeueAfter == 0 && d.status.TemplateConfigMap == ""
		}},
		{"template missing", situation(machine.Absent, fresh, refusedFor("missing", false), idle), machine.None, "Unknown/CreateFailed", stopped, func(d decision) bool { return d.requeueAfter == templateRetryInterval }},
		{"template lost while running", situation(machine.Running, refusedFor("missing", false)), machine.None, ready, started, nil},
		{"template lost, to stop", situation(machine.Running, refusedFor("missing", true), idle), machine.Stop, ready, stopping, nil},
	})
}

func TestDecideAfterHostagentExit(t *testing.T) {
	checkDecisions(t, []decideCase{
		{"hostagent died", situation(machine.Stopped, was(v1alpha1.ConditionRunning, isTrue, "Started"), exited), machine.None, ready, starting, func(d decision) bool {
			return d.status.RestartCount == 1 && d.requeueAfter == time.Second && d.backoff.exits == 1
		}},
		{"hostagent died and was counted", situation(machine.Stopped, exited, func(o *observation) { o.backoff.exits = 1 }), machine.Start, ready, starting, func(d decision) bool { return d.status.RestartCount == 0 }},
		{"hostagent died of a cause", situation(machine.Stopped, exited, failing(machine.Start, false)), machine.None, ready, "Unknown/StartFailed", func(d decision) bool { return d.status.RestartCount == 1 && d.backoff.attempts == 1 }},
		{"hostagent died, not to run", situation(machine.Stopped, exited, idle), machine.None, ready, stopped, func(d decision) bool { return d.status.RestartCount == 0 }},
		{"hostagent died, spec is newer", situation(machine.Stopped, exited, newer), machine.None, ready, starting, func(d decision) bool { return d.status.RestartCount == 1 && d.requeueAfter == time.Second }},
		{"crash loop", situation(machine.Stopped, exited, func(o *observation) { o.backoff.attempts = 30 }), machine.None, ready, starting, func(d decision) bool { return d.requeueAfter == time.Minute }},
		{"crash after long service", situation(machine.Stopped, exited, func(o *observation) {
			o.backoff.attempts = 5
			o.vm.Status.Conditions = append(o.vm.Status.Conditions, metav1.Condition{Type: "Running", Status: isTrue, Reason: "Started", LastTransitionTime: metav1.NewTime(noon.Add(-time.Hour))})
		}), machine.None, ready, starting, func(d decision) bool { return d.requeueAfter == time.Second }},
	})
}

func TestDecideDelete(t *testing.T) {
	checkDecisions(t, []decideCase{
		{"delete running", situation(machine.Running, deleted, newer), machine.Stop, ready, stopping, func(d decision) bool { return !d.removeFinalizer && !d.storeTemplate }},
		{"delete running by force", situation(machine.Running, deleted, force), machine.Kill, ready, stopping, nil},
		{"delete booting", situation(machine.Starting, deleted), machine.Stop, ready, stopping, nil},
		{"delete stopping", situation(machine.Stopping, deleted), machine.None, ready, stopping, nil},
		{"delete stopping by force", situation(machine.Stopping, deleted, force), machine.Kill, ready, stopping, nil},
		{"delete stopping late", situation(machine.Stopping, deleted, failing(machine.Stop, false)), machine.None, ready, stopError, nil},
		{"delete preparing", situation(machine.Preparing, deleted, uncreated), machine.Remove, removing, stopped, nil},
		{"delete stopped", situation(machine.Stopped, deleted), machine.Remove, removing, stopped, func(d decision) bool { return len(d.request.Template) == 0 && !d.request.KeepData }},
		{"delete: a reset has left the data disk", situation(machine.Absent, deleted, hasData), machine.Remove, removing, stopped, func(d decision) bool { return !d.removeFinalizer && !d.request.KeepData }},
		{"delete after a permanent failure", situation(machine.Stopped, deleted, failing(machine.Start, true), newer), machine.Remove, removing, stopped, nil},
		{"delete removing", situation(machine.Removing, deleted), machine.None, removing, stopped, nil},
		{"delete: removal failed", situation(machine.Stopped, deleted, failing(machine.Remove, true), counted(2*time.Second)), machine.None, "Unknown/RemoveFailed", stopped, func(d decision) bool { return d.requeueAfter == 2*time.Second }},
		{"delete: removal failed, again now", situation(machine.Stopped, deleted, failing(machine.Remove, true), counted(0)), machine.Remove, "Unknown/RemoveFailed", stopped, nil},
		{"delete absent", situation(machine.Absent, deleted), machine.None, removing, stopped, func(d decision) bool { return d.removeFinalizer }},
		{"delete before the worker has looked", situation(machine.Unknown, deleted), machine.None, ready, "", func(d decision) bool { return !d.removeFinalizer }},
	})
}

func condition(s v1alpha1.LimaVMStatus, kind string) string {
	c := meta.FindStatusCondition(s.Conditions, kind)
	if c == nil {
		return ""
	}
	return string(c.Status) + "/" + c.Reason
}

func TestConditionTransitionsOnlyWithItsStatus(t *testing.T) {
	o := situation(machine.Stopped, was(v1alpha1.ConditionRunning, metav1.ConditionUnknown, v1alpha1.ReasonStopping))
	d := decide(o)
	c := meta.FindStatusCondition(d.status.Conditions, v1alpha1.ConditionRunning)
	if c.Reason != v1alpha1.ReasonStarting || !c.LastTransitionTime.Time.Equal(noon.Add(-time.Minute)) {
		t.Errorf("Unknown to Unknown: %+v", c)
	}
	o.state.Phase = machine.Running
	c = meta.FindStatusCondition(decide(o).status.Conditions, v1alpha1.ConditionRunning)
	if !c.LastTransitionTime.Time.Equal(noon) {
		t.Errorf("Unknown to True: %+v", c)
	}
}

func TestReport(t *testing.T) {
	o := situation(machine.Running)
	o.state.SSHPort = 2222
	o.state.Accelerator = machine.Accelerator{Name: "tcg", Reason: "HardwareHangs", Message: "the probe did not come back within 5 s"}
	o.state.Progress = &machine.Progress{Phase: "boot", Step: 2, Steps: 5, Message: "waiting for SSH", StartedAt: noon.Add(time.Millisecond)}
	d := decide(o)
	if got := condition(d.status, v1alpha1.ConditionAccelerated); got != "False/HardwareHangs" {
		t.Errorf("Accelerated %s", got)
	}
	if d.status.SSHPort != 2222 || d.status.Progress.Step != 2 || !d.status.Progress.StartedAt.Time.Equal(noon) {
		t.Errorf("status %+v", d.status)
	}

	o.vm.Status = d.status
	o.state = machine.State{Phase: machine.Stopping}
	d = decide(o)
	if d.status.SSHPort != 0 || d.status.Progress != nil || condition(d.status, v1alpha1.ConditionAccelerated) != "False/HardwareHangs" {
		t.Errorf("status after the stop began %+v", d.status)
	}
}

func TestLongMessagesKeepTheirEnd(t *testing.T) {
	long := make([]byte, 100_000)
	for i := range long {
		long[i] = 'x'
	}
	got := shortened(string(long) + "\xff cause")
	if len(got) > maxMessageBytes+10 || got[len(got)-6:] != " cause" {
		t.Errorf("%d bytes, ends %q", len(got), got[len(got)-10:])
	}
}

func TestDelay(t *testing.T) {
	for attempts, want := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 5: 16 * time.Second, 7: time.Minute, 1000: time.Minute} {
		if got := backoffDelay(attempts); got != want {
			t.Errorf("delay(%d) = %s, want %s", attempts, got, want)
		}
	}
}
