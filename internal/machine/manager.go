package machine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"rancherdesktop.io/rdd/internal/machine/layout"
	"rancherdesktop.io/rdd/internal/proc"
)

// Config is what a Manager needs to know.
type Config struct {
	LimaHome string
	Program  string // rdd-lima
	ShareDir string // guest agents and templates
	LogDir   string // each VM has a directory below it
	KeepLogs bool   // keep the logs of a VM that is removed
	Log      *slog.Logger
	Changed  func(vm string) // called when a VM's state changed; must not block
}

// Manager runs the VMs of one Lima home.
type Manager struct {
	config   Config
	timeouts timeouts

	mu      sync.Mutex
	workers map[string]*worker
	closed  bool
	forced  chan struct{} // closed by force: from then on Close waits for no guest
	force   func()
}

// New returns a Manager. It does nothing until it is asked about a VM.
func New(c Config) *Manager {
	forced := make(chan struct{})
	return &Manager{config: c, timeouts: defaultTimeouts(), workers: map[string]*worker{}, forced: forced, force: sync.OnceFunc(func() { close(forced) })}
}

// State returns immediately what is known of a VM. The first call for a VM makes its worker look at the disk and adopt a
// hostagent that runs; until that is done, the phase is Unknown.
func (m *Manager) State(vm string) State {
	w := m.worker(vm)
	if w == nil {
		return State{}
	}
	return w.snapshot()
}

// Do asks for an action and returns immediately. It replaces what the VM's worker is doing, unless that is the same. After
// Close it does nothing.
func (m *Manager) Do(vm string, r Request) {
	if w := m.worker(vm); w != nil {
		w.submit(r)
	}
}

// Remove ends a VM immediately, removes its disk and configuration, and returns once that is done. The end of ctx ends only
// the wait.
func (m *Manager) Remove(ctx context.Context, vm string) error {
	w := m.worker(vm)
	if w == nil {
		return errors.New("the service is stopping")
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-w.submit(Request{Action: Remove}):
	}
	if f := w.snapshot().Failure; f != nil {
		return errors.New(f.Message)
	}
	return nil
}

// Forget ends a VM's worker. A hostagent that runs keeps running.
func (m *Manager) Forget(vm string) { m.forget(vm) }

// Removed ends the worker of a VM that is Absent and is not made again. It also removes the logs, unless they are kept: the
// service may have been killed after it had removed the disk.
func (m *Manager) Removed(vm string) {
	if w := m.forget(vm); w != nil {
		w.removeLogs()
	}
}

func (m *Manager) forget(vm string) *worker {
	m.mu.Lock()
	w := m.workers[vm]
	delete(m.workers, vm)
	m.mu.Unlock()
	if w != nil {
		w.end()
	}
	return w
}

// worker returns the VM's worker, and starts it if necessary. It returns nil after Close.
func (m *Manager) worker(vm string) *worker {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil
	}
	return m.workerLocked(vm)
}

func (m *Manager) workerLocked(vm string) *worker {
	w, ok := m.workers[vm]
	if !ok {
		w = newWorker(m.config, m.timeouts, layout.VM{Home: m.config.LimaHome, Name: vm, Logs: filepath.Join(m.config.LogDir, vm)})
		m.workers[vm] = w
	}
	return w
}

// Close asks all guests of this Lima home to power off, and waits until no hostagent and no QEMU is left. It reports what
// happens to progress, one call at a time. When ctx ends first, the error names the VMs that still run; they go on powering
// off.
func (m *Manager) Close(ctx context.Context, progress func(string)) error {
	workers, err := m.closing()
	var mu sync.Mutex
	say := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		progress(fmt.Sprintf(format, args...))
	}
	var wg sync.WaitGroup
	late := make([]string, len(workers))
	errs := []error{err}
	for i, w := range workers {
		wg.Go(func() {
			if w.shutDown(ctx, m.forced, say) != nil {
				late[i] = w.vm.Name
			}
			w.end()
			select {
			case <-w.done:
			case <-ctx.Done(): // it removes or ends what is left of the VM, and that hangs
				late[i] = w.vm.Name
			}
		})
	}
	wg.Wait()
	m.mu.Lock()
	clear(m.workers) // Close may be called again
	m.mu.Unlock()
	if late = slices.DeleteFunc(late, func(s string) bool { return s == "" }); len(late) > 0 {
		errs = append(errs, fmt.Errorf("these VMs still run: %s: their guests have been asked to power off and go on with that; `rdd svc stop --force` would end them at once: %w",
			strings.Join(late, ", "), context.Cause(ctx)))
	}
	return errors.Join(errs...)
}

// Force makes Close end the guests immediately, also when it is already waiting. What they have not written is lost.
func (m *Manager) Force() { m.force() }

// closing makes the Manager refuse work, and returns the workers of all VMs that run or have a worker.
func (m *Manager) closing() ([]*worker, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	names, err := layout.Names(m.config.LimaHome)
	for _, name := range names {
		vm := layout.VM{Home: m.config.LimaHome, Name: name}
		if alive, e := anyHeld(vm.HostagentLock(), vm.QEMULock()); alive || e != nil {
			m.workerLocked(name)
		}
	}
	byName := func(a, b *worker) int { return strings.Compare(a.vm.Name, b.vm.Name) }
	return slices.SortedFunc(maps.Values(m.workers), byName), err
}

// anyHeld reports whether a process holds one of the locks.
func anyHeld(paths ...string) (bool, error) {
	for _, path := range paths {
		if held, err := proc.Held(path); held || err != nil {
			return held, err
		}
	}
	return false, nil
}
