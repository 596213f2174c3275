package app

import (
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rancherdesktop.io/rdd/internal/api/app/v1alpha1"
	lima "rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
	"rancherdesktop.io/rdd/internal/engine"
)

// EnginePhase is the phase of the progress in which the VM runs and the engine does not answer yet.
const EnginePhase = "engine"

// report writes what is known into the status.
func (d *decision) report(o observation) {
	created, running := d.vmConditions(o)
	ready := d.engineCondition(o)
	settled := d.settledCondition(o, created, running, ready)
	for _, c := range []metav1.Condition{created, running, ready, settled} {
		d.set(o, c)
	}
	d.status.Progress = d.progress(o, ready)
	d.status.Engine = nil
	if ready.Status == metav1.ConditionTrue {
		d.status.Engine = &v1alpha1.EngineStatus{
			Name: o.engineName(), Version: o.engine.Version, APIVersion: o.engine.APIVersion,
			Socket: o.docker.socket, Containers: int32(min(o.engine.Containers, 1<<30)),
		}
		if o.engineName() == v1alpha1.Moby { // docker can't use another one
			d.ensure(o, running)
		}
	}
	d.status.DockerContext = o.docker.context
	d.status.Ports, d.status.Disk, d.status.Problems, d.status.KnownProblem = nil, nil, slices.Clone(o.problems), ""
	if d.memory.problem != "" {
		d.status.Problems = append(d.status.Problems, d.memory.problem)
	}
	if d.failure != nil {
		d.status.KnownProblem = d.failure.problem
	}
	if !o.owned() {
		return
	}
	seen := o.vm.Status.DeepCopy()
	d.status.Ports, d.status.KnownProblem = seen.Ports, seen.KnownProblem
	if i := slices.IndexFunc(seen.Disks, func(disk lima.Disk) bool { return disk.Name == lima.DataDiskName }); i >= 0 {
		d.status.Disk = &seen.Disks[i]
		// Who shows the App's disk says with it that it is nearly full, and what to do with this engine.
		seen.Problems = slices.DeleteFunc(seen.Problems, func(problem string) bool { return problem == d.status.Disk.Problem() })
	}
	d.status.Problems = append(seen.Problems, d.status.Problems...)
}

// set puts a condition into the status. One without a time of its own keeps that of the same status before.
func (d *decision) set(o observation, c metav1.Condition) {
	if len(c.Message) > maxMessageBytes {
		c.Message = "… " + strings.ToValidUTF8(c.Message[len(c.Message)-maxMessageBytes:], "?")
	}
	mirrored := c.LastTransitionTime
	if mirrored.IsZero() {
		c.LastTransitionTime = metav1.NewTime(o.now)
	}
	meta.SetStatusCondition(&d.status.Conditions, c)
	if !mirrored.IsZero() {
		meta.FindStatusCondition(d.status.Conditions, c.Type).LastTransitionTime = mirrored
	}
}

// maxMessageBytes bounds a condition's message, in bytes; the API allows 32 KiB.
const maxMessageBytes = 8 << 10

// vmConditions returns the conditions Created and Running: those of the VM, or why there is none.
func (d *decision) vmConditions(o observation) (created, running metav1.Condition) {
	created = metav1.Condition{Type: v1alpha1.ConditionCreated, ObservedGeneration: o.app.Generation}
	running = metav1.Condition{Type: v1alpha1.ConditionRunning, ObservedGeneration: o.app.Generation}
	switch {
	case d.failure != nil:
		status := metav1.ConditionUnknown
		if d.failure.permanent {
			status = metav1.ConditionFalse
		}
		created.Status, created.Reason, created.Message = status, lima.ReasonCreateFailed, d.failure.message
		running.Status, running.Reason = metav1.ConditionFalse, lima.ReasonStopped
		if o.app.Spec.Running {
			running.Status, running.Reason, running.Message = status, lima.ReasonStartFailed, d.failure.message
		}
		return created, running
	case o.owned():
		return d.mirrored(o, created), d.mirrored(o, running)
	case !o.app.DeletionTimestamp.IsZero():
		created.Status, created.Reason = metav1.ConditionUnknown, lima.ReasonRemoving
		running.Status, running.Reason = metav1.ConditionFalse, lima.ReasonStopped
		return created, running
	}
	created.Status, created.Reason = metav1.ConditionUnknown, lima.ReasonPending
	running.Status, running.Reason = metav1.ConditionFalse, lima.ReasonStopped
	if o.app.Spec.Running {
		running.Status, running.Reason = metav1.ConditionUnknown, lima.ReasonStarting
	}
	return created, running
}

// mirrored returns the VM's condition of c's type. One that doesn't take into account yet what the App says doesn't get the
// App's generation.
func (d *decision) mirrored(o observation, c metav1.Condition) metav1.Condition {
	seen := meta.FindStatusCondition(o.vm.Status.Conditions, c.Type)
	if seen == nil {
		c.Status, c.Reason = metav1.ConditionUnknown, lima.ReasonPending
		return c
	}
	c.Status, c.Reason, c.Message, c.LastTransitionTime = seen.Status, seen.Reason, seen.Message, seen.LastTransitionTime
	stale := d.vmSpec != nil || d.template != "" || seen.ObservedGeneration < o.vm.Generation
	if stale && o.app.DeletionTimestamp.IsZero() {
		c.ObservedGeneration = 0
		if was := meta.FindStatusCondition(o.app.Status.Conditions, c.Type); was != nil {
			c.ObservedGeneration = min(was.ObservedGeneration, o.app.Generation-1)
		}
	}
	return c
}

// engineCondition returns the condition ContainerEngineReady.
func (d *decision) engineCondition(o observation) metav1.Condition {
	c := metav1.Condition{Type: v1alpha1.ConditionContainerEngineReady, ObservedGeneration: o.app.Generation}
	switch {
	case d.phase != engine.Running:
		c.Status, c.Reason = metav1.ConditionFalse, v1alpha1.ReasonStopped
		d.memory.connecting = time.Time{}
		return c
	case o.linked == engine.Running && o.engine.Answers: // and not a moment ago, before it was told that the VM runs
		c.Status, c.Reason = metav1.ConditionTrue, v1alpha1.ReasonConnected
		d.memory.connecting = time.Time{}
		return c
	case d.memory.connecting.IsZero():
		d.memory.connecting = o.now
	}
	c.Status, c.Reason, c.Message = metav1.ConditionUnknown, v1alpha1.ReasonConnecting, o.engine.Problem
	late := o.now.Sub(d.memory.connecting)
	d.requeueAfter = connectInterval
	log := o.command("vm shell " + v1alpha1.VM + " -- sudo journalctl -u " + unitOf(o.engineName()))
	if o.engine.Failed != "" {
		c.Status, c.Reason = metav1.ConditionFalse, v1alpha1.ReasonConnectFailed
		c.Message = "the virtual machine runs, but its container engine can't start. " + o.engine.Failed + " Its log: " + log + ". Repair it with: " + o.command("shell") +
			", and restart it with: " + o.command("restart") + ". Or make a new system disk, which keeps images, containers and volumes: " + o.command("reset")
		return c
	}
	if late >= connectTimeout && o.engine.Problem != "" {
		c.Reason = v1alpha1.ReasonConnectFailed
		c.Message = "the virtual machine runs, and its container engine has not answered for more than " + connectTimeout.String() + ": " + strings.TrimSuffix(o.engine.Problem, ".") +
			". RDD goes on trying. The engine's log: " + log + "; to restart it: " + o.command("restart")
	}
	return c
}

// unitOf is the name of an engine's service in the guest.
func unitOf(engine v1alpha1.EngineName) string {
	if engine == v1alpha1.Containerd {
		return "containerd"
	}
	return "docker"
}

// settledCondition returns the condition Settled: whether everything is as the App says.
func (d *decision) settledCondition(o observation, created, running, ready metav1.Condition) metav1.Condition {
	c := metav1.Condition{Type: v1alpha1.ConditionSettled, Status: metav1.ConditionFalse, ObservedGeneration: o.app.Generation}
	stopped := running.Status == metav1.ConditionFalse && running.Reason == lima.ReasonStopped
	was := meta.FindStatusCondition(o.app.Status.Conditions, v1alpha1.ConditionSettled)
	switch {
	case !o.app.DeletionTimestamp.IsZero():
		c.Reason, c.Message = v1alpha1.ReasonDeleting, d.memory.problem
	case !o.app.Spec.Running && d.failure != nil: // nothing runs, as it should be; Created says what is wrong
		c.Status, c.Reason, c.Message = metav1.ConditionTrue, v1alpha1.ReasonSettled, d.failure.message
	case o.failed(created):
		c.Reason, c.Message = created.Reason, created.Message
	case o.failed(running):
		c.Reason, c.Message = running.Reason, running.Message
	case o.applying(d, was, running):
		c.Reason, c.Message = v1alpha1.ReasonApplyingSettings, "the virtual machine restarts with new settings"
	case d.settling, created.Status != metav1.ConditionTrue, o.app.Spec.Running && running.Status != metav1.ConditionTrue, !o.app.Spec.Running && !stopped:
		c.Reason, c.Message = v1alpha1.ReasonWaitingForVM, running.Message
	case o.failed(ready):
		c.Reason, c.Message = ready.Reason, ready.Message
	case o.app.Spec.Running && ready.Status != metav1.ConditionTrue:
		c.Reason, c.Message = v1alpha1.ReasonWaitingForEngine, ready.Message
	default:
		c.Status, c.Reason = metav1.ConditionTrue, v1alpha1.ReasonSettled
	}
	return c
}

// failed reports whether c says that something has failed, for the App as it is now.
func (o observation) failed(c metav1.Condition) bool {
	return c.ObservedGeneration == o.app.Generation && c.Status != metav1.ConditionTrue && strings.HasSuffix(c.Reason, "Failed")
}

// applying reports whether the VM restarts because its size was changed, and not because somebody asked for a restart.
func (o observation) applying(d *decision, was *metav1.Condition, running metav1.Condition) bool {
	if !o.owned() || !o.app.Spec.Running {
		return false
	}
	spec := o.vm.Spec
	if d.vmSpec != nil {
		spec = *d.vmSpec
	}
	if spec.RestartedAt == nil || carried(o.app.Spec.RestartedAt, spec.RestartedAt) {
		return false
	}
	on := was != nil && was.Reason == v1alpha1.ReasonApplyingSettings && running.Status != metav1.ConditionTrue
	return on || pending(spec.RestartedAt, o.vm.Status.RestartedAt)
}

// progress returns the step under way. The engine's first answer is the step after the VM's last one.
func (d *decision) progress(o observation, ready metav1.Condition) *lima.Progress {
	if !o.owned() || d.failure != nil {
		return nil
	}
	if ready.Status == metav1.ConditionUnknown {
		steps := int32(1)
		if p := o.app.Status.Progress; p != nil && p.Steps > 0 {
			steps = p.Steps
		}
		started := metav1.NewTime(d.memory.connecting)
		return &lima.Progress{Phase: EnginePhase, Step: steps, Steps: steps, Message: "waiting for the container engine", StartedAt: started.Rfc3339Copy()}
	}
	p := o.vm.Status.Progress.DeepCopy()
	if p != nil && p.Steps > 0 && o.app.Spec.Running && o.app.DeletionTimestamp.IsZero() {
		p.Steps++
	}
	return p
}

// ensure makes docker's context at the first answer of the engine after each start, and when its mode was changed.
func (d *decision) ensure(o observation, running metav1.Condition) {
	start := running.LastTransitionTime.UTC().String() + " " + string(o.app.Spec.ContainerEngine.DockerContext)
	d.ensureContext = d.memory.context != start
	if d.ensureContext {
		d.memory.context = start
	}
}
