package diagnose

import (
	"context"

	"rancherdesktop.io/rdd/internal/diag"
	"rancherdesktop.io/rdd/internal/lifecycle"
)

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
