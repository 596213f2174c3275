package page

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"

	"rancherdesktop.io/rdd/app/dialog"
	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/core/diagnose"
)

// Options is what the API needs from the outside.
type Options struct {
	Core     *core.Core                            // the instance to show first
	Open     func(name string) (*core.Core, error) // resolves another one
	Version  string
	ReadOnly bool // refuse what changes anything
}

// API is what one page, or several copies of it, see and do. Run has to run for it.
type API struct {
	options Options
	methods []Method
	jobs    chan func(context.Context) // what outlives a call; Run carries them out
	ended   chan struct{}              // closed when Run ends
	hub     hub

	mu      sync.Mutex
	shown   *place            // the instance that is shown
	places  map[string]*place // by instance; the operations of those not shown go on
	streams map[string]*stream
	bundle  map[string]*diagnose.Bundle // the last one that was previewed
	ids     int
}

// New returns the API for one program. It looks at nothing before Run.
func New(o Options) *API {
	a := &API{
		options: o, methods: Methods(), jobs: make(chan func(context.Context)), ended: make(chan struct{}),
		places: map[string]*place{}, streams: map[string]*stream{},
	}
	a.shown = newPlace(o.Core)
	a.places[a.shown.name()] = a.shown
	return a
}

// errEnded is for calls that come after the end.
var errEnded = &core.Error{Kind: core.Canceled, Err: errors.New("the program that serves the page is exiting")}

// Run follows the instance and carries out what calls began, until ctx ends. Then it ends all waiting; what
// is under way in the service goes on.
func (a *API) Run(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	defer close(a.ended)
	first := a.here()
	all.Go(func() { a.watch(ctx, first, first.leave) })
	for {
		select {
		case <-ctx.Done():
			return
		case job := <-a.jobs:
			all.Go(func() { job(ctx) })
		}
	}
}

// begin hands a job to Run. The job ends with Run's context.
func (a *API) begin(job func(context.Context)) error {
	select {
	case a.jobs <- job:
		return nil
	case <-a.ended:
		return errEnded
	}
}

// here is the place that is shown.
func (a *API) here() *place {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.shown
}

// newID names an operation, a stream or a bundle.
func (a *API) newID() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ids++
	return strconv.Itoa(a.ids)
}

// change changes a place under the lock, and tells the subscribers.
func (a *API) change(do func()) {
	a.mu.Lock()
	do()
	a.mu.Unlock()
	a.hub.changed()
}

// State is the whole state now.
func (a *API) State() State {
	a.mu.Lock()
	defer a.mu.Unlock()
	p := a.shown
	s := State{
		Instance: p.name(), Instances: slices.Clone(p.instances), Version: a.options.Version, Host: p.computer,
		Service: p.service, VMs: p.vms, VMsKnown: p.vmsKnown, Error: p.problem,
		Operations: p.board.Operations(), Question: p.board.Question(),
		Settings: p.settings, Login: append([]core.LoginStatus{}, p.login...), ReadOnly: a.options.ReadOnly,
	}
	if s.Error == nil {
		s.Error = p.settingsProblem
	}
	return s
}

func (a *API) callState(context.Context, nothing) (State, error) { return a.State(), nil }

// place is one instance. The API's lock guards it, except for core and pending.
type place struct {
	core    *core.Core
	pending core.Pending

	service         core.ServiceStatus
	vms             []VM // replaced, never changed
	vmsKnown        bool
	problem         *Problem
	instances       []string
	computer        core.Computer
	settings        Settings
	settingsProblem *Problem
	login           []core.LoginStatus // replaced, never changed
	seen            chan struct{}      // closed once there is a snapshot
	leave           chan struct{}      // closed when another place is shown

	board dialog.Board
	waits map[string]*waiting
	used  map[string]sample
}

func newPlace(c *core.Core) *place {
	return &place{
		core: c, service: core.ServiceStatus{Instance: c.Instance().Name, State: core.ServiceNotCreated, Log: c.Instance().ServiceLog()},
		vms: []VM{}, instances: []string{}, seen: make(chan struct{}), leave: make(chan struct{}), waits: map[string]*waiting{}, used: map[string]sample{},
		settings: Settings{Settings: core.DefaultSettings()}, computer: c.Computer(),
	}
}

func (p *place) name() string { return p.core.Instance().Name }
