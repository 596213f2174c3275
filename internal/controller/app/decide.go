package app

import (
	"cmp"
	"strings"
	"time"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"rancherdesktop.io/rdd/internal/api/app/v1alpha1"
	lima "rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
	"rancherdesktop.io/rdd/internal/engine"
)

const (
	// connectTimeout is how long the engine may take to answer after the VM runs before that is reported as a failure. RDD
	// goes on trying.
	connectTimeout = 2 * time.Minute
	// connectInterval is the delay before the next look at an engine that doesn't answer, beside its own events.
	connectInterval = 5 * time.Second
	// missingInterval is the delay before the next look for RDD's guest. It takes no time, and somebody may be waiting.
	missingInterval = 3 * time.Second
	// refusedInterval is the delay before the next attempt at what was refused, for which Lima may have to be asked.
	refusedInterval = 15 * time.Second
)

// observation is the input of a decision.
type observation struct {
	app      *v1alpha1.App
	vm       *lima.LimaVM // the VM with the App's name for it, nil when there is none
	template string       // of RDD's guest; empty when it is missing
	stored   string       // the VM's own template, empty when it doesn't have one yet
	refused  *refusal     // why the VM can't be made
	launched *launched    // with what the guest runs, nil when none runs or that is not known
	engine   engine.State
	linked   engine.Phase // what the engine was told last
	docker   docker
	problems []string // of the socket
	memory   memory
	computer Computer
	host     string // for the VM's spec
	command  func(string) string
	withSize func(template string, size v1alpha1.VirtualMachine, engine v1alpha1.EngineName) (string, error)
	now      time.Time
}

// engineName is the engine that the App asks for.
func (o observation) engineName() v1alpha1.EngineName { return engineOf(o.app) }

// engineOf returns the engine that an App asks for.
func engineOf(app *v1alpha1.App) v1alpha1.EngineName {
	return cmp.Or(app.Spec.ContainerEngine.Name, v1alpha1.Moby)
}

// refusal says why the VM can't be made, or why it can't have the size.
type refusal struct {
	message   string
	permanent bool   // waiting can't help
	problem   string // ID of the known problem that it is; may be empty
}

// launched is with what a guest was started.
type launched struct {
	template string
	dataDisk int64 // bytes; 0: none, or not known
}

// docker is what is known of docker's files.
type docker struct {
	context string // name of the App's context, empty when it doesn't exist
	socket  string // path of the engine's socket
}

// memory is what the reconciler keeps between two decisions. It is only in memory: a new process looks again.
type memory struct {
	uid        types.UID // another App has another one
	connecting time.Time // since when the engine doesn't answer though the VM runs
	applied    string    // the template for which the VM was restarted last
	context    string    // the start and the mode for which docker's context was set last
	problem    string    // of docker's files
	written    bool      // this process has written the status
	vmVersion  string    // of the VM as of that status
	lastWrite  time.Time // time of the newest status write
}

// decision is what to do next, and the new status.
type decision struct {
	createVM        *lima.LimaVM     // make it
	template        string           // write that to the VM's own ConfigMap first; empty: leave it
	vmSpec          *lima.LimaVMSpec // give the VM this spec; nil: leave it
	deleteVM        bool
	ensureContext   bool // make docker's context
	removeContext   bool
	removeFinalizer bool
	phase           engine.Phase // tell the engine
	reason          string       // and why, when it can't be reached
	requeueAfter    time.Duration
	status          v1alpha1.AppStatus
	memory          memory

	failure  *refusal
	settling bool // the VM is not yet as the App says
}

// decide returns what to do next for the App. It is a pure function: it uses no client and no clock.
func decide(o observation) decision {
	d := decision{status: *o.app.Status.DeepCopy(), memory: o.memory, failure: o.refused}
	d.status.ObservedGeneration = o.app.Generation
	size := sizeOf(o.app.Spec.VirtualMachine, o.computer)
	d.status.VirtualMachine = &size
	switch {
	case !o.app.DeletionTimestamp.IsZero():
		d.remove(o)
	case o.vm == nil:
		d.create(o, size)
	case o.left():
		d.settling = true // the garbage collector deletes it, and then a new one is made
	case !o.owned():
		d.failure = &refusal{permanent: true, message: "there is already a virtual machine named " + v1alpha1.VM + " that is not the App's, and the App's has the same name: " +
			"RDD leaves it as it is. If you don't need it, delete it with its disk, and the App goes on: " + o.command("vm delete "+v1alpha1.VM)}
	case o.vm.DeletionTimestamp.IsZero():
		d.change(o, size)
	default: // deleted by somebody else: a new one is made once it is gone
		d.settling = true
	}
	d.reach(o)
	d.report(o)
	return d
}

// owned reports whether the VM is the App's.
func (o observation) owned() bool {
	return o.vm != nil && metav1.IsControlledBy(o.vm, o.app)
}

// left reports whether the VM belongs to an App that is gone: one that was deleted before it had its finalizer.
func (o observation) left() bool {
	if o.vm == nil {
		return false
	}
	owner := metav1.GetControllerOf(o.vm)
	return owner != nil && isApp(*owner) && owner.UID != o.app.UID
}

// isApp reports whether owner is an App.
func isApp(owner metav1.OwnerReference) bool {
	return owner.Kind == v1alpha1.Kind && strings.HasPrefix(owner.APIVersion, v1alpha1.GroupVersion.Group+"/")
}

// remove stops and deletes the VM, then removes docker's context, then lets the App go.
func (d *decision) remove(o observation) {
	d.settling, d.failure = true, nil
	if !o.owned() {
		d.removeContext, d.removeFinalizer = true, true
		d.requeueAfter = refusedInterval // if that fails
		return
	}
	if o.vm.Spec.StopMode != o.app.Spec.StopMode {
		d.vmSpec = o.vm.Spec.DeepCopy()
		d.vmSpec.StopMode = o.app.Spec.StopMode
	}
	d.deleteVM = o.vm.DeletionTimestamp.IsZero()
}

// create makes the VM.
func (d *decision) create(o observation, size v1alpha1.VirtualMachine) {
	d.settling = true
	if o.refused != nil {
		d.requeueAfter = refusedInterval
		if o.template == "" {
			d.requeueAfter = missingInterval
		}
		return
	}
	text, err := o.withSize(o.template, size, o.engineName())
	if err != nil {
		d.failure = &refusal{permanent: true, message: "RDD's guest can't have the size that the App asks for: " + err.Error()}
		return
	}
	vm := &lima.LimaVM{}
	vm.Name = v1alpha1.VM
	vm.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(o.app, v1alpha1.GroupVersion.WithKind(v1alpha1.Kind))}
	vm.Spec = o.vmSpec(lima.LimaVMSpec{Template: text, Host: o.host}, size)
	d.createVM = vm
}

// vmSpec returns was with what the App says.
func (o observation) vmSpec(was lima.LimaVMSpec, size v1alpha1.VirtualMachine) lima.LimaVMSpec {
	spec := *was.DeepCopy()
	spec.Running = o.app.Spec.Running
	spec.SystemDisk = lima.SystemDiskReplace
	spec.StopMode = o.app.Spec.StopMode
	if pending(o.app.Spec.RestartedAt, o.app.Status.RestartedAt) {
		spec.RestartedAt = o.app.Spec.RestartedAt.DeepCopy()
	}
	if pending(o.app.Spec.ResetAt, o.app.Status.ResetAt) {
		spec.ResetAt = o.app.Spec.ResetAt.DeepCopy()
	}
	if spec.DataDisk == nil || size.Disk.Cmp(spec.DataDisk.Size) > 0 { // it never shrinks
		spec.DataDisk = &lima.DataDisk{Size: size.Disk.DeepCopy()}
	}
	return spec
}

// pending reports whether what was asked for at that time was not carried out yet.
func pending(asked, done *metav1.MicroTime) bool { return asked != nil && !asked.Equal(done) }

// change gives the VM the spec and the template that the App says, and restarts it if its guest runs with another size.
func (d *decision) change(o observation, size v1alpha1.VirtualMachine) {
	spec := o.vmSpec(o.vm.Spec, size)
	next := o.stored
	if o.stored != "" {
		text, err := o.withSize(cmp.Or(o.template, o.stored), size, o.engineName()) // a newer RDD's guest replaces the system disk at the next start
		if err != nil {
			d.failure = &refusal{permanent: true, message: "the virtual machine can't have the size that the App asks for: " + err.Error()}
			return
		}
		if next = text; text != o.stored {
			d.template = text
		}
	}
	if o.mustApply(next, size, spec) {
		asked := metav1.NewMicroTime(o.now)
		spec.RestartedAt = &asked
		d.memory.applied = next
	}
	if !apiequality.Semantic.DeepEqual(spec, o.vm.Spec) {
		d.vmSpec = &spec
	}
	d.settling = d.vmSpec != nil || d.template != "" || o.vm.Status.ObservedGeneration < o.vm.Generation || restarting(spec, o.vm.Status) ||
		o.stored != "" && o.vm.Status.TemplateDigest != lima.TemplateDigest(o.stored)
	if carried(o.app.Spec.RestartedAt, o.vm.Status.RestartedAt) {
		d.status.RestartedAt = o.app.Spec.RestartedAt.DeepCopy()
	}
	if carried(o.app.Spec.ResetAt, o.vm.Status.ResetAt) {
		d.status.ResetAt = o.app.Spec.ResetAt.DeepCopy()
	}
}

// carried reports whether the VM has carried out what the App was asked for.
func carried(asked, done *metav1.MicroTime) bool { return asked != nil && asked.Equal(done) }

// restarting reports whether a restart or a reset of the VM was requested and is not done.
func restarting(spec lima.LimaVMSpec, status lima.LimaVMStatus) bool {
	return pending(spec.RestartedAt, status.RestartedAt) || pending(spec.ResetAt, status.ResetAt)
}

// mustApply reports whether the guest that runs must be restarted so that it gets its size. next is the template of the next
// start. A guest is not restarted twice for one template: should the comparison be wrong, it would go on forever.
func (o observation) mustApply(next string, size v1alpha1.VirtualMachine, spec lima.LimaVMSpec) bool {
	if o.launched == nil || !spec.Running || next == "" || o.memory.applied == next || restarting(spec, o.vm.Status) {
		return false
	}
	wanted, err := o.withSize(o.launched.template, size, o.engineName())
	grown := o.launched.dataDisk != 0 && spec.DataDisk.Size.Value() > o.launched.dataDisk
	return err == nil && (wanted != o.launched.template || grown)
}

// reach decides how the engine can be reached.
func (d *decision) reach(o observation) {
	app, vm := o.app, o.vm
	d.phase = engine.Stopped
	switch {
	case !app.DeletionTimestamp.IsZero():
		d.reason = "RDD's App is being deleted, so there is no container engine. A new one is made by: " + o.command("start")
		return
	case !app.Spec.Running:
		d.reason = "RDD's container engine is stopped. Start it with: " + o.command("start")
		return
	case d.failure != nil:
		d.reason = "RDD's container engine can't start: " + d.failure.message
		return
	}
	d.phase, d.reason = engine.Starting, "RDD's container engine is starting. How far it is: "+o.command("status")
	if vm == nil || d.settling {
		return
	}
	if failure, permanent := vm.Failure(); permanent {
		d.phase, d.reason = engine.Stopped, "RDD's container engine can't start: "+failure.Message
		return
	}
	if running := meta.FindStatusCondition(vm.Status.Conditions, lima.ConditionRunning); running != nil && hasGuest(*running) {
		d.phase, d.reason = engine.Running, ""
	}
}

// hasGuest reports whether the VM runs, though its guest may not answer right now.
func hasGuest(running metav1.Condition) bool {
	return running.Status == metav1.ConditionTrue || running.Reason == lima.ReasonUnresponsive || running.Reason == lima.ReasonPaused
}

// notSetUp is why the engine can't be reached while there is no App.
func notSetUp(command func(string) string) string {
	return "RDD's container engine has not been set up. Set it up and start it with: " + command("start")
}
