package tray

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"rancherdesktop.io/rdd/app/notify"
	"rancherdesktop.io/rdd/app/operation"
	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/core/diagnose"
)

// Tray is the tray of one instance: it watches the instance, shows its state, and carries out clicks.
type Tray struct {
	Core *core.Core
	// Open opens the window with these arguments and returns when it has ended.
	Open func(args ...string) error

	notes  notify.Notifier
	engine *operation.Engine
	quit   context.CancelFunc

	mu       sync.Mutex
	state    State
	views    chan View
	diagnose chan struct{} // holds a value when a new diagnosis is needed
}

// firstSnapshotTimeout is how long the menu waits for the first snapshot, so that it is not drawn twice.
const firstSnapshotTimeout = time.Second

// Run shows the tray until the user quits or ctx ends. The main goroutine of the program must call it.
func (t *Tray) Run(ctx context.Context) error {
	ctx, t.quit = context.WithCancel(ctx)
	t.notes = notify.New("RDD")
	defer t.notes.Close()
	changed := make(chan struct{}, 1)
	var ids atomic.Int64
	t.engine = operation.New(operation.Options{
		Core:    t.Core,
		Go:      func(job func(context.Context)) error { go job(ctx); return nil },
		NewID:   func() string { return strconv.FormatInt(ids.Add(1), 10) },
		Changed: func() { wake(changed) },
	})
	t.state.Instance = t.Core.Instance().Name
	t.views, t.diagnose = make(chan View, 1), make(chan struct{}, 1)
	t.updateLogin()

	var running sync.WaitGroup
	defer running.Wait()
	defer t.quit()
	running.Go(func() { t.showOperations(ctx, changed) })
	seen := make(chan struct{})
	running.Go(func() { t.watch(ctx, seen) })
	running.Go(func() { t.watchContainers(ctx) })
	running.Go(func() { t.countFindings(ctx) })
	select {
	case <-seen:
	case <-time.After(firstSnapshotTimeout):
	case <-ctx.Done():
	}
	display := &Display{
		Views:   t.views,
		Clicked: func(id ID) { t.click(ctx, id) },
		NoHost:  func() { t.open() },
		Opened:  func() { go t.updateLogin() }, // rdd may have changed it
	}
	return display.Run(ctx)
}

// wake puts a value into a channel that has room for one, unless there is one already.
func wake(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// change changes the state and shows it. The display gets only the newest view.
func (t *Tray) change(how func(*State)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	how(&t.state)
	select {
	case <-t.views:
	default:
	}
	t.views <- Look(t.state)
}

// watch shows the snapshots of the core. It closes seen after the first one.
func (t *Tray) watch(ctx context.Context, seen chan<- struct{}) {
	var known string
	for snapshot := range t.Core.Watch(ctx) {
		t.change(func(s *State) { s.Snapshot, s.Seen = snapshot, true })
		if known == "" {
			close(seen)
		}
		if now := troubles(snapshot); now != known {
			known = now
			wake(t.diagnose)
		}
	}
}

// watchContainers shows the containers of the engine.
func (t *Tray) watchContainers(ctx context.Context) {
	for objects := range t.Core.WatchEngine(ctx, core.Containers) {
		t.change(func(s *State) { s.Containers = objects.Containers })
	}
}

// troubles describes what is wrong in a snapshot: if it changes, a new diagnosis is needed. It is never empty.
func troubles(s core.Snapshot) string {
	text := string(s.Service.State) + "\n" + s.Service.Error + s.Service.Warning
	for i := range s.VMs {
		if problem := core.Describe(&s.VMs[i]).Problem; problem != "" {
			text += "\n" + s.VMs[i].Name + problem
		}
	}
	if s.App != nil {
		text += strings.Join(s.App.Status.Problems, "\n")
	}
	return text
}

func (t *Tray) updateLogin() {
	at := startsAtLogin(t.Core)
	t.change(func(s *State) { s.AtLogin = at })
}

// A diagnosis starts programs and reads files, so it runs a while after a change, and seldom.
const (
	diagnoseDelay    = 5 * time.Second
	diagnoseInterval = time.Minute
)

// countFindings counts the problems and warnings of a diagnosis after changes.
func (t *Tray) countFindings(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.diagnose:
		}
		if !pause(ctx, diagnoseDelay) {
			return
		}
		if report, err := diagnose.Run(ctx, t.Core); err == nil {
			t.change(func(s *State) {
				s.Findings = report.Count(diagnose.SeverityProblem) + report.Count(diagnose.SeverityWarning)
			})
		}
		if !pause(ctx, diagnoseInterval) {
			return
		}
	}
}

// pause waits, and returns false if ctx has ended.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
