// Package page is the API of the desktop's page: a table of typed methods, and events that push the whole state after
// each change. The window and the browser mode both serve it, so it knows neither of them. The page's types,
// frontend/src/lib/api.ts, are generated from Methods (build/pageapi).
package page

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"rancherdesktop.io/rdd/app/operation"
	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/core/diagnose"
)

// Options are the parameters of New.
type Options struct {
	Core     *core.Core                            // the instance to show first
	Open     func(name string) (*core.Core, error) // resolves another one
	Version  string
	ReadOnly bool // refuse all changes
}

// API serves one page, or several copies of it. Its calls work only while Run runs.
type API struct {
	options Options
	methods []Method
	jobs    chan func(context.Context) // jobs of Run that outlive the calls
	ended   chan struct{}              // closed when Run ends
	events  *broadcaster
	ids     atomic.Int64

	mu      sync.Mutex
	shown   *instanceView
	views   map[string]*instanceView // by instance; the operations of hidden ones continue
	streams map[string]*stream
	bundle  map[string]*diagnose.Bundle // the last one that was previewed
}

// New returns the API for one program. It reads nothing before Run.
func New(o Options) *API {
	a := &API{
		options: o, methods: Methods(), jobs: make(chan func(context.Context)), ended: make(chan struct{}),
		events: newBroadcaster(), views: map[string]*instanceView{}, streams: map[string]*stream{},
	}
	a.shown = a.newInstanceView(o.Core)
	a.views[a.shown.name()] = a.shown
	return a
}

// errEnded fails calls after the end of Run.
var errEnded = &core.Error{Kind: core.Canceled, Err: errors.New("the program that serves the page is exiting")}

// Run follows the instance and runs the jobs of calls, until ctx ends. Then it ends all waits. The service continues its
// work.
func (a *API) Run(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	defer close(a.ended)
	first := a.current()
	all.Go(func() { a.watch(ctx, first, first.left) })
	for {
		select {
		case <-ctx.Done():
			return
		case job := <-a.jobs:
			all.Go(func() { job(ctx) })
		}
	}
}

// background hands a job to Run. The job ends with Run's context.
func (a *API) background(job func(context.Context)) error {
	select {
	case a.jobs <- job:
		return nil
	case <-a.ended:
		return errEnded
	}
}

// current returns the view that is shown.
func (a *API) current() *instanceView {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.shown
}

// newID returns an ID for an operation, a stream or a bundle.
func (a *API) newID() string { return strconv.FormatInt(a.ids.Add(1), 10) }

// change calls do, which changes a view, under the lock, and notifies the subscribers.
func (a *API) change(do func()) {
	a.mu.Lock()
	do()
	a.mu.Unlock()
	a.events.changed()
}

// State returns the whole state.
func (a *API) State() State {
	a.mu.Lock()
	defer a.mu.Unlock()
	view := a.shown
	operations := view.engine.List()
	s := State{
		Instance: view.name(), Instances: slices.Clone(view.instances), Version: a.options.Version, Host: view.computer,
		Service: view.service, App: view.app, VMs: view.vms, VMsKnown: view.vmsKnown, Error: view.problem,
		Operations: operations.Operations(), Question: operations.Question(),
		Settings: view.settings, Login: append([]core.LoginStatus{}, view.login...), ReadOnly: a.options.ReadOnly,
	}
	if s.Error == nil {
		s.Error = view.settingsProblem
	}
	return s
}

func (a *API) callState(context.Context, nothing) (State, error) { return a.State(), nil }

// instanceView is what the page knows of one instance. The API's lock guards it, except for core and pending.
type instanceView struct {
	core    *core.Core
	pending core.Pending

	snapshot        *core.Snapshot // nil before the first one
	service         core.ServiceStatus
	app             *App       // replaced, never changed
	objects         engineView // of the container engine
	vms             []VM       // replaced, never changed
	vmsKnown        bool
	problem         *Problem
	instances       []string
	computer        core.Host
	settings        Settings
	settingsProblem *Problem
	login           []core.LoginStatus // replaced, never changed
	seen            chan struct{}      // closed once there is a snapshot
	left            chan struct{}      // closed when another instance is shown

	engine *operation.Engine
	used   map[string]sample
}

func (a *API) newInstanceView(c *core.Core) *instanceView {
	view := &instanceView{
		core: c, service: core.ServiceStatus{Instance: c.Instance().Name, State: core.ServiceNotCreated, Log: c.Instance().ServiceLog()},
		vms: []VM{}, instances: []string{}, seen: make(chan struct{}), left: make(chan struct{}), used: map[string]sample{},
		settings: Settings{Settings: core.DefaultSettings()}, computer: c.Host(),
	}
	view.engine = operation.New(operation.Options{Core: c, Go: a.background, NewID: a.newID, Changed: a.events.changed})
	return view
}

func (view *instanceView) name() string { return view.core.Instance().Name }
