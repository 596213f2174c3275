package lima

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lima-vm/lima/pkg/fileutils"
	"github.com/lima-vm/lima/pkg/hostagent"
	"github.com/lima-vm/lima/pkg/hostagent/events"
	"github.com/lima-vm/lima/pkg/limayaml"
	"github.com/lima-vm/lima/pkg/store"
	"github.com/lima-vm/lima/pkg/store/filenames"
	"github.com/sirupsen/logrus"

	"rancherdesktop.io/rdd/internal/machine/event"
	"rancherdesktop.io/rdd/internal/machine/layout"
	"rancherdesktop.io/rdd/internal/proc"
)

// HostagentOptions say what to run and how.
type HostagentOptions struct {
	VM           layout.VM
	Nonce        string
	Share        string
	Acceleration string // Auto, Hardware or Emulation
	Path         string // where programs are looked for
}

// ErrRunning means that the VM has a hostagent already.
var ErrRunning = errors.New("the VM's hostagent runs already")

// bootSteps are the steps of a boot, in the order in which they are reported.
var bootSteps = [event.BootSteps]string{event.Acceleration, event.Configure, event.Boot, event.Guest, event.Ready}

// Hostagent boots the VM and serves it until the guest powers off. The end of ctx asks the guest to
// power off; Hostagent returns once it has, however long that takes. It must be called from the main
// goroutine, which it ties to its thread: on Linux QEMU dies when the thread that started it does.
func Hostagent(ctx context.Context, o HostagentOptions) (err error) {
	runtime.LockOSThread()
	if err := os.MkdirAll(o.VM.Run(), 0o700); err != nil {
		return err
	}
	lock, err := proc.Acquire(o.VM.AgentLock())
	if errors.Is(err, proc.ErrLocked) {
		return fmt.Errorf("%w: %w", ErrRunning, err)
	}
	if err != nil {
		return err
	}
	defer func() { _ = lock.Release() }()
	disk, err := waitForLock(ctx, o.VM.DiskLock())
	if err != nil {
		return fmt.Errorf("VM %q is being prepared or removed: %w", o.VM.Name, err)
	}
	defer func() { _ = disk.Release() }()
	a, err := newAgent(o)
	if err != nil {
		return err
	}
	defer a.close()
	defer func() { a.exit(err) }()
	defer endChildren() // before the locks say that nothing is left
	return a.run(ctx)
}

// agent is one run of Hostagent.
type agent struct {
	o      HostagentOptions
	vm     layout.VM
	w      *event.Writer
	events *os.File
	log    *os.File

	hostLock sync.Mutex
	host     hostFiles // what the VM has on the host

	monitor *monitor      // nil when the VM has no QEMU
	waits   *requirements // what Lima waits for; nil before the boot
	ready   chan struct{} // closed when Lima says that the VM runs
	config  *limayaml.LimaYAML
	sshPort atomic.Int32
}

// newAgent opens the logs and writes the record by which a service finds this run.
func newAgent(o HostagentOptions) (*agent, error) {
	if err := os.MkdirAll(o.VM.Logs, 0o700); err != nil {
		return nil, err
	}
	log, err := openLog(o.VM.AgentLog())
	if err != nil {
		return nil, err
	}
	// A crash of ours goes to the log as well; nobody holds our stderr.
	if err := debug.SetCrashOutput(log, debug.CrashOptions{}); err != nil {
		return nil, err
	}
	logrus.SetOutput(log)
	logrus.SetFormatter(new(logrus.JSONFormatter))
	logrus.SetLevel(logrus.DebugLevel)
	file, err := os.OpenFile(o.VM.Events(), os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	a := &agent{o: o, vm: o.VM, w: event.NewWriter(file), events: file, log: log, ready: make(chan struct{})}
	if err := a.w.Write(event.Event{Nonce: o.Nonce}); err != nil {
		return nil, err
	}
	return a, o.VM.WriteRecord(layout.Record{Nonce: o.Nonce, PID: os.Getpid(), Logs: o.VM.Logs})
}

func (a *agent) close() {
	_ = a.events.Close()
	_ = a.log.Close()
}

// exit says how the run ended.
func (a *agent) exit(err error) {
	e := event.Event{Exiting: true}
	if err != nil {
		logrus.WithError(err).Error("the hostagent ends")
		e.Failure = Failure(err)
	}
	if ending, ok := errors.AsType[*Ending](err); ok {
		e.Ended = ending.How
	}
	a.say(e)
}

func (a *agent) say(e event.Event) {
	if err := a.w.Write(e); err != nil {
		logrus.WithError(err).Error("an event could not be written")
	}
}

// step reports one of bootSteps.
func (a *agent) step(phase, message string) { a.stepSaying(phase, message, "") }

// stepSaying also reports why the step does not get on, in a program's own words.
func (a *agent) stepSaying(phase, message, said string) {
	for i, p := range bootSteps {
		if p == phase {
			a.say(event.Event{Phase: phase, Step: int32(i + 1), Steps: event.BootSteps, Message: message, Said: said})
		}
	}
}

func (a *agent) run(ctx context.Context) error {
	inst, err := a.inspect(ctx)
	if err != nil {
		return err
	}
	if err := reachNetworks(ctx, inst.Config); err != nil {
		return err
	}
	if err := takeDisks(a.vm, inst.Config); err != nil {
		return err
	}
	if a.host, err = placeHostPaths(a.vm); err != nil {
		return err
	}
	defer a.releaseHostPaths()
	logrus.SetFormatter(hidePasswords(new(logrus.JSONFormatter), inst.Config.Env))
	if *inst.Config.VMType == limayaml.QEMU {
		if err := a.setQEMU(ctx, inst.Config); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return nil // asked to stop before anything ran
	}
	a.step(event.Configure, "writing what the guest reads at boot")
	opts, err := a.options(inst.Config)
	if err != nil {
		return err
	}
	// Nothing is ever sent here: Lima would kill a guest that takes longer than 3 minutes.
	never := make(chan os.Signal)
	ha, err := hostagent.New(a.vm.Name, &translator{a: a}, never, opts...)
	if err != nil {
		return err
	}
	a.config, a.waits = inst.Config, &requirements{a: a, probes: inst.Config.Probes}
	logrus.AddHook(a.waits)
	ended := make(chan struct{})
	defer close(ended)
	go a.powerOff(ctx, ended)
	stopServing := a.serve(ctx)
	defer stopServing()
	how := a.watch(context.WithoutCancel(ctx), inst.Config)
	a.step(event.Boot, "booting; the console is in "+a.vm.SerialLog())
	if err := ha.Run(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	if ending := how(); ctx.Err() == nil && ending != "" {
		return &Ending{ending}
	}
	return nil
}

// endGrace is how long a monitor may take to see that QEMU has ended. It takes a millisecond.
const endGrace = time.Second

// watch has the VM's QEMU monitored. The result is called when QEMU has ended, and says how.
func (a *agent) watch(ctx context.Context, y *limayaml.LimaYAML) (how func() string) {
	if *y.VMType != limayaml.QEMU {
		return func() string { return "" }
	}
	ctx, cancel := context.WithCancel(ctx)
	m := &monitor{socket: a.vm.MonitorSocket(), disk: a.vm.Dir(), say: a.say, guest: a.answers(y), pace: calm(), done: make(chan struct{})}
	a.monitor = m
	go m.run(ctx)
	return func() string {
		defer cancel()
		select {
		case <-m.done:
			return m.ended
		case <-time.After(endGrace): // QEMU never came up
			return ""
		}
	}
}

// inspect reads the VM's configuration, once nothing of an earlier run is left: Lima takes a VM for
// broken whose PID files name a living process, whatever that is.
func (a *agent) inspect(ctx context.Context) (*store.Instance, error) {
	if err := a.clear(ctx); err != nil {
		return nil, err
	}
	if !exists(a.vm.Prepared()) {
		return nil, fmt.Errorf("VM %q has no disk yet: prepare it first", a.vm.Name)
	}
	inst, err := store.Inspect(a.vm.Name)
	if err != nil {
		return nil, err
	}
	if inst.Config == nil {
		return nil, &Problem{Err: fmt.Errorf("the configuration of VM %q can't be read: %w", a.vm.Name, errors.Join(inst.Errors...))}
	}
	return inst, nil
}

// clear ends a QEMU that an earlier hostagent left behind, and removes stale files.
func (a *agent) clear(ctx context.Context) error {
	found, err := EndLeftover(ctx, a.vm, func(m string) { a.say(event.Event{Phase: event.Leftover, Message: m}) })
	if err != nil || !found {
		return err
	}
	logrus.Warnf("a QEMU of VM %q whose hostagent was gone has been ended", a.vm.Name)
	return nil
}

// setQEMU finds out how guest code can run, says so, and makes Lima start QEMU accordingly.
func (a *agent) setQEMU(ctx context.Context, y *limayaml.LimaYAML) error {
	a.step(event.Acceleration, "finding out how guest code can run")
	acc, err := Accelerate(ctx, a.vm.Home, *y.Arch, a.o.Acceleration)
	if err != nil {
		return err
	}
	a.say(event.Event{Accelerator: &acc})
	if err := a.tellPaths(y); err != nil {
		return err
	}
	return a.intercept(*y.Arch, append(qemuFlags(*y.Arch, y.CPUType[*y.Arch], acc), monitorFlags(*y.Arch, a.vm.MonitorSocket())...))
}

// options are the files that Lima gives to the guest.
func (a *agent) options(y *limayaml.LimaYAML) ([]hostagent.Opt, error) {
	var opts []hostagent.Opt
	if needsAgent(y) {
		path, err := guestAgent(a.o.Share, y)
		if err != nil {
			return nil, err
		}
		opts = append(opts, hostagent.WithGuestAgentBinary(path))
	}
	if !*y.Containerd.System && !*y.Containerd.User {
		return opts, nil
	}
	var errs []error
	for _, f := range y.Containerd.Archives {
		if f.Arch != *y.Arch {
			continue
		}
		path, err := fileutils.CachedFile(f)
		if err == nil {
			return append(opts, hostagent.WithNerdctlArchive(path)), nil
		}
		errs = append(errs, err)
	}
	return nil, fmt.Errorf("the containerd archive is not in the cache: %w", errors.Join(errs...))
}

// powerRepeat is how often the power button is pressed: a guest that is still booting misses it.
const powerRepeat = 10 * time.Second

// powerOff waits for the end of ctx and then asks the guest to power off, until QEMU has ended.
func (a *agent) powerOff(ctx context.Context, ended <-chan struct{}) {
	select {
	case <-ended:
		return
	case <-ctx.Done():
	}
	a.say(event.Event{Phase: event.Stop, Message: "asking the guest to power off"})
	for {
		wait := powerRepeat
		if err := qmp(filepath.Join(a.vm.Dir(), filenames.QMPSock), "system_powerdown"); err != nil {
			logrus.WithError(err).Warn("the guest could not be asked to power off; it will be asked again")
			wait = time.Second
		}
		select {
		case <-ended:
			return
		case <-time.After(wait):
		}
	}
}

// translator turns Lima's events into ours.
type translator struct {
	a    *agent
	rest []byte
}

// Write takes Lima's JSON lines.
func (t *translator) Write(p []byte) (int, error) {
	d := json.NewDecoder(io.MultiReader(strings.NewReader(string(t.rest)), strings.NewReader(string(p))))
	for {
		var e events.Event
		if err := d.Decode(&e); err != nil {
			rest, _ := io.ReadAll(d.Buffered())
			t.rest = rest
			return len(p), nil
		}
		t.a.lima(e.Status)
	}
}

// lima reports one of Lima's events. Its "exiting" is not taken over: we say that with the cause.
func (a *agent) lima(s events.Status) {
	if s.SSHLocalPort != 0 {
		a.sshPort.Store(int32(s.SSHLocalPort))
	}
	switch {
	case s.Running:
		if a.monitor != nil {
			a.monitor.booted.Store(true)
		}
		a.say(event.Event{Phase: event.Ready, Step: event.BootSteps, Steps: event.BootSteps, Running: true, Degraded: append(a.degraded(s), a.copyOut()...), SSHPort: int32(s.SSHLocalPort)})
		if a.ready != nil {
			close(a.ready)
		}
	case s.SSHLocalPort != 0:
		a.say(event.Event{SSHPort: int32(s.SSHLocalPort)})
	}
}

// copyOut puts what Lima has fetched from the guest in place, and says what went wrong.
func (a *agent) copyOut() []string {
	a.hostLock.Lock()
	defer a.hostLock.Unlock()
	return a.host.copyOut(a.vm)
}

// releaseHostPaths removes what the run has put on the host. Nothing comes after it.
func (a *agent) releaseHostPaths() {
	a.hostLock.Lock()
	defer a.hostLock.Unlock()
	a.host.releaseAll(a.vm)
	a.host = hostFiles{}
}

// degraded is what doesn't work in a guest that has booted.
func (a *agent) degraded(s events.Status) (all []string) {
	all = s.Errors
	if a.waits != nil {
		all = append(a.waits.problems(s.Errors), a.failedScripts(context.Background(), a.config)...)
	}
	if s.Degraded && len(all) == 0 {
		return []string{"Lima gave no reason"}
	}
	return all
}

// serve keeps up, once the guest has booted, what Lima sets up at boot and does not look after. The result
// ends that.
func (a *agent) serve(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	ports := newPorts(a.vm, a.say)
	logrus.AddHook(ports)
	go func() {
		defer close(done)
		select {
		case <-ctx.Done():
			return
		case <-a.ready:
		}
		var all sync.WaitGroup
		all.Go(func() { a.connection(a.config).run(ctx) })
		all.Go(func() { ports.run(ctx) })
		all.Wait()
	}()
	return func() {
		cancel()
		<-done
	}
}
