// Package diagnose looks for known problems of this computer and of an instance, repairs those that it can repair
// without data loss, and collects a bundle for a bug report. The clients call it, and it uses core.
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

// Run looks for problems of this computer and of the instance, including problems that are about to happen. It changes
// nothing, starts no service and no VM, and works without a service.
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

// check examines one thing. Its name is stable.
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
		{"docker", checkDocker},
		{"datastore", checkDatastore},
		{"leftovers", checkLeftovers},
		{"service", checkService},
		{"vms", checkVMs},
	}
}

// inspection has the data that the checks share.
type inspection struct {
	core      *core.Core
	inst      instance.Instance
	status    core.ServiceStatus
	statusErr error
	files     []layout.VM // VMs that have files on this computer
	objects   []core.VM   // VMs that the service knows; nil while it doesn't run
	vmsErr    error
}

func inspect(ctx context.Context, c *core.Core) *inspection {
	i := &inspection{core: c, inst: c.Instance()}
	i.status, i.statusErr = c.Service().Status(ctx)
	i.files = layout.Found(c.Instance())
	if i.status.State == core.ServiceRunning && i.statusErr == nil {
		i.objects, i.vmsErr = listVMs(ctx, c)
	}
	return i
}

// listTimeout limits the request for the VMs of the service.
const listTimeout = 10 * time.Second

func listVMs(ctx context.Context, c *core.Core) ([]core.VM, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, listTimeout, fmt.Errorf("the service did not respond within %s", listTimeout))
	defer cancel()
	session, err := c.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return session.VMs().List(ctx)
}
