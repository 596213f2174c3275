package diagnose

import (
	"context"

	"rancherdesktop.io/rdd/internal/daemon"
	"rancherdesktop.io/rdd/internal/diag"
)

// checkHome looks whether this user can have an instance in this home directory.
func checkHome(_ context.Context, i *inspection) []Finding {
	if err := i.inst.CheckHome(); err != nil {
		return []Finding{found(SeverityProblem, diag.HomeUnusable, "%v", err)}
	}
	return []Finding{fine("%s can hold virtual machines", i.inst.Home())}
}

// checkSettings looks whether what the user chose can be read.
func checkSettings(_ context.Context, i *inspection) []Finding {
	var all []Finding
	if _, err := daemon.LoadConfig(i.inst); err != nil {
		all = append(all, judged(SeverityProblem, diag.FilesPermission, err))
	}
	if _, err := i.core.Settings(); err != nil {
		all = append(all, judged(SeverityWarning, diag.FilesPermission, err))
	}
	if len(all) == 0 {
		return []Finding{fine("%s and %s can be read, or hold nothing yet", i.inst.ConfigFile(), i.inst.SettingsFile())}
	}
	return all
}
