package limavm

import (
	"cmp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
	"rancherdesktop.io/rdd/internal/machine"
)

// maxMessageBytes bounds a condition's message, in bytes; the API allows 32 KiB.
const maxMessageBytes = 8 << 10

// report writes what is known into the status.
func (d *decision) report(o observation, want goal, t failureState) {
	set := func(kind string, c metav1.Condition) {
		c.Type = kind
		c.Message = shortened(c.Message)
		c.ObservedGeneration = o.vm.Generation
		c.LastTransitionTime = metav1.NewTime(o.now)
		meta.SetStatusCondition(&d.status.Conditions, c)
	}
	set(v1alpha1.ConditionCreated, createdCondition(o, want, t))
	set(v1alpha1.ConditionRunning, runningCondition(o, want, t))
	if a := o.state.Accelerator; a.Name != "" {
		set(v1alpha1.ConditionAccelerated, acceleratedCondition(a))
	}
	d.status.Progress = progressOf(o.state.Progress)
	d.status.SSHPort, d.status.Problems, d.status.Ports, d.status.KnownProblem = 0, nil, nil, ""
	d.status.Disks = disksOf(o.state.Disks)
	if t.failure != nil {
		d.status.KnownProblem = t.failure.Problem
	}
	if o.state.Phase == machine.Running {
		d.status.SSHPort = o.state.SSHPort
		for _, p := range problems(o.state) {
			d.status.Problems = append(d.status.Problems, shortened(p))
		}
		d.status.Ports = portsOf(o.state.Ports)
	}
}

// disksOf converts disks for the status.
func disksOf(disks []machine.Disk) (all []v1alpha1.Disk) {
	for _, d := range disks {
		all = append(all, v1alpha1.Disk(d))
	}
	return all
}

// createdCondition returns the condition Created: whether the VM's disk and configuration exist.
func createdCondition(o observation, want goal, t failureState) metav1.Condition {
	if (want == beGone || want == beReset && o.state.Phase != machine.Absent) && !hasGuest(o.state.Phase) {
		if t.failure != nil {
			return unknown(v1alpha1.ReasonRemoveFailed, t.failure.Message)
		}
		return unknown(v1alpha1.ReasonRemoving, "")
	}
	if created(o, t) {
		return metav1.Condition{Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonCreated}
	}
	if c, ok := failedCondition(o, t, v1alpha1.ReasonCreateFailed); ok {
		return c
	}
	return unknown(v1alpha1.ReasonPending, "")
}

// created reports whether a complete disk and configuration exist. While they are updated before a start, and when that fails,
// the old ones exist.
func created(o observation, t failureState) bool {
	was := meta.IsStatusConditionTrue(o.vm.Status.Conditions, v1alpha1.ConditionCreated)
	switch o.state.Phase {
	case machine.Absent, machine.Removing: // a creation that was interrupted is removed, too
		return false
	case machine.Preparing:
		return was
	case machine.Stopped:
		return was || t.failure == nil || t.failure.Action != machine.Prepare
	}
	return true
}

// runningCondition returns the condition Running: whether the VM has booted and answers.
func runningCondition(o observation, want goal, t failureState) metav1.Condition {
	switch {
	case o.state.Phase == machine.Running && want == beRunning && o.state.Health.Reason != "":
		return unknown(o.state.Health.Reason, o.state.Health.Message)
	case o.state.Phase == machine.Running && want == beRunning:
		return metav1.Condition{Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonStarted, Message: runningMessage(o.state)}
	case o.state.Phase == machine.Starting && want == beRunning:
		return unknown(v1alpha1.ReasonStarting, o.state.Found)
	case hasGuest(o.state.Phase): // and is to be stopped, or stopping
		if t.failure != nil && (t.failure.Action == machine.Stop || t.failure.Action == machine.Kill) {
			return unknown(v1alpha1.ReasonStopFailed, t.failure.Message)
		}
		return unknown(v1alpha1.ReasonStopping, "")
	case want == beGone || !o.vm.Spec.Running:
		return metav1.Condition{Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonStopped, Message: o.state.Found}
	}
	if t.failure != nil && t.failure.ByGuest {
		return unknown(v1alpha1.ReasonStarting, t.failure.Message)
	}
	if c, ok := failedCondition(o, t, v1alpha1.ReasonStartFailed); ok {
		return c
	}
	return unknown(v1alpha1.ReasonStarting, "")
}

// runningMessage returns the message for a VM that runs: its problems, and what the service has found at its start.
func runningMessage(s machine.State) string {
	all := problems(s)
	if s.Found != "" {
		all = append(all, s.Found)
	}
	return strings.Join(all, "\n")
}

// problems returns what doesn't work in a VM that runs, and what will not soon.
func problems(s machine.State) []string {
	all := slices.Clone(s.Problems)
	for _, disk := range disksOf(s.Disks) {
		if problem := disk.Problem(); problem != "" {
			all = append(all, problem)
		}
	}
	return all
}

// hasGuest reports whether a guest may run in that phase.
func hasGuest(p machine.Phase) bool {
	return p == machine.Starting || p == machine.Running || p == machine.Stopping
}

// failedCondition returns the condition for a template that was rejected or an attempt that has failed.
func failedCondition(o observation, t failureState, reason string) (metav1.Condition, bool) {
	var message string
	var permanent bool
	switch {
	case t.failure != nil && o.state.Phase != machine.Preparing:
		message, permanent = t.failure.Message, t.permanent()
	case o.refused != nil:
		message, permanent = o.refused.message, o.refused.permanent
	default:
		return metav1.Condition{}, false
	}
	if permanent {
		return metav1.Condition{Status: metav1.ConditionFalse, Reason: reason, Message: message}, true
	}
	return unknown(reason, message), true
}

func unknown(reason, message string) metav1.Condition {
	return metav1.Condition{Status: metav1.ConditionUnknown, Reason: reason, Message: message}
}

// acceleratedCondition returns the condition Accelerated: whether hardware runs guest code, and if not, why.
func acceleratedCondition(a machine.Accelerator) metav1.Condition {
	c := metav1.Condition{Status: metav1.ConditionFalse, Reason: cmp.Or(a.Reason, strings.ToUpper(a.Name)), Message: a.Message}
	if a.Hardware {
		c.Status = metav1.ConditionTrue
	}
	return c
}

// maxPorts bounds the list of ports, so that the object can be stored. The rest is forwarded, too.
const maxPorts = 1000

func portsOf(ports []machine.Port) (all []v1alpha1.Port) {
	for _, p := range ports[:min(len(ports), maxPorts)] {
		all = append(all, v1alpha1.Port{
			Protocol: p.Protocol, HostAddress: p.HostAddress, GuestAddress: p.GuestAddress,
			Container: p.Container, State: v1alpha1.PortState(p.State), Message: shortened(p.Message),
		})
	}
	return all
}

func progressOf(p *machine.Progress) *v1alpha1.Progress {
	if p == nil {
		return nil
	}
	started := metav1.NewTime(p.StartedAt)
	return &v1alpha1.Progress{
		Phase: p.Phase, Step: p.Step, Steps: p.Steps, Bytes: p.Bytes, Total: p.Total,
		Message: shortened(p.Message), StartedAt: started.Rfc3339Copy(),
	}
}

// shortened returns the end of a message that is too long: the end has the cause.
func shortened(message string) string {
	if len(message) <= maxMessageBytes {
		return strings.ToValidUTF8(message, "?")
	}
	return "… " + strings.ToValidUTF8(message[len(message)-maxMessageBytes:], "?")
}
