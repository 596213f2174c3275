package diagnose

import (
	"context"

	"rancherdesktop.io/rdd/internal/diag"
	"rancherdesktop.io/rdd/internal/lifecycle"
)

// checkHome looks whether this user can have an instance in this home directory.
func checkHome(_ context.Context, i *inspection) []Finding {
	if err := i.inst.CheckHome(); err != nil {
		return []Finding{problem(SeverityProblem, diag.HomeUnusable, "%v", err)}
	}
	return []Finding{ok("%s can hold virtual machines", i.inst.Home())}
}

// checkSettings looks whether what the user chose can be read.
func checkSettings(_ context.Context, i *inspection) []Finding {
	var all []Finding
	if _, err := lifecycle.LoadConfig(i.inst); err != nil {
		all = append(all, problemOfError(SeverityProblem, diag.FilesPermission, err))
	}
	if _, err := i.core.Settings(); err != nil {
		all = append(all, problemOfError(SeverityWarning, diag.FilesPermission, err))
	}
	if len(all) == 0 {
		return []Finding{ok("%s and %s can be read, or hold nothing yet", i.inst.ConfigFile(), i.inst.SettingsFile())}
	}
	return all
}
