package core

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"time"

	"rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
	"rancherdesktop.io/rdd/internal/diag"
	"rancherdesktop.io/rdd/internal/instance"
	"rancherdesktop.io/rdd/internal/machine/layout"
)

// Severity says how bad a finding is.
type Severity string

// The severities.
const (
	SeverityOK      Severity = "ok"
	SeverityWarning Severity = "warning" // it works, but less well than it could, or not for long
	SeverityProblem Severity = "problem" // something doesn't work
)

// Finding is what one check found. Scripts rely on its JSON.
type Finding struct {
	Check    string   `json:"check"`
	ID       string   `json:"id"` // of the known problem; the check's name when all is well
	Severity Severity `json:"severity"`
	What     string   `json:"what"`
	Meaning  string   `json:"meaning,omitempty"` // when not all is well
	Remedy   string   `json:"remedy,omitempty"`
}

// Report is what a diagnosis found.
type Report struct {
	Instance string    `json:"instance"`
	Version  string    `json:"version"`
	OS       string    `json:"os"`
	Arch     string    `json:"arch"`
	Findings []Finding `json:"findings"`
}

// Count is the number of findings of that severity.
func (r Report) Count(s Severity) (n int) {
	for _, f := range r.Findings {
		if f.Severity == s {
			n++
		}
	}
	return n
}

// Diagnose looks for what is, or soon will be, wrong with this computer and the instance. It changes
// nothing, starts no service and no VM, and needs none.
func (c *Core) Diagnose(ctx context.Context) (Report, error) {
	r := Report{Instance: c.inst.Name, Version: c.version, OS: runtime.GOOS, Arch: runtime.GOARCH}
	i := c.inspect(ctx)
	for _, check := range checks() {
		for _, f := range check.run(ctx, i) {
			f.Check = check.name
			if f.ID == "" {
				f.ID = check.name
			}
			r.Findings = append(r.Findings, f)
		}
		if ctx.Err() != nil {
			return r, failed("diagnose instance", c.inst.Name, context.Cause(ctx))
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
	core      *Core
	inst      instance.Instance
	status    ServiceStatus
	statusErr error
	files     []layout.VM // VMs that have files here
	objects   []VM        // VMs that the service knows; nil while it doesn't run
	vmsErr    error
}

func (c *Core) inspect(ctx context.Context) *inspection {
	i := &inspection{core: c, inst: c.inst}
	i.status, i.statusErr = c.Service().Status(ctx)
	i.files = c.filesOfVMs()
	if i.status.State != ServiceRunning || i.statusErr != nil {
		return i
	}
	i.objects, i.vmsErr = c.knownVMs(ctx)
	return i
}

// listTimeout bounds asking a service for its VMs.
const listTimeout = 10 * time.Second

func (c *Core) knownVMs(ctx context.Context) ([]VM, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, listTimeout, fmt.Errorf("the service gives no answer within %s", listTimeout))
	defer cancel()
	session, err := c.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return session.VMs().List(ctx)
}

// filesOfVMs finds the VMs that have files below the Lima home, whether anybody knows them or not.
func (c *Core) filesOfVMs() []layout.VM {
	names, _ := layout.Names(c.inst.LimaHome())
	entries, _ := os.ReadDir(c.inst.LimaHome())
	for _, e := range entries {
		if e.IsDir() && e.Name()[0] != '_' && e.Name()[0] != '.' {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	var vms []layout.VM
	for _, name := range slices.Compact(names) {
		vms = append(vms, c.layout(name))
	}
	return vms
}

// fine is a finding that all is well.
func fine(format string, a ...any) Finding {
	return Finding{Severity: SeverityOK, What: fmt.Sprintf(format, a...)}
}

// found is a finding of a known problem.
func found(s Severity, id diag.ID, format string, a ...any) Finding {
	p, _ := diag.Find(id)
	return Finding{ID: string(id), Severity: s, What: fmt.Sprintf(format, a...), Meaning: p.Meaning, Remedy: p.Remedy(runtime.GOOS)}
}

// told is a finding of the problem that a text tells of, or else of the given one.
func told(s Severity, otherwise diag.ID, text string) Finding {
	cause, p, ok := diag.Split(text)
	if !ok {
		p, ok = diag.Match(diag.Host, text)
	}
	if !ok {
		return found(s, otherwise, "%s", cause)
	}
	return found(s, p.ID, "%s", cause)
}

// judged is a finding of the problem that an error says it is or tells of, or else of the given one.
func judged(s Severity, otherwise diag.ID, err error) Finding {
	if p, ok := diag.Of(err); ok {
		return found(s, p.ID, "%v", err)
	}
	return told(s, otherwise, err.Error())
}

// Advice is what a known problem that err tells of means, and what to do; empty when nobody knows it
// or err says so itself. Errors that the API refused or the service explained are left alone.
func Advice(err error) string {
	if KindOf(err) != Other {
		return ""
	}
	if _, explained := diag.Of(err); explained {
		return ""
	}
	text := err.Error()
	if _, _, explained := diag.Split(text); explained {
		return ""
	}
	if _, explained := errors.AsType[*v1alpha1.FailedError](err); explained {
		return "" // the service has asked the table, and knows what is the guest's
	}
	p, ok := diag.Match(diag.Host, text)
	if !ok || p.Advises(text) {
		return ""
	}
	return p.Advice(runtime.GOOS)
}
