package core

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/docker/go-units"
	"github.com/fsnotify/fsnotify"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	app "rancherdesktop.io/rdd/internal/api/app/v1alpha1"
	containers "rancherdesktop.io/rdd/internal/api/containers/v1alpha1"
	lima "rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
	"rancherdesktop.io/rdd/internal/dockerconfig"
)

// AppState is the state of the App, including that of the service.
type AppState string

// The states of the App.
const (
	AppNotCreated AppState = "not-created"
	AppStopped    AppState = "stopped"
	AppStarting   AppState = "starting"
	AppRunning    AppState = "running" // with all its settings, and the engine answers
	AppRestarting AppState = "restarting"
	AppStopping   AppState = "stopping"
	AppDeleting   AppState = "deleting"
	AppBroken     AppState = "broken" // it can't reach the state it was asked for without help
)

// AppReport is what a person asks about the App. It is the output of `rdd status`, which docs/output.md describes.
type AppReport struct {
	Instance       string            `json:"instance"`
	State          AppState          `json:"state"`
	Message        string            `json:"message,omitempty"` // why it is broken, or what it is waiting for
	KnownProblem   string            `json:"knownProblem,omitempty"`
	Progress       *lima.Progress    `json:"progress,omitempty"`
	Service        ServiceReport     `json:"service"`
	VirtualMachine *VMReport         `json:"virtualMachine,omitempty"`
	Engine         *app.EngineStatus `json:"engine,omitempty"` // nil while it doesn't answer
	DockerContext  *DockerContext    `json:"dockerContext,omitempty"`
	Containers     *ContainersReport `json:"containers,omitempty"` // nil while the engine doesn't answer
	Ports          []lima.Port       `json:"ports,omitempty"`
	Disk           *DiskReport       `json:"disk,omitempty"`
	Problems       []string          `json:"problems,omitempty"`
}

// ServiceReport is the part of an AppReport about the service.
type ServiceReport struct {
	State   ServiceState `json:"state"`
	Version string       `json:"version,omitempty"`
	Step    string       `json:"step,omitempty"`
	Error   string       `json:"error,omitempty"`
	Warning string       `json:"warning,omitempty"`
	Log     string       `json:"log"`
}

// VMReport is the part of an AppReport about the virtual machine.
type VMReport struct {
	Name          string   `json:"name"`
	State         string   `json:"state"`
	CPUs          int      `json:"cpus,omitempty"`
	Memory        int64    `json:"memory,omitempty"` // bytes
	Acceleration  string   `json:"acceleration,omitempty"`
	RestartNeeded []string `json:"restartNeeded,omitempty"` // the settings that take effect at the next start
}

// ContainersReport is the part of an AppReport about the containers.
type ContainersReport struct {
	Total  int               `json:"total"`
	States map[string]int    `json:"states"` // how many are running, exited, …
	Items  []ContainerReport `json:"items"`  // those that run first
}

// ContainerReport is a container in an AppReport.
type ContainerReport struct {
	Name    string                     `json:"name"`
	ID      string                     `json:"id"`
	Image   string                     `json:"image"`
	State   string                     `json:"state"`
	Health  string                     `json:"health,omitempty"`
	Project string                     `json:"project,omitempty"` // of compose
	Ports   []containers.ContainerPort `json:"ports,omitempty"`

	Summary string `json:"-"` // the state in docker's words, such as "Up 2 hours"
}

// DiskReport is the part of an AppReport about the data disk, in bytes.
type DiskReport struct {
	lima.Disk
	Percent int    `json:"percent"`           // how full it is
	Warning string `json:"warning,omitempty"` // when it is nearly full
}

// DockerContext says whether the user's docker commands reach the App.
type DockerContext struct {
	Name     string `json:"name"`
	Exists   bool   `json:"exists"`
	Current  bool   `json:"current"`            // docker's current context is this one
	Used     bool   `json:"used"`               // docker commands in this environment reach the App
	Override string `json:"override,omitempty"` // why docker ignores its current context in this environment, and what to do
}

// AppReport returns the report of now. It starts nothing. An error means that a running service didn't answer.
func (c *Core) AppReport(ctx context.Context) (AppReport, error) {
	status, err := c.Service().Status(ctx)
	if err != nil {
		return AppReport{}, err
	}
	s := Snapshot{Service: status}
	if status.State != ServiceRunning {
		return c.Report(ctx, s, nil), nil
	}
	session, err := c.session()
	if err != nil {
		return AppReport{}, err
	}
	if s.App, err = session.App().Show(ctx); err != nil && KindOf(err) != NotFound {
		return AppReport{}, err
	}
	vm, err := session.VMs().Show(ctx, AppVM)
	switch {
	case err == nil:
		s.VMs = []VM{*vm}
	case KindOf(err) != NotFound:
		return AppReport{}, err
	}
	var list []*Container
	if EngineAnswers(s.App) {
		if list, _, err = session.Engine().Containers(ctx); err != nil {
			return AppReport{}, err
		}
	}
	return c.Report(ctx, s, list), nil
}

// EngineAnswers reports whether the container engine of the App answers.
func EngineAnswers(a *App) bool {
	return a != nil && meta.IsStatusConditionTrue(a.Status.Conditions, app.ConditionContainerEngineReady)
}

// Report returns the report of a snapshot and of the containers, which count only while the engine answers.
func (c *Core) Report(ctx context.Context, s Snapshot, list []*Container) AppReport {
	r := AppReport{Instance: c.inst.Name, Service: ServiceReport{
		State: s.Service.State, Version: s.Service.Version, Step: s.Service.Step, Error: s.Service.Error, Warning: s.Service.Warning, Log: s.Service.Log,
	}}
	r.State, r.Message = DescribeApp(s.Service, s.App)
	if a := s.App; a != nil {
		r.Progress, r.Engine, r.Ports, r.Problems, r.KnownProblem = a.Status.Progress, a.Status.Engine, a.Status.Ports, a.Status.Problems, a.Status.KnownProblem
		r.Disk = DiskReportOf(a)
		context := c.DockerContext()
		r.DockerContext = &context
		r.VirtualMachine = c.vmReport(ctx, s.VMs)
		if a.Spec.Running && s.Service.State == ServiceRunning {
			r.Problems = append(slices.Clone(r.Problems), c.missingControllers()...)
		}
	}
	if EngineAnswers(s.App) {
		r.Containers = containersReport(list, time.Now())
	}
	return r
}

// DescribeApp returns the state of the App and, if it is not running or stopped, why.
func DescribeApp(service ServiceStatus, a *App) (state AppState, message string) {
	switch service.State {
	case ServiceNotCreated:
		return AppNotCreated, ""
	case ServiceBroken:
		return AppBroken, "the service is broken: " + service.Error
	case ServiceStarting:
		return AppStarting, atStep("the service is starting", service.Step)
	case ServiceStopping:
		return AppStopping, atStep("the service is stopping", service.Step)
	case ServiceStopped:
		return AppStopped, ""
	}
	if a == nil {
		return AppNotCreated, ""
	}
	done, err := a.Settled(a.Generation)
	failure, _ := a.Failure()
	settled := meta.FindStatusCondition(a.Status.Conditions, app.ConditionSettled)
	switch {
	case !a.DeletionTimestamp.IsZero():
		state = AppDeleting
	case err != nil:
		return AppBroken, failure.Message
	case done && a.Spec.Running:
		return AppRunning, ""
	case done:
		return AppStopped, ""
	case failure != nil && failure.Reason == app.ReasonConnectFailed:
		return AppBroken, failure.Message
	case !a.Spec.Running && !changing(a, app.ConditionRunning):
		state = AppStopped // and its virtual machine is being created
	case !a.Spec.Running:
		state = AppStopping
	case settled != nil && settled.Reason == app.ReasonApplyingSettings:
		state = AppRestarting
	default:
		state = AppStarting
	}
	switch {
	case failure != nil:
		message = failure.Message
	case settled != nil && settled.Status != metav1.ConditionTrue:
		message = settled.Message
	}
	return state, message
}

// atStep adds the step to a sentence, which is not known at first.
func atStep(sentence, step string) string {
	if step == "" {
		return sentence
	}
	return sentence + ": " + step
}

// changing reports whether a condition is True or Unknown.
func changing(a *App, condition string) bool {
	c := meta.FindStatusCondition(a.Status.Conditions, condition)
	return c != nil && c.Status != metav1.ConditionFalse
}

// missingControllers describes the controllers that the App needs and this service doesn't run.
func (c *Core) missingControllers() (problems []string) {
	for _, controller := range []string{app.Controller, lima.Controller} {
		if !c.runs(controller) {
			problems = append(problems, fmt.Sprintf("This service runs without the controller %s, so nothing starts or stops the App; stop the service and run: rdd svc create --controllers '*'", controller))
		}
	}
	return problems
}

// vmReport returns the report of the App's VM; nil if it is not among the VMs.
func (c *Core) vmReport(ctx context.Context, vms []VM) *VMReport {
	i := slices.IndexFunc(vms, func(vm VM) bool { return vm.Name == AppVM })
	if i < 0 {
		return nil
	}
	session, err := c.session()
	if err != nil {
		return nil
	}
	details := session.VMs().Details(ctx, vms[i:i+1])[0]
	d := Describe(&details.VM)
	r := &VMReport{Name: AppVM, State: d.State, RestartNeeded: details.RestartNeeded}
	if d.Acceleration != "?" {
		r.Acceleration = d.Acceleration
	}
	if details.Resources != nil {
		r.CPUs, r.Memory = details.Resources.CPUs, details.Resources.Memory
	}
	return r
}

// DiskReportOf returns how full the data disk is: by the guest's file system while it runs, else by what is allocated for it.
// It is nil for an App without one.
func DiskReportOf(a *App) *DiskReport {
	d := a.Status.Disk
	if d == nil {
		return nil
	}
	r := &DiskReport{Disk: *d}
	switch {
	case d.Capacity > 0:
		r.Percent = d.Percent()
	case d.Maximum > 0:
		r.Percent = int(100 * d.Allocated / d.Maximum)
	}
	if r.Percent >= lima.NearlyFull {
		r.Warning = fmt.Sprintf("the data disk is %d %% full; remove what is not used with: %s system prune; or enlarge it with: rdd set virtualMachine.disk=%s", r.Percent, EngineClient(a.Spec.ContainerEngine.Name), larger(max(d.Maximum, d.Capacity)))
	}
	return r
}

// larger is the size of a disk that is half as large again, in full GiB.
func larger(size int64) string { return fmt.Sprintf("%dGi", (size+size/2)/units.GiB+1) }

func containersReport(list []*Container, now time.Time) *ContainersReport {
	r := &ContainersReport{Total: len(list), States: map[string]int{}, Items: make([]ContainerReport, 0, len(list))}
	for _, c := range list {
		s := &c.Status
		r.States[string(s.State)]++
		r.Items = append(r.Items, ContainerReport{
			Name: s.Name, ID: s.ID, Image: s.Image, State: string(s.State), Health: s.Health, Project: s.Project, Ports: s.Ports, Summary: s.Summary(now),
		})
	}
	slices.SortStableFunc(r.Items, func(a, b ContainerReport) int { return rank(a) - rank(b) })
	return r
}

// rank orders containers: first those that run.
func rank(c ContainerReport) int {
	switch containers.ContainerState(c.State) {
	case containers.ContainerRunning, containers.ContainerRestarting, containers.ContainerPaused:
		return 0
	}
	return 1
}

// DockerContext returns whether docker's current context is the instance's. It only reads files.
func (c *Core) DockerContext() DockerContext {
	files := dockerconfig.Of(c.inst)
	current, _, err := files.Current()
	d := DockerContext{Name: files.Context, Exists: files.Exists(), Override: dockerconfig.Override(c.inst)}
	d.Current = err == nil && d.Exists && current == d.Name
	host, name := c.inst.DockerEnvironment()
	d.Used = host == files.Host || d.Override == "" && d.Exists && (name == d.Name || name == "" && d.Current)
	return d
}

// dockerPoll is how often WatchDockerContext looks for docker's folder while there is none.
const dockerPoll = 10 * time.Second

// WatchDockerContext returns the DockerContext and that after each change, such as by `docker context use`, until ctx or the loop
// ends. It only reads files. It ends at once if this system can't watch files.
func (c *Core) WatchDockerContext(ctx context.Context) iter.Seq[DockerContext] {
	return func(yield func(DockerContext) bool) {
		files, err := fsnotify.NewWatcher()
		if err != nil {
			return
		}
		defer files.Close()
		var last *DockerContext
		for {
			var again <-chan time.Time
			if files.Add(c.inst.DockerConfigDir()) != nil { // each time, because the folder may be a new one
				again = time.After(dockerPoll)
			}
			if now := c.DockerContext(); last == nil || now != *last {
				if last = &now; !yield(now) {
					return
				}
			}
			select {
			case <-ctx.Done():
				return
			case <-files.Events:
			case <-files.Errors: //nolint:errcheck // events were lost
			case <-again:
			}
		}
	}
}

// UseDockerContext makes the instance's docker context docker's current one, as `docker context use` does. It makes the context
// if there is none.
func (c *Core) UseDockerContext(ctx context.Context) error {
	const op = "use the docker context"
	_, problem, err := dockerconfig.Of(c.inst).Ensure(ctx, app.DockerContextAlways)
	if err == nil && problem != "" {
		err = &Error{Kind: Rejected, Err: errors.New(problem)}
	}
	return Failed(op, "", err)
}

// PortStateText says why a port is not forwarded, and what to do.
func PortStateText(p *lima.Port) string {
	if p.Message != "" {
		return p.Message
	}
	switch p.State {
	case lima.PortBusy:
		return "busy: another program has it"
	case lima.PortNotPermitted:
		return "not permitted"
	}
	return string(p.State)
}
