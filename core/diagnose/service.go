package diagnose

import (
	"context"
	"fmt"
	"slices"

	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/internal/diag"
)

// checkService looks at the service.
func checkService(_ context.Context, i *inspection) []Finding {
	st := i.status
	switch {
	case i.statusErr != nil:
		return []Finding{problemOfError(SeverityProblem, diag.ServiceBroken, i.statusErr)}
	case st.State == core.ServiceBroken && known(st.Problem):
		return []Finding{problem(SeverityProblem, diag.ID(st.Problem), "broken: %s", st.Error)}
	case st.State == core.ServiceBroken:
		return []Finding{explainedProblem(SeverityProblem, diag.ServiceBroken, "broken: "+st.Error)}
	case st.Error != "" && known(st.Problem):
		return []Finding{problem(SeverityWarning, diag.ID(st.Problem), "%s: %s", st.State, st.Error)}
	case st.Error != "":
		return []Finding{explainedProblem(SeverityWarning, diag.ServiceCrashed, fmt.Sprintf("%s: %s", st.State, st.Error))}
	case st.Step != "":
		return []Finding{ok("%s: %s", st.State, st.Step)}
	case st.State == core.ServiceNotCreated:
		return []Finding{ok("there is no instance %q yet", st.Instance)}
	}
	return []Finding{ok("%s", st.State)}
}

func known(id string) bool {
	_, ok := diag.Find(diag.ID(id))
	return ok
}

func stopped(s core.ServiceState) bool {
	return slices.Contains([]core.ServiceState{core.ServiceStopped, core.ServiceBroken, core.ServiceNotCreated}, s)
}
