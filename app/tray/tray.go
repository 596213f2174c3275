package tray

import (
	"context"
	"sync"
	"time"

	"rancherdesktop.io/rdd/app/notify"
	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/core/diagnose"
)

// Tray is the tray of one instance: it watches the instance, and shows and does what the user wants.
type Tray struct {
	Core *core.Core
	// Open opens the window with these arguments and returns when it has ended.
	Open func(args ...string) error

	mu    sync.Mutex
	state State
	views chan View
	look  chan struct{} // it is time to diagnose
}

// firstSnapshotTimeout is how long the first snapshot is waited for, so that a menu is not made twice.
const firstSnapshotTimeout = time.Second

// Run shows the tray until the user quits or ctx ends. The main goroutine of the program must call it.
func (t *Tray) Run(ctx context.Context) error {
	ctx, quit := context.WithCancel(ctx)
	notes := notify.New("RDD")
	defer notes.Close()
	operator := &Operator{Core: t.Core, Notes: notes, Open: t.Open, Quit: quit, LoginChanged: t.lookAtLogin}
	t.state.Instance = t.Core.Instance().Name
	t.views, t.look = make(chan View, 1), make(chan struct{}, 1)
	t.lookAtLogin()

	var running sync.WaitGroup
	defer running.Wait()
	defer quit()
	operator.Prepare(ctx)
	running.Go(func() { operator.ShowOperations(ctx) })
	seen := make(chan struct{})
	running.Go(func() { t.watch(ctx, seen) })
	running.Go(func() { t.diagnose(ctx) })
	select {
	case <-seen:
	case <-time.After(firstSnapshotTimeout):
	case <-ctx.Done():
	}
	display := &Display{
		Views:   t.views,
		Clicked: func(id ID) { operator.Click(ctx, id) },
		NoHost:  func() { operator.open() },
		Opened:  func() { go t.lookAtLogin() }, // rdd may have changed it
	}
	return display.Run(ctx)
}

// change changes the state and shows it. Who draws gets the newest view, not each one.
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

// watch shows what the core sees.
func (t *Tray) watch(ctx context.Context, seen chan<- struct{}) {
	var known string
	for snapshot := range t.Core.Watch(ctx) {
		t.change(func(s *State) { s.Snapshot, s.Seen = snapshot, true })
		if known == "" {
			close(seen)
		}
		if now := troubles(snapshot); now != known {
			known = now
			select {
			case t.look <- struct{}{}:
			default:
			}
		}
	}
}

// troubles are what makes a new diagnosis worth its while. It is never empty.
func troubles(s core.Snapshot) string {
	text := string(s.Service.State) + "\n" + s.Service.Error + s.Service.Warning
	for i := range s.VMs {
		if problem := core.Describe(&s.VMs[i]).Problem; problem != "" {
			text += "\n" + s.VMs[i].Name + problem
		}
	}
	return text
}

func (t *Tray) lookAtLogin() {
	at := startsAtLogin(t.Core)
	t.change(func(s *State) { s.AtLogin = at })
}

// A diagnosis starts programs and reads files, so it comes when things have settled, and seldom.
const (
	diagnoseDelay    = 5 * time.Second
	diagnoseInterval = time.Minute
)

// diagnose counts what is wrong, after changes.
func (t *Tray) diagnose(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.look:
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

// pause waits, and says whether ctx still goes on.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
