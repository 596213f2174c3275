package diagnose

import (
	"context"
	"fmt"
	"slices"

	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/internal/diag"
)

// checkService checks the state of the service.
func checkService(_ context.Context, i *inspection) []Finding {
	st := i.status
	switch {
	case i.statusErr != nil:
		return []Finding{problemOfError(SeverityProblem, diag.ServiceBroken, i.statusErr)}
	case st.State == core.ServiceBroken:
		return []Finding{identifiedProblem(SeverityProblem, st.Problem, diag.ServiceBroken, "broken: "+st.Error)}
	case st.Error != "":
		return []Finding{identifiedProblem(SeverityWarning, st.Problem, diag.ServiceCrashed, fmt.Sprintf("%s: %s", st.State, st.Error))}
	case st.Step != "":
		return []Finding{ok("%s: %s", st.State, st.Step)}
	case st.State == core.ServiceNotCreated:
		return []Finding{ok("instance %q does not exist yet", st.Instance)}
	}
	return []Finding{ok("%s", st.State)}
}

func stopped(s core.ServiceState) bool {
	return slices.Contains([]core.ServiceState{core.ServiceStopped, core.ServiceBroken, core.ServiceNotCreated}, s)
}
