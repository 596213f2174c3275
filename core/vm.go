package core

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
	"rancherdesktop.io/rdd/internal/daemon"
	"rancherdesktop.io/rdd/internal/instance"
	"rancherdesktop.io/rdd/internal/proc"
	"rancherdesktop.io/rdd/internal/wait"
)

// VM is a virtual machine as the control plane holds it.
type VM = v1alpha1.LimaVM

// VMs are the virtual machines of an instance.
type VMs struct{ session *Session }

// VMs returns the virtual machines of the session's instance.
func (s *Session) VMs() *VMs { return &VMs{s} }

func (v *VMs) resource() dynamic.ResourceInterface { return vmResource(v.session.client) }

func vmResource(c dynamic.Interface) dynamic.ResourceInterface {
	return c.Resource(v1alpha1.GroupVersion.WithResource(v1alpha1.Resource))
}

// CreateOptions is what a new VM is made of.
type CreateOptions struct {
	// Template is the name of a ConfigMap; or, when it holds a / or :, a file or template URL,
	// which is embedded whole.
	Template     string
	Namespace    string     // of that ConfigMap; empty: default
	Text         string     // the template itself, whole; it wins over Template
	Resources    *Resources // instead of the template's; nil: the template's
	Params       map[string]string
	Acceleration v1alpha1.Acceleration // empty: Auto
	Start        bool
	DryRun       bool // let the control plane judge, store nothing

	adopt bool // the disk is there already; see Adopt
}

// Create makes a VM, and starts it if asked. It waits until its disk exists, or until it runs.
func (v *VMs) Create(ctx context.Context, name string, o CreateOptions, w Wait) error {
	op := "create VM"
	if o.adopt {
		op = "adopt VM"
	}
	w = w.fromNow()
	if err := v.session.core.inst.CheckVM(name); err != nil {
		return &Error{Kind: Usage, Op: op, Object: name, Err: err}
	}
	vm := &VM{ObjectMeta: metav1.ObjectMeta{Name: name}}
	vm.APIVersion, vm.Kind = v1alpha1.GroupVersion.String(), v1alpha1.Kind
	if o.adopt {
		vm.Annotations = map[string]string{v1alpha1.AdoptAnnotation: "true"}
	}
	vm.Spec = v1alpha1.LimaVMSpec{Running: o.Start, Params: o.Params, Acceleration: o.Acceleration}
	if err := v.fillTemplate(ctx, vm, o); err != nil {
		return failed(op, name, err)
	}
	obj, err := runtime.DefaultUnstructuredConverter.ToUnstructured(vm)
	if err != nil {
		return failed(op, name, err)
	}
	var options metav1.CreateOptions
	if o.DryRun {
		options.DryRun = []string{metav1.DryRunAll}
	}
	made, err := v.resource().Create(ctx, &unstructured.Unstructured{Object: obj}, options)
	if err != nil || o.DryRun {
		return failed(op, name, rejection(err))
	}
	vm, err = decode(made)
	if err != nil {
		return failed(op, name, err)
	}
	check := vm.Asked().Created
	if o.Start {
		check = vm.Asked().Running
	}
	w.log = v.bootLog(vm)
	err = v.await(ctx, op, vm, w, check)
	var failure *v1alpha1.FailedError
	if errors.As(err, &failure) && failure.Reason == v1alpha1.ReasonCreateFailed && !o.adopt {
		if left := v.undo(ctx, vm); left != nil {
			err = fmt.Errorf("%w; and it is not gone: %v", err, left) //nolint:errorlint // why the creation failed decides the kind
		}
	}
	return err
}

// fillTemplate gives a new VM the template that o asks for.
func (v *VMs) fillTemplate(ctx context.Context, vm *VM, o CreateOptions) (err error) {
	text := o.Text
	switch {
	case text != "":
	case strings.ContainsAny(o.Template, "/:"):
		if o.Namespace != "" {
			return &Error{Kind: Usage, Err: fmt.Errorf("a namespace is for the name of a ConfigMap, and %q is a file or URL: leave out --namespace %s", o.Template, o.Namespace)}
		}
		text, err = v.session.core.embedTemplate(ctx, o.Template)
	case o.Resources != nil:
		text, err = v.session.storedText(ctx, o.Namespace, o.Template)
	default:
		vm.Spec.TemplateRef = &v1alpha1.TemplateRef{Name: o.Template, Namespace: o.Namespace}
		return nil
	}
	if err == nil && o.Resources != nil {
		text, err = WithResources(text, *o.Resources)
	}
	vm.Spec.Template = text
	return cmp.Or(err, checkText(text))
}

// undoTimeout bounds removing a VM that could not be made; it has no disk yet.
const undoTimeout = 30 * time.Second

// undo removes a VM that can't be made, so that a failed create changes nothing.
func (v *VMs) undo(ctx context.Context, vm *VM) error {
	err := v.resource().Delete(ctx, vm.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &vm.UID}})
	if err != nil && !apierrors.IsNotFound(err) {
		return failed("remove VM", vm.Name, err)
	}
	return v.await(ctx, "remove VM", vm, Wait{Timeout: undoTimeout}, vm.Asked().Deleted)
}

// Start asks for the VM to run and waits until it does. What failed for good is tried again: the
// cause, such as a missing program, may have been mended outside the spec.
func (v *VMs) Start(ctx context.Context, name string, w Wait) error {
	spec := map[string]any{"running": true, "stopMode": v1alpha1.StopGraceful}
	if vm, err := v.Show(ctx, name); err == nil { // else the change says why not
		if _, permanent := vm.Failure(); permanent {
			spec["restartedAt"] = metav1.NowMicro()
		}
	}
	return v.change(ctx, "start VM", name, spec, w)
}

// Stop asks the VM to stop and waits until no process of it is left. Force ends it at once; what
// the guest has not written to its disk is lost.
func (v *VMs) Stop(ctx context.Context, name string, force bool, w Wait) error {
	return v.change(ctx, "stop VM", name, map[string]any{"running": false, "stopMode": stopMode(force)}, w)
}

// Restart stops the VM, starts it, and waits until it runs. Force ends the guest at once.
func (v *VMs) Restart(ctx context.Context, name string, force bool, w Wait) error {
	return v.change(ctx, "restart VM", name, map[string]any{
		"running": true, "stopMode": stopMode(force), "restartedAt": metav1.NowMicro(),
	}, w)
}

// Reset stops the VM, removes its disk with all that is on it, makes a new one from its template,
// and waits until the VM runs again, if it is to run. Force ends the guest at once.
func (v *VMs) Reset(ctx context.Context, name string, force bool, w Wait) error {
	const op = "reset VM"
	w = w.fromNow()
	vm, err := v.patch(ctx, op, name, map[string]any{"stopMode": stopMode(force), "resetAt": metav1.NowMicro()})
	if err != nil {
		return err
	}
	w.log = v.bootLog(vm)
	return v.await(ctx, op, vm, w, vm.Asked().Reset)
}

// Force ends the VM's guest at once in whatever stops it now: a stop, a restart, a reset or a deletion.
// What the guest has not written to its disk is lost. It waits for nothing.
func (v *VMs) Force(ctx context.Context, name string) error {
	_, err := v.patch(ctx, "force VM to stop", name, map[string]any{"stopMode": v1alpha1.StopForce})
	return err
}

func stopMode(force bool) v1alpha1.StopMode {
	if force {
		return v1alpha1.StopForce
	}
	return v1alpha1.StopGraceful
}

// change patches the spec and waits until the VM runs, or has stopped, as of that change.
func (v *VMs) change(ctx context.Context, op, name string, spec map[string]any, w Wait) error {
	w = w.fromNow()
	vm, err := v.patch(ctx, op, name, spec)
	if err != nil {
		return err
	}
	w.log = v.bootLog(vm)
	return v.await(ctx, op, vm, w, vm.Asked().Running)
}

// bootLog is where the guest's console goes if the VM is to boot.
func (v *VMs) bootLog(vm *VM) string {
	if !vm.Spec.Running {
		return ""
	}
	return v.session.core.layout(vm.Name).SerialLog()
}

// patch merges spec into the VM's and returns the VM with the generation that the server gave it.
func (v *VMs) patch(ctx context.Context, op, name string, spec map[string]any) (*VM, error) {
	patch, err := json.Marshal(map[string]any{"spec": spec})
	if err != nil {
		return nil, failed(op, name, err)
	}
	obj, err := v.resource().Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		return nil, failed(op, name, v.explain(name, rejection(err)))
	}
	vm, err := decode(obj)
	return vm, failed(op, name, err)
}

// await follows the VM until check decides, and passes on its progress.
func (v *VMs) await(ctx context.Context, op string, vm *VM, w Wait, check func(seen *VM) (bool, error)) error {
	if w.Accepted {
		return nil
	}
	if !v.session.core.runs(controllerOfVMs) {
		return failed(op, vm.Name, errUnattended)
	}
	return w.run(ctx, op, vm.Name, func(ctx context.Context, o *operation) error {
		return wait.Until(ctx, v.session.lasting(vmResource, o), vm.Name, func(obj *unstructured.Unstructured) (bool, error) {
			if obj == nil {
				return check(nil)
			}
			seen, err := decode(obj)
			if err != nil {
				return false, err
			}
			o.reportVM(seen)
			return check(seen)
		})
	})
}

// controllerOfVMs is the controller that carries out what is asked of VMs.
const controllerOfVMs = "limavm"

// errUnattended ends a wait for what nobody works on.
var errUnattended = errors.New("the change was accepted, but this service runs without the controller limavm, so nothing carries it out; stop the service and run: rdd svc create --controllers '*'")

// runs says whether somebody runs the controller: this instance's service, or, for all that is known
// here, that of another host which shares the store.
func (c *Core) runs(controller string) bool {
	config, err := daemon.LoadConfig(c.inst)
	return err != nil || config.DatastoreEndpoint != "" || config.Runs(controller)
}

// Delete stops the VM, removes its disk, and waits until it is gone.
func (v *VMs) Delete(ctx context.Context, name string, w Wait) error {
	const op = "delete VM"
	w = w.fromNow()
	vm, err := v.Show(ctx, name)
	if err != nil {
		return failed(op, name, errors.Unwrap(err))
	}
	err = v.resource().Delete(ctx, name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &vm.UID}})
	if err != nil && !apierrors.IsNotFound(err) {
		return failed(op, name, err)
	}
	return v.await(ctx, op, vm, w, vm.Asked().Deleted)
}

// Follow waits until what was last asked of the VM, by whomever, has come to be: it runs, has stopped, or is gone.
func (v *VMs) Follow(ctx context.Context, name string, w Wait) error {
	const op = "follow VM"
	w = w.fromNow()
	vm, err := v.Show(ctx, name)
	if err != nil {
		return failed(op, name, errors.Unwrap(err))
	}
	if !vm.DeletionTimestamp.IsZero() {
		return v.await(ctx, op, vm, w, vm.Asked().Deleted)
	}
	w.log = v.bootLog(vm)
	return v.await(ctx, op, vm, w, vm.Asked().Running)
}

// List returns every VM, by name.
func (v *VMs) List(ctx context.Context) ([]VM, error) {
	list, err := v.resource().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, failed("list VMs", "", err)
	}
	vms := make([]VM, 0, len(list.Items))
	for i := range list.Items {
		vm, err := decode(&list.Items[i])
		if err != nil {
			return nil, failed("list VMs", "", err)
		}
		vms = append(vms, *vm)
	}
	return vms, nil
}

// Show returns one VM.
func (v *VMs) Show(ctx context.Context, name string) (*VM, error) {
	obj, err := v.resource().Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, failed("show VM", name, v.explain(name, err))
	}
	vm, err := decode(obj)
	return vm, failed("show VM", name, err)
}

// shellPatience is how long a VM that is not known to answer may take to let somebody in.
const shellPatience = 30 * time.Second

// ShellOptions say what runs in a VM, and where.
type ShellOptions struct {
	Command []string // empty: a login shell
	Shell   string   // of the guest, such as zsh, as a login shell; empty: its user's own
	Workdir string   // in the guest, to begin in; empty: the current folder where the guest has it, else home
}

// Shell returns the command that runs a command in the VM, or a login shell. It fails when the VM does
// not run; it starts nothing. A VM that still boots, or doesn't answer, is given shellPatience to do so.
func (v *VMs) Shell(ctx context.Context, name string, o ShellOptions) (*exec.Cmd, error) {
	const op = "open shell in VM"
	vm, err := v.Show(ctx, name)
	if err != nil {
		return nil, err
	}
	if !CanEnter(vm) {
		return nil, failed(op, name, fmt.Errorf("it is not running; start it with: rdd vm start %s", name))
	}
	inst := v.session.core.inst
	program, err := v.session.core.limaProgram()
	if err != nil {
		return nil, failed(op, name, err)
	}
	args := []string{"ssh", "--lima-home", inst.LimaHome()}
	if o.Shell != "" {
		args = append(args, "--shell="+o.Shell)
	}
	if o.Workdir != "" {
		args = append(args, "--workdir="+o.Workdir)
	}
	if !meta.IsStatusConditionTrue(vm.Status.Conditions, v1alpha1.ConditionRunning) {
		args = append(args, "--patience="+shellPatience.String())
	}
	args = append(args, name, "--")
	cmd := exec.Command(program, append(args, o.Command...)...)
	v.session.core.running(cmd)
	return cmd, nil
}

// CanEnter says whether a guest of the VM may run, so that a shell in it can be tried.
func CanEnter(vm *VM) bool {
	running := meta.FindStatusCondition(vm.Status.Conditions, v1alpha1.ConditionRunning)
	if running == nil {
		return false
	}
	switch running.Reason {
	case v1alpha1.ReasonStarting, v1alpha1.ReasonUnresponsive, v1alpha1.ReasonPaused, v1alpha1.ReasonStopping, v1alpha1.ReasonStopFailed:
		return running.Status == metav1.ConditionUnknown
	}
	return running.Status == metav1.ConditionTrue
}

func decode(obj *unstructured.Unstructured) (*VM, error) {
	vm := &VM{}
	obj.SetManagedFields(nil) // who set which field is kubectl's business
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, vm); err != nil {
		return nil, fmt.Errorf("read VM %q: %w", obj.GetName(), err)
	}
	return vm, nil
}

// explain replaces the API's "not found" by words of the user's world.
func (v *VMs) explain(name string, err error) error {
	if !apierrors.IsNotFound(err) {
		return err
	}
	missing := errors.New("there is no such VM; see: rdd vm list")
	if vm := v.session.core.layout(name); filepath.IsLocal(name) && orphaned(vm) {
		missing = fmt.Errorf("the service has no object for the VM in %[1]s; take it in with: rdd vm adopt %[2]s; or remove it with its disk: rdd vm delete %[2]s --orphan", vm.Dir(), name)
	}
	return &Error{Kind: NotFound, Err: missing}
}

// reportVM passes on what the VM's status says is under way.
func (o *operation) reportVM(vm *VM) {
	if p := vm.Status.Progress; p != nil {
		o.report(Event{Phase: p.Phase, Step: int(p.Step), Steps: int(p.Steps), Bytes: p.Bytes, Total: p.Total, Message: p.Message})
		return
	}
	if failure, permanent := vm.Failure(); failure != nil && !permanent {
		o.report(Event{Phase: "retry", Message: failure.Message})
	}
}

// limaProgram is the program that reads templates and opens shells. It can't run for a user without a name.
func (c *Core) limaProgram() (string, error) {
	if err := instance.CheckUser(); err != nil {
		return "", err
	}
	return c.inst.Program("rdd-lima")
}

// embedTimeout bounds reading a template, which may come from the network.
const embedTimeout = 30 * time.Second

// exitRefused is how rdd-lima says that it refuses the text, and not that it can't read it.
const exitRefused = 3

// embedTemplate returns the whole text of a template, with all it refers to.
func (c *Core) embedTemplate(ctx context.Context, locator string) (string, error) {
	program, err := c.limaProgram()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, embedTimeout, fmt.Errorf("%w: %s was not read within %s", context.DeadlineExceeded, locator, embedTimeout))
	defer cancel()
	var out, problem bytes.Buffer
	cmd := exec.Command(program, "template", "--share", c.inst.ShareDir(), locator)
	cmd.Stdout, cmd.Stderr = &out, &problem
	c.running(cmd)
	tree, err := proc.Start(ctx, cmd, answerGrace)
	if err == nil {
		err = tree.Wait()
	}
	if err != nil {
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		kind := Other
		if cmd.ProcessState != nil && cmd.ProcessState.ExitCode() == exitRefused {
			kind = Rejected
		}
		return "", &Error{Kind: kind, Op: "read template", Object: locator, Err: errors.New(strings.TrimSpace(strings.TrimPrefix(problem.String(), "rdd-lima: ")))}
	}
	return out.String(), nil
}
