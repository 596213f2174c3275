package diagnose

import (
	"context"
	"fmt"
	"slices"

	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/internal/diag"
	"rancherdesktop.io/rdd/internal/lifecycle"
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

// checkHome checks whether this user can have an instance in this home directory.
func checkHome(_ context.Context, i *inspection) []Finding {
	if err := i.inst.CheckHome(); err != nil {
		return []Finding{problem(SeverityProblem, diag.HomeUnusable, "%v", err)}
	}
	return []Finding{ok("virtual machines can run from %s", i.inst.Home())}
}

// checkSettings checks whether the files with the user's settings can be read.
func checkSettings(_ context.Context, i *inspection) []Finding {
	var all []Finding
	if _, err := lifecycle.LoadConfig(i.inst); err != nil {
		all = append(all, problemOfError(SeverityProblem, diag.FilesPermission, err))
	}
	if _, err := i.core.Settings(); err != nil {
		all = append(all, problemOfError(SeverityWarning, diag.FilesPermission, err))
	}
	return orOK(all, "%s and %s are valid or don't exist yet", i.inst.ConfigFile(), i.inst.SettingsFile())
}
