package diagnose

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"rancherdesktop.io/rdd/internal/diag"
	"rancherdesktop.io/rdd/internal/host"
	"rancherdesktop.io/rdd/internal/instance"
	"rancherdesktop.io/rdd/internal/machine/event"
	"rancherdesktop.io/rdd/internal/machine/layout"
	"rancherdesktop.io/rdd/internal/scratch"
)

// checkAcceleration asks rdd-lima how a VM that starts now would run.
func checkAcceleration(ctx context.Context, i *inspection) []Finding {
	program, err := i.inst.Program("rdd-lima")
	if err != nil || instance.CheckUser() != nil {
		return nil // the check "installation" or "home" reports it
	}
	acc, err := probe(ctx, program, i.inst.LimaHome())
	if err != nil {
		return []Finding{explainedProblem(SeverityWarning, diag.AccelerationBroken, "the test failed: "+err.Error())}
	}
	what, _, _ := strings.Cut(acc.Message, ". ") // without its remedy, which the table has
	switch id := acc.Problem(); {
	case id == diag.AccelerationMissing && host.Virtual():
		return []Finding{problem(SeverityWarning, diag.NestedVirtualization, "%s", what)}
	case id != "":
		return []Finding{problem(SeverityWarning, id, "%s", what)}
	case !acc.Hardware:
		return []Finding{problem(SeverityWarning, diag.AccelerationBroken, "%s", what)}
	}
	return []Finding{ok("%s", what)}
}

// probe runs rdd-lima probe, which writes its result to the Lima home. A check changes nothing, so the probe gets a
// temporary home with a copy of the earlier result.
func probe(ctx context.Context, program, limaHome string) (acc event.Accelerator, err error) {
	dir, err := scratch.New("rdd-diagnose-")
	if err != nil {
		return acc, err
	}
	defer func() { _ = dir.Close() }()
	if b, err := os.ReadFile(layout.AccelerationFile(limaHome)); err == nil {
		kept := layout.AccelerationFile(dir.Path)
		if err := errors.Join(os.Mkdir(filepath.Dir(kept), 0o700), os.WriteFile(kept, b, 0o600)); err != nil {
			return acc, err
		}
	}
	out, err := runProgram(ctx, program, "probe", "--lima-home", dir.Path)
	if err == nil {
		err = json.Unmarshal(out, &acc)
	}
	return acc, err
}
