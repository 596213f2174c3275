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

func startVM(e *operation.Engine, params NameParams) operation.Work { return e.StartVM(params.Name) }

func stopVM(e *operation.Engine, params StopParams) operation.Work {
	if params.Force {
		return e.ForceStopVM(params.Name)
	}
	return e.StopVM(params.Name)
}

func restartVM(e *operation.Engine, params NameParams) operation.Work {
	return e.RestartVM(params.Name)
}

func deleteVM(e *operation.Engine, params NameParams) operation.Work {
	return e.OnVM(operation.Delete, params.Name, func(ctx context.Context, vms *core.VMs, w core.Wait) error {
		return vms.Delete(ctx, params.Name, w)
	})
}

func resetVM(e *operation.Engine, params NameParams) operation.Work {
	return e.OnVM(operation.Reset, params.Name, func(ctx context.Context, vms *core.VMs, w core.Wait) error {
		return vms.Reset(ctx, params.Name, false, w)
	})
}

// changing returns work that changes a VM's specification. It stops no guest.
func changing(e *operation.Engine, name string, run func(context.Context, *core.VMs, core.Wait) error) operation.Work {
	return e.OnVM(operation.Change, name, run)
}

// options returns the parameters for the core.
func (p CheckParams) options() core.CreateOptions {
	return core.CreateOptions{Template: p.Template, Text: p.Text, Resources: p.Resources, Params: p.Params}
}

// vmCreate creates a VM. It starts the service first, if needed.
func (a *API) vmCreate(_ context.Context, params CreateParams) (Ref, error) {
	view := a.current()
	o := params.options()
	o.Start = params.Start
	w := view.engine.CreateVM(params.Name, o)
	a.mu.Lock()
	w.Fresh = !slices.ContainsFunc(view.vms, func(vm VM) bool { return vm.Name == params.Name })
	a.mu.Unlock()
	return begun(view.engine.Begin(w))
}

// checkedName is the name for a check of a VM that has no valid name yet.
const checkedName = "rdd-check"

// vmCheck returns the problems for which vm.create would refuse the VM. It changes and starts nothing. Without a
// running service it checks less.
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
		return append(all, FieldProblem{"template", "Choose a template."}), nil
	}
	if len(all) > 0 && all[0].Field != "name" {
		return all, nil
	}
	session, err := view.core.Connect(ctx)
	if err != nil {
		return all, nil //nolint:nilerr // the creation will check the rest
	}
	o := params.options()
	o.DryRun = true
	if err := session.VMs().Create(ctx, name, o, core.Wait{}); err != nil {
		all = append(all, fieldProblems(err)...)
	}
	return slices.DeleteFunc(all, func(f FieldProblem) bool { return f.Field == "name" && name == checkedName && f != all[0] }), nil
}

// checkResources returns the problems of resources that this computer does not have.
func checkResources(r template.Resources, computer core.Host) (all []FieldProblem) {
	if r.CPUs < 1 || r.CPUs > computer.CPUs {
		all = append(all, FieldProblem{"cpus", fmt.Sprintf("must be between 1 and %d, the number of processors of this computer; got %d", computer.CPUs, r.CPUs)})
	}
	for _, size := range []struct {
		field      string
		value, has int64
	}{{"memory", r.Memory, computer.Memory}, {"disk", r.Disk, computer.Disk}} {
		if size.value < 1 || size.has > 0 && size.value > size.has {
			all = append(all, FieldProblem{size.field, fmt.Sprintf("must be more than 0 and at most %s, which is what this computer has; got %s", units.BytesSize(float64(size.has)), units.BytesSize(float64(size.value)))})
		}
	}
	return all
}

// fieldProblems returns an error as problems of the form's fields.
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

// inTemplate returns the message of an error in a template. It begins with the field of the template.
func inTemplate(f core.FieldError) string {
	if field := limaField(f.Field); field != "" {
		return field + ": " + f.Message
	}
	return f.Message
}

// limaField returns the field of the template for a field of the object, or nothing.
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

// innermost returns the text of the cause of an error.
func innermost(err error) string {
	for e, ok := errors.AsType[*core.Error](err); ok; e, ok = errors.AsType[*core.Error](err) {
		err = e.Err
	}
	return err.Error()
}

func (a *API) templates(ctx context.Context, _ nothing) ([]template.Template, error) {
	return append([]template.Template{}, a.current().core.Templates(ctx)...), nil
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
	return template.Params(text, nil)
}

func vmTemplate(ctx context.Context, vms *core.VMs, params NameParams) (VersionedText, error) {
	template, err := vms.Template(ctx, params.Name)
	return VersionedText{template.Text, template.Version()}, err
}

// vmCheckTemplate returns the problems for which vm.setTemplate would refuse the text. Without a running service it
// checks nothing.
func (a *API) vmCheckTemplate(ctx context.Context, params TextParams) ([]FieldProblem, error) {
	all := []FieldProblem{}
	session, err := a.current().core.Connect(ctx)
	if err != nil {
		return all, nil //nolint:nilerr // vm.setTemplate will say so
	}
	for _, f := range core.FieldErrors(session.VMs().CheckTemplate(ctx, params.Name, params.Text)) {
		all = append(all, FieldProblem{"template", inTemplate(f)})
	}
	return all, nil
}

func setTemplate(e *operation.Engine, params SetTemplateParams) operation.Work {
	return changing(e, params.Name, func(ctx context.Context, vms *core.VMs, w core.Wait) error {
		was, err := vms.Template(ctx, params.Name)
		if err != nil {
			return err
		}
		if was.Version() != params.Version {
			return &core.Error{Kind: core.Rejected, Op: "edit the template of VM", Object: params.Name,
				Err: errors.New("it was changed in the meantime: reload it and make your change again")}
		}
		return vms.SetTemplate(ctx, params.Name, was, params.Text, w)
	})
}

func vmResources(ctx context.Context, vms *core.VMs, params NameParams) (core.VMResources, error) {
	return vms.Resources(ctx, params.Name)
}

func (a *API) vmSetResources(_ context.Context, params SetResourcesParams) (Ref, error) {
	view := a.current()
	for _, f := range checkResources(params.Resources, view.core.Host()) {
		return Ref{}, badField("resources."+f.Field, "%s: %s", f.Field, f.Message)
	}
	return begun(view.engine.Begin(changing(view.engine, params.Name, func(ctx context.Context, vms *core.VMs, w core.Wait) error {
		return vms.SetResources(ctx, params.Name, params.Resources, w)
	})))
}

func vmParams(ctx context.Context, vms *core.VMs, params NameParams) ([]template.Param, error) {
	return vms.Params(ctx, params.Name)
}

// checkParams returns the problems for which vm.setParams would refuse the values. It asks for a dry run of the creation
// of a VM with the same template.
func checkParams(ctx context.Context, vms *core.VMs, params SetParamsParams) ([]FieldProblem, error) {
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

func setParams(e *operation.Engine, params SetParamsParams) operation.Work {
	return changing(e, params.Name, func(ctx context.Context, vms *core.VMs, w core.Wait) error {
		return vms.SetParams(ctx, params.Name, params.Set, params.Remove, w)
	})
}
