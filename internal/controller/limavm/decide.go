package limavm

import (
	"time"

	"rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
	"rancherdesktop.io/rdd/internal/machine"
)

// templateRetryInterval is how long to wait before looking again for a template that was not there.
const templateRetryInterval = 10 * time.Second

// observation is all that a decision is made from.
type observation struct {
	vm             *v1alpha1.LimaVM
	template       string   // accepted by Lima; empty when refused
	templateStored bool     // the template is in the VM's own ConfigMap already
	refused        *refusal // why there is no template
	state          machine.State
	backoff        backoff
	now            time.Time
}

// decision is what to do next and what to say.
type decision struct {
	storeTemplate   bool            // write the VM's own ConfigMap with the template first
	request         machine.Request // for the worker; None: leave it
	removeFinalizer bool            // the VM is gone: let the object go
	requeueAfter    time.Duration   // look again then; 0: when something changes
	status          v1alpha1.LimaVMStatus
	backoff         backoff
}

// goal is the state to bring a VM to next.
type goal int

const (
	beStopped goal = iota
	beRunning
	beRestarted // stopped, on the way to running
	beReset     // without a disk, on the way to a new one
	beGone
)

// decide says what is next for a VM. It is pure: no client, no clock.
func decide(o observation) decision {
	d := decision{status: *o.vm.Status.DeepCopy(), backoff: o.backoff}
	if o.state.Phase == machine.Unknown {
		return d // the worker has not looked yet; what was known stays
	}
	d.status.ObservedGeneration = o.vm.Generation
	trouble := d.backoff.update(o)
	want := goalOf(o.vm)
	if want != beGone {
		if o.vm.Spec.Running {
			d.status.RestartCount += trouble.exits
		}
		d.storeTemplate = o.template != "" && !o.templateStored
		if o.templateStored || d.storeTemplate {
			d.status.TemplateConfigMap = v1alpha1.TemplateConfigMapName(o.vm.Name)
			d.status.TemplateDigest = v1alpha1.TemplateDigest(o.template)
		}
	}
	action := nextAction(want, o.state.Phase, o.vm.Spec.StopMode == v1alpha1.StopForce)
	if want != beGone && o.vm.Spec.RestartedAt != nil && noGuest(o.state.Phase) {
		// Said before the start is asked for, so that a restart is carried out once even if we end here.
		d.status.RestartedAt = o.vm.Spec.RestartedAt.DeepCopy()
	}
	if want != beGone && o.vm.Spec.ResetAt != nil && o.state.Phase == machine.Absent {
		// For the same reason: the disk that comes next is not removed, whatever ends in between.
		d.status.ResetAt = o.vm.Spec.ResetAt.DeepCopy()
	}
	d.removeFinalizer = want == beGone && o.state.Phase == machine.Absent
	d.buildRequest(o, action, trouble)
	d.report(o, want, trouble)
	return d
}

// goalOf says what state the spec asks for next.
func goalOf(vm *v1alpha1.LimaVM) goal {
	switch {
	case !vm.DeletionTimestamp.IsZero():
		return beGone
	case vm.ResetPending():
		return beReset
	case !vm.Spec.Running:
		return beStopped
	case vm.Spec.RestartedAt != nil && !vm.Spec.RestartedAt.Equal(vm.Status.RestartedAt):
		return beRestarted
	}
	return beRunning
}

// noGuest reports whether no guest runs in that phase.
func noGuest(p machine.Phase) bool {
	return p == machine.Absent || p == machine.Preparing || p == machine.Stopped
}

// nextAction is the action that brings a VM in phase p closer to the goal.
func nextAction(want goal, p machine.Phase, force bool) machine.Action {
	stop := machine.Stop
	if force {
		stop = machine.Kill
	}
	switch p {
	case machine.Starting, machine.Running:
		if want != beRunning {
			return stop
		}
	case machine.Stopping:
		if want != beRunning && force {
			return machine.Kill
		}
	case machine.Absent, machine.Preparing, machine.Stopped:
		switch {
		case (want == beGone || want == beReset) && p != machine.Absent:
			return machine.Remove
		case want == beRunning:
			return machine.Start
		case want == beStopped && p != machine.Stopped:
			return machine.Prepare
		}
	}
	return machine.None
}

// buildRequest turns the action into a request for the worker, unless it has to wait.
func (d *decision) buildRequest(o observation, action machine.Action, t failureState) {
	making := action == machine.Prepare || action == machine.Start
	switch {
	case action == machine.None, making && t.permanent():
		return
	case making && o.refused != nil:
		if !o.refused.permanent {
			d.requeueAfter = templateRetryInterval
		}
		return
	case o.now.Before(d.backoff.nextRetry):
		d.requeueAfter = d.backoff.nextRetry.Sub(o.now)
		return
	}
	d.backoff.requested = o.vm.Generation
	d.request = machine.Request{Action: action}
	if making {
		d.request.Template = []byte(o.template)
		d.request.Params = o.vm.Spec.Params
		d.request.Acceleration = string(o.vm.Spec.Acceleration)
	}
}
