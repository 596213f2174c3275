package diagnose

import (
	"context"
	"errors"
	"os"

	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/internal/diag"
)

// repair fixes a problem without losing anything that the user may want.
type repair struct {
	label string
	do    func(context.Context, *core.Core, core.Wait) error
}

// repairs has the problems that can be fixed safely and automatically.
var repairs = map[diag.ID]repair{
	diag.ServiceCrashed:   {"Restart the service", restartService},
	diag.ServiceBroken:    {"Restart the service", restartService},
	diag.VersionMismatch:  {"Restart the service", restartService},
	diag.LeftoverProcess:  {"Clear leftovers", clearLeftovers},
	diag.DatastoreDamaged: {"Restore the newest backup", restoreNewest},
	diag.CredentialsOpen:  {"Close them to others", closeCredentials},
}

// RepairOf is the label of the repair for a finding; empty when there is no safe one.
func RepairOf(f Finding) string {
	if f.Severity == SeverityOK {
		return ""
	}
	return repairs[diag.ID(f.ID)].label
}

// Repair fixes the problem of that ID, as RepairOf says.
func Repair(ctx context.Context, c *core.Core, id string, w core.Wait) error {
	const op = "repair"
	r, ok := repairs[diag.ID(id)]
	if !ok {
		return &core.Error{Kind: core.Usage, Op: op, Object: id, Err: errors.New("there is no safe repair for this; see what to do about it")}
	}
	return r.do(ctx, c, w)
}

func restartService(ctx context.Context, c *core.Core, w core.Wait) error {
	return c.Service().Restart(ctx, false, w)
}

// clearLeftovers ends what a crashed service left running. A service that runs has done that itself.
func clearLeftovers(ctx context.Context, c *core.Core, w core.Wait) error {
	status, err := c.Service().Status(ctx)
	if err != nil || !stopped(status.State) {
		return err
	}
	_, err = c.Service().Stop(ctx, false, w)
	return err
}

// restoreNewest keeps what it replaces.
func restoreNewest(ctx context.Context, c *core.Core, w core.Wait) error {
	_, err := c.Service().Restore(ctx, "", w)
	return err
}

// closeCredentials takes the rights of others away.
func closeCredentials(ctx context.Context, c *core.Core, _ core.Wait) error {
	i := &inspection{core: c, inst: c.Instance()}
	var all error
	for _, path := range append(i.credentials(), c.Instance().DataDir(), c.Instance().ShortDir(), c.Instance().LogDir()) {
		info, err := os.Lstat(path)
		if err == nil && info.Mode()&os.ModeSymlink == 0 && info.Mode().Perm()&0o077 != 0 {
			all = errors.Join(all, os.Chmod(path, info.Mode().Perm()&0o700))
		}
	}
	return core.Failed("close files of instance", c.Instance().Name, errors.Join(all, context.Cause(ctx)))
}
