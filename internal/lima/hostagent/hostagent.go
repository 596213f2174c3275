// Package hostagent runs a VM: it boots the guest with Lima's hostagent, reports what happens, and restores what
// Lima sets up only at boot. `rdd-lima hostagent` calls it, one process for each VM.
package hostagent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lima-vm/lima/pkg/fileutils"
	limahostagent "github.com/lima-vm/lima/pkg/hostagent"
	"github.com/lima-vm/lima/pkg/limayaml"
	"github.com/lima-vm/lima/pkg/store"
	"github.com/sirupsen/logrus"

	"rancherdesktop.io/rdd/internal/diag"
	"rancherdesktop.io/rdd/internal/lima"
	"rancherdesktop.io/rdd/internal/lima/hostpath"
	"rancherdesktop.io/rdd/internal/lima/qemu"
	"rancherdesktop.io/rdd/internal/lima/ssh"
	"rancherdesktop.io/rdd/internal/machine/event"
	"rancherdesktop.io/rdd/internal/machine/layout"
	"rancherdesktop.io/rdd/internal/proc"
)

// Options say what to run and how.
type Options struct {
	VM           layout.VM
	Nonce        string
	Lock         string // VM.HostagentLock, if the parent of this process has passed it: an id for proc.Inherited
	Share        string
	Acceleration string // Auto, Hardware or Emulation
	Path         string // where programs are looked for
}

// ErrRunning means that the VM has a hostagent already.
var ErrRunning = diag.Mark(diag.VMBusy, errors.New("the VM's hostagent runs already"))

// bootSteps are the steps of a boot, in the order in which they are reported.
var bootSteps = [event.BootSteps]string{event.Acceleration, event.Configure, event.Boot, event.Guest, event.Ready}

// Run boots the VM and serves it until the guest powers off. The end of ctx asks the guest to
// power off; Run returns once it has, however long that takes. Run must be called from the main
// goroutine, which it ties to its thread: on Linux QEMU dies when the thread that started it does.
func Run(ctx context.Context, o Options) (err error) {
	runtime.LockOSThread()
	if err := os.MkdirAll(o.VM.Run(), 0o700); err != nil {
		return err
	}
	lock, err := o.lock()
	if err != nil {
		return err
	}
	defer func() { _ = lock.Release() }()
	disk, err := o.VM.LockDisk(ctx)
	if err != nil {
		return diag.Mark(diag.VMBusy, fmt.Errorf("VM %q is being prepared or removed: %w", o.VM.Name, err))
	}
	defer func() { _ = disk.Release() }()
	h, err := newHostagent(o)
	if err != nil {
		return err
	}
	defer h.log.Close()
	defer h.events.Close()
	defer func() { h.exit(err) }()
	defer endChildren() // before the locks say that nothing is left
	return h.boot(ctx)
}

// lock takes the lock that says that the hostagent lives, unless it was inherited.
func (o Options) lock() (*proc.Lock, error) {
	if o.Lock != "" {
		return proc.Inherited(o.Lock, o.VM.HostagentLock())
	}
	lock, err := proc.Acquire(o.VM.HostagentLock())
	if errors.Is(err, proc.ErrLocked) {
		err = fmt.Errorf("%w: %w", ErrRunning, err)
	}
	return lock, err
}

// hostagent is one call of Run.
type hostagent struct {
	o      Options
	vm     layout.VM
	w      *event.Writer
	events *os.File
	log    *os.File

	hostFilesMu sync.Mutex
	hostFiles   hostpath.Files // what the VM has on the host

	monitor      *qemu.Monitor // nil when the VM has no QEMU
	requirements *requirements // what Lima waits for; nil before the boot
	ready        chan struct{} // closed when Lima says that the VM runs
	sessions     func()        // called when SSH sessions last; nil before the boot
	config       *limayaml.LimaYAML
	sshPort      atomic.Int32

	accelerated bool                    // by the hardware
	trial       *time.Timer             // ends a guest that doesn't answer; nil unless its system disk is new
	givenUp     atomic.Pointer[refusal] // the new system disk is given up
}

// newHostagent opens the logs and writes the record by which a service finds this run.
func newHostagent(o Options) (*hostagent, error) {
	if err := os.MkdirAll(o.VM.Logs, 0o700); err != nil {
		return nil, err
	}
	log, err := openLog(o.VM.HostagentLog())
	if err != nil {
		return nil, err
	}
	// A panic is written to the log as well, because stderr goes nowhere.
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
	h := &hostagent{o: o, vm: o.VM, w: event.NewWriter(file), events: file, log: log, ready: make(chan struct{})}
	if err := h.w.Write(event.Event{Nonce: o.Nonce}); err != nil {
		return nil, err
	}
	return h, o.VM.WriteRecord(layout.Record{Nonce: o.Nonce, PID: os.Getpid(), Logs: o.VM.Logs})
}

// exit reports how the run ended.
func (h *hostagent) exit(err error) {
	e := event.Event{Exiting: true}
	if err != nil {
		logrus.WithError(err).Error("the hostagent ends")
		e.Failure = lima.Failure(err)
	}
	if ending, ok := errors.AsType[*unexpectedExit](err); ok {
		e.Ended = ending.How
	}
	h.report(e)
}

func (h *hostagent) report(e event.Event) {
	if err := h.w.Write(e); err != nil {
		logrus.WithError(err).Error("an event could not be written")
	}
}

// reportStep reports one of bootSteps.
func (h *hostagent) reportStep(phase, message string) { h.reportStepOutput(phase, message, "") }

// reportStepOutput also reports a program's output that explains why the step makes no progress.
func (h *hostagent) reportStepOutput(phase, message, said string) {
	step := slices.Index(bootSteps[:], phase) + 1
	h.report(event.Event{Phase: phase, Step: int32(step), Steps: event.BootSteps, Message: message, Said: said})
}

func (h *hostagent) boot(ctx context.Context) error {
	inst, err := h.inspect(ctx)
	if err != nil {
		return err
	}
	if err := reachNetworks(ctx, inst.Config); err != nil {
		return err
	}
	if err := takeDisks(h.vm, inst.Config); err != nil {
		return err
	}
	if h.hostFiles, err = hostpath.Place(h.vm); err != nil {
		return err
	}
	defer h.releaseHostPaths()
	logrus.SetFormatter(hidePasswords(new(logrus.JSONFormatter), inst.Config.Env))
	if *inst.Config.VMType == limayaml.QEMU {
		if err := h.configureQEMU(ctx, inst.Config); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return nil // asked to stop before anything ran
	}
	h.reportStep(event.Configure, "writing the files that the guest reads at boot")
	opts, err := h.options(inst.Config)
	if err != nil {
		return err
	}
	// Nothing is ever sent here: Lima would kill a guest that takes longer than 3 minutes.
	never := make(chan os.Signal)
	ha, err := limahostagent.New(h.vm.Name, &limaEvents{hostagent: h}, never, opts...)
	if err != nil {
		return err
	}
	h.config, h.requirements = inst.Config, &requirements{hostagent: h, probes: inst.Config.Probes}
	logrus.AddHook(h.requirements)
	ended := make(chan struct{})
	defer close(ended)
	go h.powerOff(ctx, ended, endChildren)
	stopMaintaining := h.maintain(ctx)
	defer stopMaintaining()
	stopForwarding := h.forward(ctx)
	defer stopForwarding()
	watched, stopWatching := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWatching()
	if *inst.Config.VMType == limayaml.QEMU {
		h.monitor = qemu.NewMonitor(h.vm, h.report, h.pingFunc(inst.Config))
		go h.monitor.Run(watched)
	}
	stopTrying, err := h.trySystemDisk(watched)
	if err != nil {
		return err
	}
	defer stopTrying()
	h.reportStep(event.Boot, "booting; the console is in "+h.vm.SerialLog())
	if err := ha.Run(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	if h.monitor == nil || ctx.Err() != nil {
		return nil
	}
	if how := h.monitor.WaitEnd(); how != "" {
		return h.systemDiskFailed(&unexpectedExit{how})
	}
	return nil
}

// inspect ends a QEMU that an earlier hostagent left behind, removes stale files, and reads the VM's configuration. Lima
// reports a VM as broken if its PID files name a process that runs, whatever process that is.
func (h *hostagent) inspect(ctx context.Context) (*store.Instance, error) {
	found, err := qemu.EndOrphan(ctx, h.vm, func(m string) { h.report(event.Event{Phase: event.Leftover, Message: m}) })
	if err != nil {
		return nil, err
	}
	if found {
		logrus.Warnf("a QEMU of VM %q whose hostagent was gone has been ended", h.vm.Name)
	}
	if !layout.Exists(h.vm.Prepared()) {
		return nil, fmt.Errorf("VM %q has no disk yet: prepare it first", h.vm.Name)
	}
	inst, err := store.Inspect(h.vm.Name)
	if err != nil {
		return nil, err
	}
	if inst.Config == nil {
		return nil, lima.Permanentf("the configuration of VM %q can't be read: %w", h.vm.Name, errors.Join(inst.Errors...))
	}
	return inst, nil
}

// configureQEMU chooses the accelerator, reports it, and makes Lima start QEMU with it.
func (h *hostagent) configureQEMU(ctx context.Context, y *limayaml.LimaYAML) error {
	h.reportStep(event.Acceleration, "checking hardware acceleration")
	acc, err := qemu.Accelerate(ctx, h.vm.Home, *y.Arch, h.o.Acceleration)
	if err != nil {
		return err
	}
	h.accelerated = acc.Hardware
	h.report(event.Event{Accelerator: &acc})
	flags := slices.Concat(qemu.AccelerationFlags(*y.Arch, y.CPUType[*y.Arch], acc), qemu.MonitorFlags(*y.Arch, h.vm.MonitorSocket()))
	if h.vm.HasData() {
		flags = append(flags, qemu.DataDiskFlags(*y.Arch, filepath.ToSlash(h.vm.DataDisk()))...)
	}
	return h.wrapPrograms(y, flags)
}

// options lists the files that Lima gives to the guest.
func (h *hostagent) options(y *limayaml.LimaYAML) ([]limahostagent.Opt, error) {
	var opts []limahostagent.Opt
	if lima.NeedsGuestAgent(y) {
		path, err := lima.GuestAgent(h.o.Share, y)
		if err != nil {
			return nil, err
		}
		if !lima.HasGuestAgent(y) { // Lima copies its 50 MB to the VM's folder, and the guest copies them to its disk
			opts = append(opts, limahostagent.WithGuestAgentBinary(path))
		}
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
			return append(opts, limahostagent.WithNerdctlArchive(path)), nil
		}
		errs = append(errs, err)
	}
	return nil, fmt.Errorf("the containerd archive is not in the cache: %w", errors.Join(errs...))
}

// powerButtonInterval is how often the power button is pressed: a guest that is still booting misses it.
const powerButtonInterval = 10 * time.Second

// closingTimeout is how long Lima may take once QEMU has ended. The ssh that it runs then has no time limit, and may wait for
// the guest that is gone, or for another ssh that hangs.
const closingTimeout = 20 * time.Second

// powerOff waits for the end of ctx and then asks the guest to power off, until Lima has ended. If that hangs though QEMU has
// ended, it ends Lima's children.
func (h *hostagent) powerOff(ctx context.Context, ended <-chan struct{}, endChildren func()) {
	select {
	case <-ended:
		return
	case <-ctx.Done():
	}
	h.report(event.Event{Phase: event.Stop, Message: "asking the guest to power off"})
	seen := time.Now() // when QEMU ran
	for {
		wait := powerButtonInterval
		if held, err := proc.Held(h.vm.QEMULock()); held || err != nil {
			seen = time.Now()
		} else if time.Since(seen) > closingTimeout {
			logrus.Warn("the guest has powered off, and Lima does not end; its ssh is ended")
			endChildren()
		}
		if err := qemu.PowerDown(h.vm); err != nil {
			logrus.WithError(err).Warn("the power button could not be pressed; retrying")
			wait = time.Second
		}
		select {
		case <-ended:
			return
		case <-time.After(wait):
		}
	}
}

// releaseHostPaths removes what the run has put on the host. It is the last step of the run.
func (h *hostagent) releaseHostPaths() {
	h.hostFilesMu.Lock()
	defer h.hostFilesMu.Unlock()
	h.hostFiles.ReleaseAll(h.vm)
	h.hostFiles = hostpath.Files{}
}

// maintain restores what Lima sets up only at boot when it breaks later. It begins once the guest has booted, and the
// result stops it.
func (h *hostagent) maintain(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	for _, run := range []func(context.Context){ssh.NewConnection(h.vm, h.config, h.report).Run, newDiskUse(h.vm, h.report).run} {
		all.Go(func() {
			select {
			case <-ctx.Done():
			case <-h.ready:
				run(ctx)
			}
		})
	}
	return func() {
		cancel()
		all.Wait()
	}
}
