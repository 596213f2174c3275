package limavm

import (
	"time"

	"rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
	"rancherdesktop.io/rdd/internal/machine"
)

// templateRetryInterval is the delay before the next attempt to read a template that was missing.
const templateRetryInterval = 10 * time.Second

// observation is the input of a decision.
type observation struct {
	vm             *v1alpha1.LimaVM
	template       string   // accepted by Lima; empty when there is none
	templateStored bool     // the template is in the VM's own ConfigMap
	refused        *refusal // why there is no template
	state          machine.State
	backoff        backoff
	now            time.Time
}

// decision is what to do next, and the new status.
type decision struct {
	storeTemplate   bool            // write the template to the VM's own ConfigMap first
	request         machine.Request // for the worker; None: no request
	removeFinalizer bool            // the VM is gone, and the object may go
	requeueAfter    time.Duration   // reconcile again after that; 0: when something changes
	status          v1alpha1.LimaVMStatus
	backoff         backoff
}

// goal is the next state that the spec asks for.
type goal int

const (
	beStopped goal = iota
	beRunning
	beRestarted // stopped, and running afterwards
	beReset     // without a disk, and with a new one afterwards
	beGone
)

// decide returns what to do next for a VM. It is a pure function: it uses no client and no clock.
func decide(o observation) decision {
	d := decision{status: *o.vm.Status.DeepCopy(), backoff: o.backoff}
	if o.state.Phase == machine.Unknown {
		return d // the worker does not know the state of the VM yet
	}
	d.status.ObservedGeneration = o.vm.Generation
	failed := d.backoff.update(o)
	want := goalOf(o.vm)
	if want != beGone {
		if o.vm.Spec.Running {
			d.status.RestartCount += failed.exits
		}
		d.storeTemplate = o.template != "" && !o.templateStored
		if o.templateStored || d.storeTemplate {
			d.status.TemplateConfigMap = v1alpha1.TemplateConfigMapName(o.vm.Name)
			d.status.TemplateDigest = v1alpha1.TemplateDigest(o.template)
		}
	}
	action := nextAction(want, o.state.Phase, o.vm.Spec.StopMode == v1alpha1.StopForce)
	if want != beGone && o.vm.Spec.RestartedAt != nil && noGuest(o.state.Phase) {
		// This is written before the start is requested, so that a restart is done only once even if the service ends now.
		d.status.RestartedAt = o.vm.Spec.RestartedAt.DeepCopy()
	}
	if want != beGone && o.vm.Spec.ResetAt != nil && o.state.Phase == machine.Absent {
		// For the same reason: the next disk is not removed if the service ends now.
		d.status.ResetAt = o.vm.Spec.ResetAt.DeepCopy()
	}
	if want == beGone && o.state.Phase == machine.Absent && o.state.HasData {
		action = machine.Remove // a reset before the deletion has left the data disk
	}
	d.removeFinalizer = want == beGone && o.state.Phase == machine.Absent && !o.state.HasData
	d.buildRequest(o, want, action, failed)
	d.report(o, want, failed)
	return d
}

// goalOf returns the next state that the spec asks for.
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

// nextAction returns the action that brings a VM in phase p closer to the goal.
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

// buildRequest converts the action into a request for the worker, unless the action has to wait.
func (d *decision) buildRequest(o observation, want goal, action machine.Action, t failureState) {
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
	d.request = machine.Request{Action: action, KeepData: action == machine.Remove && want == beReset}
	if making {
		d.request.Template = []byte(o.template)
		d.request.Params = o.vm.Spec.Params
		d.request.Replace = o.vm.Spec.SystemDisk == v1alpha1.SystemDiskReplace
		if disk := o.vm.Spec.DataDisk; disk != nil {
			d.request.DataDisk = disk.Size.Value()
		}
		d.request.Acceleration = string(o.vm.Spec.Acceleration)
	}
}
