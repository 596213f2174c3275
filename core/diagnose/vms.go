package diagnose

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
	"rancherdesktop.io/rdd/internal/diag"
)

// checkVMs looks at each VM, as the service sees it.
func checkVMs(_ context.Context, i *inspection) []Finding {
	made := 0
	for _, vm := range i.files {
		if vm.Exists() {
			made++
		}
	}
	switch {
	case i.vmsErr != nil:
		return []Finding{problemOfError(SeverityProblem, diag.ServiceBroken, i.vmsErr)}
	case i.status.State != core.ServiceRunning && made > 0:
		return []Finding{ok("there are files of %d; the service doesn't run, so how they are is not known", made)}
	case len(i.objects) == 0:
		return []Finding{ok("there is none")}
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
		// The words may be the guest's, which the table of this computer's problems must not judge.
		all = append(all, problem(SeverityWarning, diag.VMDegraded, "%s, but: %s", what, p))
	}
	return all
}

func judgeState(vm *core.VM, what string) Finding {
	d := core.Describe(vm)
	failure, permanent := vm.Failure()
	switch p := vm.Status.Progress; {
	case failure != nil && permanent:
		return failureOf(vm, SeverityProblem, what+": "+failure.Message)
	case failure != nil:
		return failureOf(vm, SeverityWarning, what+", and is tried again: "+failure.Message)
	case p != nil:
		if _, _, known := diag.Split(p.Message); known {
			return explainedProblem(SeverityWarning, diag.VMFailed, what+": "+d.Progress)
		}
		return ok("%s: %s", what, d.Progress)
	}
	if c := meta.FindStatusCondition(vm.Status.Conditions, v1alpha1.ConditionRunning); c != nil && c.Status == metav1.ConditionTrue && c.Message != "" {
		return ok("%s; %s", what, c.Message) // what an earlier service left
	}
	return ok("%s", what)
}

// failureOf is a finding of the known problem that the VM's status names, if it names one.
func failureOf(vm *core.VM, s Severity, text string) Finding {
	cause, _, _ := diag.Split(text) // the meaning and the remedy have fields of their own
	if known(vm.Status.KnownProblem) {
		return problem(s, diag.ID(vm.Status.KnownProblem), "%s", cause)
	}
	return explainedProblem(s, diag.VMFailed, text) // an older service's
}
