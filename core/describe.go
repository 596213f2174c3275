package core

import (
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
)

// Description is the state of a VM as all clients show it.
type Description struct {
	State        string // Running, Stopped, Starting, …
	Acceleration string // hardware, emulation or ?
	Progress     string // the current step; may be empty
	Phase        string // the same, shorter, such as "image 42 %"
	Problem      string // why it is not in the requested state, or what doesn't work; may be empty
	Problems     int    // the number of things that don't work while it is Running
	Template     string // NAMESPACE/NAME of the ConfigMap with its validated template
}

// Describe describes the status of a VM.
func Describe(vm *VM) Description {
	d := Description{State: "Pending", Acceleration: "?"}
	created := meta.FindStatusCondition(vm.Status.Conditions, v1alpha1.ConditionCreated)
	running := meta.FindStatusCondition(vm.Status.Conditions, v1alpha1.ConditionRunning)
	accelerated := meta.FindStatusCondition(vm.Status.Conditions, v1alpha1.ConditionAccelerated)
	switch {
	case vm.DeletionTimestamp != nil:
		d.State = "Deleting"
	case running != nil && running.Status == metav1.ConditionTrue:
		d.State = "Running"
	case created != nil && created.Reason == v1alpha1.ReasonCreateFailed:
		d.State = created.Reason
	case created != nil && created.Reason == v1alpha1.ReasonRemoving:
		d.State = "Resetting"
	case created != nil && created.Reason == v1alpha1.ReasonPending:
		d.State = "Creating"
	case running != nil:
		d.State = running.Reason
	}
	if accelerated != nil && accelerated.Status != metav1.ConditionUnknown {
		d.Acceleration = "emulation"
		if accelerated.Status == metav1.ConditionTrue {
			d.Acceleration = "hardware"
		}
	}
	if p := vm.Status.Progress; p != nil {
		step := eventOf(p)
		d.Progress, d.Phase = step.Text(1), step.short()
		if strings.EqualFold(p.Phase, d.State) { // avoids "Unresponsive (unresponsive)"
			d.Progress, d.Phase = p.Message, ""
		}
	}
	if failure, _ := vm.Failure(); failure != nil {
		d.Problem = failure.Message
	} else if d.State == "Running" {
		d.Problem, d.Problems = strings.Join(vm.Status.Problems, "\n"), len(vm.Status.Problems)
	}
	if vm.Status.TemplateConfigMap != "" {
		d.Template = v1alpha1.SystemNamespace + "/" + vm.Status.TemplateConfigMap
	}
	return d
}
