// Package diagnose looks for known problems of this computer and of an instance, repairs those that can be
// repaired without loss, and collects a bundle for a report. The clients call it; it is a client of core.
package diagnose

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/internal/instance"
	"rancherdesktop.io/rdd/internal/machine/layout"
)

// Run looks for what is, or soon will be, wrong with this computer and the instance. It changes
// nothing, starts no service and no VM, and needs none.
func Run(ctx context.Context, c *core.Core) (Report, error) {
	r := Report{Instance: c.Instance().Name, Version: c.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	i := inspect(ctx, c)
	for _, check := range checks() {
		for _, f := range check.run(ctx, i) {
			f.Check = check.name
			if f.ID == "" {
				f.ID = check.name
			}
			r.Findings = append(r.Findings, f)
		}
		if ctx.Err() != nil {
			return r, core.Failed("diagnose instance", c.Instance().Name, context.Cause(ctx))
		}
	}
	return r, nil
}

// check is one thing to look at. Its name is stable.
type check struct {
	name string
	run  func(context.Context, *inspection) []Finding
}

func checks() []check {
	return []check{
		{"acceleration", checkAcceleration},
		{"programs", checkPrograms},
		{"installation", checkInstallation},
		{"disk", checkDisk},
		{"memory", checkMemory},
		{"clock", checkClock},
		{"sockets", checkSockets},
		{"ports", checkPorts},
		{"credentials", checkCredentials},
		{"home", checkHome},
		{"settings", checkSettings},
		{"datastore", checkDatastore},
		{"leftovers", checkLeftovers},
		{"service", checkService},
		{"vms", checkVMs},
	}
}

// inspection is what the checks share.
type inspection struct {
	core      *core.Core
	inst      instance.Instance
	status    core.ServiceStatus
	statusErr error
	files     []layout.VM // VMs that have files here
	objects   []core.VM   // VMs that the service knows; nil while it doesn't run
	vmsErr    error
}

func inspect(ctx context.Context, c *core.Core) *inspection {
	i := &inspection{core: c, inst: c.Instance()}
	i.status, i.statusErr = c.Service().Status(ctx)
	i.files = layout.Found(c.Instance())
	if i.status.State != core.ServiceRunning || i.statusErr != nil {
		return i
	}
	i.objects, i.vmsErr = knownVMs(ctx, c)
	return i
}

// listTimeout bounds asking a service for its VMs.
const listTimeout = 10 * time.Second

func knownVMs(ctx context.Context, c *core.Core) ([]core.VM, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, listTimeout, fmt.Errorf("the service gives no answer within %s", listTimeout))
	defer cancel()
	session, err := c.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return session.VMs().List(ctx)
}
