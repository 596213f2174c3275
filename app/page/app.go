package page

import (
	"context"
	"encoding/json"
	"reflect"
	"slices"
	"strings"

	"rancherdesktop.io/rdd/app/operation"
	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/core/diagnose"
	"rancherdesktop.io/rdd/core/template"
)

// App is the container engine with its virtual machine.
type App struct {
	State    core.AppState       `json:"state"`
	Running  bool                `json:"running"`           // the desired state
	Message  string              `json:"message,omitempty"` // why it is broken, or what it is waiting for
	Advice   string              `json:"advice,omitempty"`  // what a known problem means, and how to fix it
	Progress *operation.Progress `json:"progress,omitempty"`
	Problems []string            `json:"problems"` // what doesn't work while it runs
	VM       string              `json:"vm"`
	Engine   AppEngine           `json:"engine"`
	Disk     *AppDisk            `json:"disk,omitempty"`
	Ports    []core.Port         `json:"ports"`
	Counts   AppCounts           `json:"counts"`
	Settings AppValues           `json:"settings"` // of the next start
}

// AppEngine is the engine of the App, and how docker finds it.
type AppEngine struct {
	Name           core.EngineName `json:"name"`
	Version        string          `json:"version,omitempty"` // while it answers
	Socket         string          `json:"socket,omitempty"`  // while it answers
	ContextName    string          `json:"contextName"`
	ContextExists  bool            `json:"contextExists"`
	ContextCurrent bool            `json:"contextCurrent"` // docker uses it
}

func (e *AppEngine) setContext(docker core.DockerContext) {
	e.ContextName, e.ContextExists, e.ContextCurrent = docker.Name, docker.Exists, docker.Current
}

// AppDisk is the data disk, in bytes. What is not known is absent.
type AppDisk struct {
	Used      int64  `json:"used,omitempty"`      // of the guest's file system
	Capacity  int64  `json:"capacity,omitempty"`  // of the guest's file system
	Allocated int64  `json:"allocated,omitempty"` // on this computer
	Maximum   int64  `json:"maximum,omitempty"`   // that it may take on this computer
	Percent   int    `json:"percent"`             // how full it is
	Warning   string `json:"warning,omitempty"`   // when it is almost full
}

// AppCounts counts containers.
type AppCounts struct {
	Running int `json:"running"`
	Total   int `json:"total"`
}

// AppMount is a folder of this computer that containers can use.
type AppMount struct {
	Path     string `json:"path"`
	Writable bool   `json:"writable"`
}

// AppValues are the settings of the App. Sizes are in bytes.
type AppValues struct {
	Engine        core.EngineName        `json:"engine"`
	CPUs          int                    `json:"cpus"`
	Memory        int64                  `json:"memory"`
	Disk          int64                  `json:"disk"`
	DockerContext core.DockerContextMode `json:"dockerContext"`
	Mounts        []AppMount             `json:"mounts"`
	BindAddresses []string               `json:"bindAddresses"`
}

// AppForm is what a form of the App's settings needs.
type AppForm struct {
	Values   AppValues          `json:"values"`
	Defaults AppValues          `json:"defaults"`
	Own      []string           `json:"own"` // the fields of AppValues that the user has set
	Least    template.Resources `json:"least"`
	Most     template.Resources `json:"most"`
}

// AppChange is a change of the App's settings. What is absent stays as it is; null is the default.
type AppChange struct {
	Engine        Setting[core.EngineName]        `json:"engine,omitempty"`
	CPUs          Setting[int]                    `json:"cpus,omitempty"`
	Memory        Setting[int64]                  `json:"memory,omitempty"`
	Disk          Setting[int64]                  `json:"disk,omitempty"`
	DockerContext Setting[core.DockerContextMode] `json:"dockerContext,omitempty"`
	Mounts        Setting[[]AppMount]             `json:"mounts,omitempty"`
	BindAddresses Setting[[]string]               `json:"bindAddresses,omitempty"`
	Start         bool                            `json:"start,omitempty"` // start the App with them
}

// Setting is a new value of a setting, or its default.
type Setting[T any] struct {
	given bool
	value *T // nil: the default
}

// UnmarshalJSON reads a value; null is the default.
func (s *Setting[T]) UnmarshalJSON(b []byte) error {
	s.given = true
	return json.Unmarshal(b, &s.value)
}

// Nullable returns T.
func (Setting[T]) Nullable() reflect.Type { return reflect.TypeFor[T]() }

// into puts the value into a merge patch, if it is given.
func (s Setting[T]) into(patch map[string]any, key string, write func(T) any) {
	switch {
	case !s.given:
	case s.value == nil:
		patch[key] = nil
	default:
		patch[key] = write(*s.value)
	}
}

// over replaces a value, if another one is given.
func (s Setting[T]) over(value *T) {
	if s.value != nil {
		*value = *s.value
	}
}

// spec returns the change as a merge patch of the App's spec.
func (c AppChange) spec() map[string]any {
	engine, vm, ports := map[string]any{}, map[string]any{}, map[string]any{}
	c.Engine.into(engine, "name", func(name core.EngineName) any { return name })
	c.DockerContext.into(engine, "dockerContext", func(mode core.DockerContextMode) any { return mode })
	c.CPUs.into(vm, "cpus", func(n int) any { return n })
	size := func(bytes int64) any { return core.Quantity(bytes) }
	c.Memory.into(vm, "memory", size)
	c.Disk.into(vm, "disk", size)
	c.Mounts.into(vm, "mounts", func(all []AppMount) any { return all })
	c.BindAddresses.into(ports, "bindAddresses", func(all []string) any { return all })
	spec := map[string]any{}
	for group, changed := range map[string]map[string]any{"containerEngine": engine, "virtualMachine": vm, "ports": ports} {
		if len(changed) > 0 {
			spec[group] = changed
		}
	}
	return spec
}

// appFields are the fields of AppValues by those of the App's spec.
var appFields = map[string]string{
	"containerEngine.name": "engine", "containerEngine.dockerContext": "dockerContext", "virtualMachine.cpus": "cpus", "virtualMachine.memory": "memory",
	"virtualMachine.disk": "disk", "virtualMachine.mounts": "mounts", "ports.bindAddresses": "bindAddresses",
}

// describeApp returns the App as the page shows it; nil if there is none.
func (view *instanceView) describeApp(s core.Snapshot) *App {
	state, message := core.DescribeApp(s.Service, s.App)
	if state == core.AppNotCreated {
		return nil
	}
	v := &App{
		State: state, VM: core.AppVM, Problems: []string{}, Ports: []core.Port{},
	}
	v.Engine.setContext(view.core.DockerContext())
	v.Message, v.Advice = diagnose.Explain(message)
	v.Settings, _ = appValues(s.App, view.core.AppDefaults())
	v.Engine.Name = v.Settings.Engine
	if a := s.App; a != nil {
		v.Running, v.Progress = a.Spec.Running, progressOf(a.Status.Progress)
		v.Problems, v.Ports = append(v.Problems, a.Status.Problems...), append(v.Ports, a.Status.Ports...)
		if e := a.Status.Engine; e != nil {
			v.Engine.Name, v.Engine.Version, v.Engine.Socket = e.Name, e.Version, e.Socket
		}
		if d := core.DiskReportOf(a); d != nil {
			v.Disk = &AppDisk{d.Used, d.Capacity, d.Allocated, d.Maximum, d.Percent, d.Warning}
		}
	}
	return v
}

// counts counts the containers.
func (view *instanceView) counts() (n AppCounts) {
	n.Total = len(view.objects.objects.Containers)
	for _, c := range view.objects.objects.Containers {
		if c.Status.State == core.ContainerRunning {
			n.Running++
		}
	}
	return n
}

// appValues returns the settings of an App, which may be nil, and those that it would have without any of the user's.
func appValues(a *core.App, size core.AppSize) (values, defaults AppValues) {
	defaults = AppValues{
		Engine: core.Moby, CPUs: int(size.CPUs), Memory: size.Memory.Value(), Disk: size.Disk.Value(), DockerContext: core.DockerContextAuto,
		Mounts: mountsOf(size.Mounts), BindAddresses: []string{},
	}
	if values = defaults; a == nil {
		return values, defaults
	}
	if a.Spec.ContainerEngine.Name != "" {
		values.Engine = a.Spec.ContainerEngine.Name
	}
	if a.Spec.ContainerEngine.DockerContext != "" {
		values.DockerContext = a.Spec.ContainerEngine.DockerContext
	}
	vm := a.Spec.VirtualMachine
	if vm.CPUs != 0 {
		values.CPUs = int(vm.CPUs)
	}
	if vm.Memory != nil {
		values.Memory = vm.Memory.Value()
	}
	if vm.Disk != nil {
		values.Disk = vm.Disk.Value()
	}
	if vm.Mounts != nil {
		values.Mounts = mountsOf(vm.Mounts)
	}
	values.BindAddresses = append([]string{}, a.Spec.Ports.BindAddresses...)
	return values, defaults
}

func mountsOf(mounts []core.AppMount) []AppMount {
	all := make([]AppMount, 0, len(mounts))
	for _, m := range mounts {
		all = append(all, AppMount{m.Path, m.Writable})
	}
	return all
}

// own names the settings that the user has set.
func (v AppValues) own(defaults AppValues) []string {
	all := []string{}
	for name, set := range map[string]bool{
		"engine": v.Engine != defaults.Engine, "cpus": v.CPUs != defaults.CPUs, "memory": v.Memory != defaults.Memory, "disk": v.Disk != defaults.Disk,
		"dockerContext": v.DockerContext != defaults.DockerContext, "mounts": !slices.Equal(v.Mounts, defaults.Mounts),
		"bindAddresses": len(v.BindAddresses) > 0,
	} {
		if set {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return all
}

// The least sizes of the App's virtual machine.
const (
	leastAppMemory = 1 << 30
	leastAppDisk   = 4 << 30
)

// appSettings returns the settings as a form needs them. Without an App, they are those of a new one.
func (a *API) appSettings(context.Context, nothing) (AppForm, error) {
	a.mu.Lock()
	view := a.shown
	var app *core.App
	if view.snapshot != nil {
		app = view.snapshot.App
	}
	host := view.computer
	a.mu.Unlock()
	f := AppForm{Least: template.Resources{CPUs: 1, Memory: leastAppMemory, Disk: leastAppDisk}}
	f.Values, f.Defaults = appValues(app, view.core.AppDefaults())
	f.Own = f.Values.own(f.Defaults)
	if app != nil {
		f.Least.Disk = f.Values.Disk // it can only grow
	}
	f.Most = template.Resources{CPUs: max(host.CPUs, f.Values.CPUs), Memory: max(host.Memory, f.Values.Memory), Disk: max(host.Disk, f.Values.Disk)}
	return f, nil
}

// appCheck returns the problems for which app.set would refuse the change. It changes and starts nothing. Without a running
// service it only compares the size with this computer.
func (a *API) appCheck(ctx context.Context, change AppChange) ([]FieldProblem, error) {
	view := a.current()
	all := []FieldProblem{}
	session, err := view.core.Connect(ctx)
	if err != nil { // app.set will check the rest
		size, host := template.Resources{CPUs: 1, Memory: 1, Disk: 1}, view.core.Host()
		change.CPUs.over(&size.CPUs)
		change.Memory.over(&size.Memory)
		return append(all, checkResources(size, host)...), nil //nolint:nilerr // as said
	}
	err = session.App().Set(ctx, change.spec(), true, core.Wait{})
	found := core.FieldErrors(err)
	for _, f := range found {
		all = append(all, FieldProblem{appField(f.Field), f.Message})
	}
	if len(found) > 0 {
		err = nil
	}
	return all, err
}

// appField returns the field of the form for a field of the App.
func appField(field string) string {
	field = strings.TrimPrefix(field, "spec.")
	for path, name := range appFields {
		if rest, ok := strings.CutPrefix(field, path); ok {
			return name + rest
		}
	}
	return field
}

// appUseContext makes docker use the App.
func (a *API) appUseContext(ctx context.Context, _ nothing) (nothing, error) {
	view := a.current()
	if err := view.core.UseDockerContext(ctx); err != nil {
		return nothing{}, err
	}
	a.showContext(view, view.core.DockerContext())
	return nothing{}, nil
}

// watchContext follows docker's context.
func (a *API) watchContext(ctx context.Context, view *instanceView) {
	for docker := range view.core.WatchDockerContext(ctx) {
		a.showContext(view, docker)
	}
}

func (a *API) showContext(view *instanceView, docker core.DockerContext) {
	changed := false
	a.mu.Lock()
	if view.app != nil {
		app := *view.app
		app.Engine.setContext(docker)
		changed = app.Engine != view.app.Engine
		view.app = &app
	}
	a.mu.Unlock()
	if changed {
		a.events.changed()
	}
}

func startApp(e *operation.Engine, _ nothing) operation.Work { return e.StartApp() }

func stopApp(e *operation.Engine, params ForceParams) operation.Work {
	if params.Force {
		return e.ForceStopApp()
	}
	return e.StopApp()
}

func restartApp(e *operation.Engine, params ForceParams) operation.Work {
	return e.RestartApp(params.Force)
}

func resetApp(e *operation.Engine, params ForceParams) operation.Work {
	return e.ResetApp(params.Force)
}

func deleteApp(e *operation.Engine, params ForceParams) operation.Work {
	return e.DeleteApp(params.Force)
}

func setApp(e *operation.Engine, change AppChange) operation.Work {
	return e.ChangeApp(change.spec(), change.Start)
}
