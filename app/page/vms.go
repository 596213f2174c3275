package page

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/docker/go-units"

	"rancherdesktop.io/rdd/app/operation"
	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/core/template"
)

func (a *API) vmStart(_ context.Context, params NameParams) (Ref, error) {
	return a.beginWork(func(e *operation.Engine) operation.Work { return e.StartVM(params.Name) })
}

func (a *API) vmStop(_ context.Context, params StopParams) (Ref, error) {
	return a.beginWork(func(e *operation.Engine) operation.Work {
		if params.Force {
			return e.ForceStopVM(params.Name)
		}
		return e.StopVM(params.Name)
	})
}

func (a *API) vmRestart(_ context.Context, params NameParams) (Ref, error) {
	return a.beginWork(func(e *operation.Engine) operation.Work { return e.RestartVM(params.Name) })
}

func (a *API) vmDelete(_ context.Context, params NameParams) (Ref, error) {
	return a.stoppingVM(operation.Delete, params.Name, core.LogHostagent, func(ctx context.Context, vms *core.VMs, w core.Wait) error {
		return vms.Delete(ctx, params.Name, w)
	})
}

func (a *API) vmReset(_ context.Context, params NameParams) (Ref, error) {
	return a.stoppingVM(operation.Reset, params.Name, core.LogSerial, func(ctx context.Context, vms *core.VMs, w core.Wait) error {
		return vms.Reset(ctx, params.Name, false, w)
	})
}

// vmCreate creates a VM. It starts the service first, if needed.
func (a *API) vmCreate(_ context.Context, params CreateParams) (Ref, error) {
	view := a.current()
	o := core.CreateOptions{Template: params.Template, Text: params.Text, Resources: params.Resources, Params: params.Params, Start: params.Start}
	w := view.engine.CreateVM(params.Name, o)
	a.mu.Lock()
	w.Fresh = view.vm(params.Name) == nil
	a.mu.Unlock()
	id, err := view.engine.Begin(w)
	return Ref{id}, err
}

// checkedName is the name of a VM that is checked and not made, where the user has given no good one.
const checkedName = "rdd-check"

// vmCheck says what vm.create would refuse. It changes and starts nothing; without a running service it checks less.
func (a *API) vmCheck(ctx context.Context, params CheckParams) ([]FieldProblem, error) {
	view := a.current()
	all := []FieldProblem{}
	name := params.Name
	if err := view.core.CheckVMName(name); err != nil {
		all = append(all, FieldProblem{"name", innermost(err)})
		name = checkedName
	}
	if params.Resources != nil {
		all = append(all, checkResources(*params.Resources, view.core.Host())...)
	}
	if params.Template == "" && params.Text == "" {
		return append(all, FieldProblem{"template", "choose a template"}), nil
	}
	if len(all) > 0 && all[0].Field != "name" {
		return all, nil
	}
	session, err := view.core.Connect(ctx)
	if err != nil {
		return all, nil //nolint:nilerr // the creation will check the rest
	}
	o := core.CreateOptions{Template: params.Template, Text: params.Text, Resources: params.Resources, Params: params.Params, DryRun: true}
	if err := session.VMs().Create(ctx, name, o, core.Wait{}); err != nil {
		all = append(all, fieldProblems(err)...)
	}
	return slices.DeleteFunc(all, func(f FieldProblem) bool { return f.Field == "name" && name == checkedName && f != all[0] }), nil
}

// checkResources says which of the resources this computer does not have.
func checkResources(r template.Resources, computer core.Host) (all []FieldProblem) {
	if r.CPUs < 1 || r.CPUs > computer.CPUs {
		all = append(all, FieldProblem{"cpus", fmt.Sprintf("must be between 1 and %d, the number of processors of this computer; got %d", computer.CPUs, r.CPUs)})
	}
	for _, size := range []struct {
		field      string
		value, has int64
	}{{"memory", r.Memory, computer.Memory}, {"disk", r.Disk, computer.Disk}} {
		if size.value < 1 || size.has > 0 && size.value > size.has {
			all = append(all, FieldProblem{size.field, fmt.Sprintf("must be at most %s, which is what this computer has; got %s", units.BytesSize(float64(size.has)), units.BytesSize(float64(size.value)))})
		}
	}
	return all
}

// fieldProblems returns the problems of the form's fields that an error is about.
func fieldProblems(err error) (all []FieldProblem) {
	for _, f := range core.FieldErrors(err) {
		p := FieldProblem{formField(f.Field), f.Message}
		if p.Field == "template" {
			p.Message = inTemplate(f)
		}
		all = append(all, p)
	}
	if len(all) == 0 {
		all = append(all, FieldProblem{"template", innermost(err)})
	}
	return all
}

// inTemplate returns the message about a template, after the field of the template.
func inTemplate(f core.FieldError) string {
	if field := limaField(f.Field); field != "" {
		return field + ": " + f.Message
	}
	return f.Message
}

// limaField returns the field of the template that a field of the object stands for, or nothing.
func limaField(field string) string {
	for _, prefix := range []string{"spec.templateRef.", "spec.template.", "spec.params.", "data.template."} {
		if limas, ok := strings.CutPrefix(field, prefix); ok && field != "spec.templateRef.name" {
			return limas
		}
	}
	return ""
}

// formField returns the field of the form for a field of the object.
func formField(field string) string {
	if field == "metadata.name" {
		return "name"
	}
	limas := limaField(field)
	top, rest, _ := strings.Cut(limas, ".")
	switch top {
	case "cpus", "memory", "disk":
		return top
	case "param":
		return strings.TrimSuffix("params."+rest, ".")
	}
	if limas == "" && strings.HasPrefix(field, "spec.params") {
		return "params"
	}
	return "template"
}

// innermost returns the cause of an error, without the operation that failed.
func innermost(err error) string {
	for e, ok := errors.AsType[*core.Error](err); ok; e, ok = errors.AsType[*core.Error](err) {
		err = e.Err
	}
	return err.Error()
}

// vms connects to the running service.
func (a *API) vms(ctx context.Context) (*core.VMs, error) {
	session, err := a.current().core.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return session.VMs(), nil
}

func (a *API) templates(ctx context.Context, _ nothing) ([]template.Info, error) {
	return append([]template.Info{}, a.current().core.Templates(ctx)...), nil
}

func (a *API) templateRead(ctx context.Context, params LocatorParams) (Text, error) {
	text, err := a.current().core.TemplateText(ctx, params.Locator)
	return Text{text}, err
}

func (a *API) templateParams(ctx context.Context, params SourceParams) ([]template.Param, error) {
	text := params.Text
	if text == "" {
		var err error
		if text, err = a.current().core.TemplateText(ctx, params.Locator); err != nil {
			return nil, err
		}
	}
	return template.Params(text)
}

func (a *API) vmTemplate(ctx context.Context, params NameParams) (VersionedText, error) {
	vms, err := a.vms(ctx)
	if err != nil {
		return VersionedText{}, err
	}
	template, err := vms.Template(ctx, params.Name)
	return VersionedText{template.Text, template.Version()}, err
}

// vmCheckTemplate says what vm.setTemplate would refuse. Without a running service it checks nothing.
func (a *API) vmCheckTemplate(ctx context.Context, params TextParams) ([]FieldProblem, error) {
	all := []FieldProblem{}
	vms, err := a.vms(ctx)
	if err != nil {
		return all, nil //nolint:nilerr // vm.setTemplate will say so
	}
	for _, f := range core.FieldErrors(vms.CheckTemplate(ctx, params.Name, params.Text)) {
		all = append(all, FieldProblem{"template", inTemplate(f)})
	}
	return all, nil
}

func (a *API) vmSetTemplate(_ context.Context, params SetTemplateParams) (Ref, error) {
	return a.onVM(operation.Change, params.Name, func(ctx context.Context, vms *core.VMs, w core.Wait) error {
		was, err := vms.Template(ctx, params.Name)
		if err != nil {
			return err
		}
		if was.Version() != params.Version {
			return &core.Error{Kind: core.Rejected, Op: "edit the template of VM", Object: params.Name,
				Err: errors.New("somebody else has changed it in the meantime: reload it and make your change again")}
		}
		return vms.SetTemplate(ctx, params.Name, was, params.Text, w)
	})
}

func (a *API) vmResources(ctx context.Context, params NameParams) (core.VMResources, error) {
	vms, err := a.vms(ctx)
	if err != nil {
		return core.VMResources{}, err
	}
	return vms.Resources(ctx, params.Name)
}

func (a *API) vmSetResources(_ context.Context, params SetResourcesParams) (Ref, error) {
	for _, f := range checkResources(params.Resources, a.current().core.Host()) {
		return Ref{}, badField("resources."+f.Field, "%s: %s", f.Field, f.Message)
	}
	return a.onVM(operation.Change, params.Name, func(ctx context.Context, vms *core.VMs, w core.Wait) error {
		return vms.SetResources(ctx, params.Name, params.Resources, w)
	})
}

func (a *API) vmParams(ctx context.Context, params NameParams) ([]template.Param, error) {
	vms, err := a.vms(ctx)
	if err != nil {
		return nil, err
	}
	return vms.Params(ctx, params.Name)
}

// vmCheckParams says which values vm.setParams would refuse: it checks a new VM of the same template, which is not made.
func (a *API) vmCheckParams(ctx context.Context, params SetParamsParams) ([]FieldProblem, error) {
	vms, err := a.vms(ctx)
	if err != nil {
		return nil, err
	}
	own, err := vms.Template(ctx, params.Name)
	if err != nil {
		return nil, err
	}
	known, err := vms.Params(ctx, params.Name)
	if err != nil {
		return nil, err
	}
	values := map[string]string{}
	for _, p := range known {
		if p.Set && !slices.Contains(params.Remove, p.Name) {
			values[p.Name] = p.Value
		}
	}
	maps.Copy(values, params.Set)
	err = vms.Create(ctx, checkedName, core.CreateOptions{Text: own.Text, Params: values, DryRun: true}, core.Wait{})
	if len(core.FieldErrors(err)) == 0 {
		return []FieldProblem{}, err
	}
	return fieldProblems(err), nil
}

func (a *API) vmSetParams(_ context.Context, params SetParamsParams) (Ref, error) {
	return a.onVM(operation.Change, params.Name, func(ctx context.Context, vms *core.VMs, w core.Wait) error {
		return vms.SetParams(ctx, params.Name, params.Set, params.Remove, w)
	})
}
