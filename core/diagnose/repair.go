package diagnose

import (
	"context"
	"errors"

	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/internal/diag"
)

// repair fixes a problem without the loss of anything that the user may need.
type repair struct {
	label string
	do    func(context.Context, *core.Core, core.Wait) error
}

// repairs has the problems that can be repaired safely and automatically.
var repairs = map[diag.ID]repair{
	diag.ServiceCrashed:   {"Restart the service", restartService},
	diag.ServiceBroken:    {"Restart the service", restartService},
	diag.VersionMismatch:  {"Restart the service", restartService},
	diag.LeftoverProcess:  {"Clear leftovers", clearLeftovers},
	diag.DatastoreDamaged: {"Restore the newest backup", restoreNewest},
	diag.CredentialsOpen:  {"Make them private", closeCredentials},
}

// RepairOf returns the label of the repair for a finding. It is empty when there is no safe one.
func RepairOf(f Finding) string {
	if f.Severity == SeverityOK {
		return ""
	}
	return repairs[diag.ID(f.ID)].label
}

// Repair repairs the problem with the ID. RepairOf says how.
func Repair(ctx context.Context, c *core.Core, id string, w core.Wait) error {
	r, ok := repairs[diag.ID(id)]
	if !ok {
		return &core.Error{Kind: core.Usage, Op: "repair", Object: id, Err: errors.New("there is no automatic repair for this problem; follow its remedy")}
	}
	return r.do(ctx, c, w)
}

func restartService(ctx context.Context, c *core.Core, w core.Wait) error {
	return c.Service().Restart(ctx, false, w)
}

// clearLeftovers stops the VMs that a crashed service left running. A running service has adopted them.
func clearLeftovers(ctx context.Context, c *core.Core, w core.Wait) error {
	status, err := c.Service().Status(ctx)
	if err != nil || !stopped(status.State) {
		return err
	}
	_, err = c.Service().Stop(ctx, false, w)
	return err
}

// restoreNewest restores the newest backup. The replaced datastore is kept.
func restoreNewest(ctx context.Context, c *core.Core, w core.Wait) error {
	_, err := c.Service().Restore(ctx, "", w)
	return err
}
