package diagnose

import (
	"context"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
	"rancherdesktop.io/rdd/internal/diag"
	"rancherdesktop.io/rdd/internal/machine/layout"
)

// checkVMs checks each VM's conditions, as the service reports them.
func checkVMs(_ context.Context, i *inspection) []Finding {
	onDisk := slices.DeleteFunc(slices.Clone(i.files), func(vm layout.VM) bool { return !vm.Exists() })
	switch {
	case i.vmsErr != nil:
		return []Finding{problemOfError(SeverityProblem, diag.ServiceBroken, i.vmsErr)}
	case i.status.State != core.ServiceRunning && len(onDisk) > 0:
		return []Finding{ok("there are files of %d; their state is unknown, because the service is not running", len(onDisk))}
	case len(i.objects) == 0:
		return []Finding{ok("there are no virtual machines")}
	}
	var all []Finding
	for v := range i.objects {
		all = append(all, judgeVM(&i.objects[v])...)
	}
	return all
}

func judgeVM(vm *core.VM) []Finding {
	what := fmt.Sprintf("VM %q: %s", vm.Name, core.Describe(vm).State)
	if core.Describe(vm).Problems == 0 {
		return []Finding{judgeState(vm, what)}
	}
	var all []Finding
	for _, p := range vm.Status.Problems {
		// The text can be the guest's, which must not be matched with problems of the host.
		all = append(all, problem(SeverityWarning, diag.VMDegraded, "%s, but: %s", what, p))
	}
	return all
}

func judgeState(vm *core.VM, what string) Finding {
	d := core.Describe(vm)
	failure, permanent := vm.Failure()
	switch p := vm.Status.Progress; {
	case failure != nil && permanent:
		return identifiedProblem(SeverityProblem, vm.Status.KnownProblem, diag.VMFailed, what+": "+failure.Message)
	case failure != nil:
		return identifiedProblem(SeverityWarning, vm.Status.KnownProblem, diag.VMFailed, what+", retrying: "+failure.Message)
	case p != nil:
		if _, _, known := diag.Split(p.Message); known {
			return explainedProblem(SeverityWarning, diag.VMFailed, what+": "+d.Progress)
		}
		return ok("%s: %s", what, d.Progress)
	}
	if c := meta.FindStatusCondition(vm.Status.Conditions, v1alpha1.ConditionRunning); c != nil && c.Status == metav1.ConditionTrue && c.Message != "" {
		return ok("%s; %s", what, c.Message) // such as the adoption of its hostagent
	}
	return ok("%s", what)
}
