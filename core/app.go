package core

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	app "rancherdesktop.io/rdd/internal/api/app/v1alpha1"
	lima "rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
	"rancherdesktop.io/rdd/internal/machine/layout"
	"rancherdesktop.io/rdd/internal/wait"
)

// App is the object of the container desktop in the control plane.
type App = app.App

// AppName is the name of the App, and AppVM that of the VM that it owns.
const (
	AppName = app.Name
	AppVM   = app.VM
)

// EngineName is the name of a container engine.
type EngineName = app.EngineName

// The container engines. Moby is the default.
const (
	Moby       = app.Moby
	Containerd = app.Containerd
)

// EngineClient returns the command with which a user works with an engine.
func EngineClient(engine EngineName) string {
	if engine == Containerd {
		return "rdd nerdctl"
	}
	return "docker"
}

// DockerContextMode says when the docker context of the App becomes docker's current one.
type DockerContextMode = app.DockerContextMode

// DockerContextAuto is the default mode.
const DockerContextAuto = app.DockerContextAuto

// VMProgress is the step under way of a VM or of the App.
type VMProgress = lima.Progress

// PortForwarded is the state of a port that can be used.
const PortForwarded = lima.PortForwarded

// Port is a port of this host that is forwarded to the App, or should be.
type Port = lima.Port

// ManagedByApp reports whether the App owns the VM, so that it can be changed only with the App.
func ManagedByApp(vm *VM) bool {
	owner := metav1.GetControllerOfNoCopy(vm)
	return owner != nil && owner.Kind == app.Kind && strings.HasPrefix(owner.APIVersion, app.GroupVersion.Group+"/")
}

// AppClient works on the App of an instance.
type AppClient struct{ session *Session }

// App returns the App of the session's instance, which may not exist yet.
func (s *Session) App() *AppClient { return &AppClient{s} }

func (a *AppClient) resource() dynamic.ResourceInterface { return appResource(a.session.client) }

func appResource(c dynamic.Interface) dynamic.ResourceInterface {
	return c.Resource(app.GroupVersion.WithResource(app.Resource))
}

// ErrNoApp means that nobody has started the App yet, or that it was deleted.
var ErrNoApp = &Error{Kind: NotFound, Err: errors.New("there is no App yet; create and start it with: rdd start")}

// Show returns the App. The error has the kind NotFound when there is none.
func (a *AppClient) Show(ctx context.Context) (*App, error) {
	const op = "show the App"
	obj, err := a.resource().Get(ctx, app.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, Failed(op, "", ErrNoApp)
	}
	if err != nil {
		return nil, Failed(op, "", err)
	}
	seen, err := decodeApp(obj)
	return seen, Failed(op, "", err)
}

func decodeApp(obj *unstructured.Unstructured) (*App, error) {
	seen := &App{}
	obj.SetManagedFields(nil) // are only for kubectl
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, seen); err != nil {
		return nil, fmt.Errorf("read the App: %w", err)
	}
	return seen, nil
}

// AppSettings are the settings of the App in the form of its spec.
type AppSettings struct {
	Spec      map[string]any // what the user has set, and the definition's defaults
	Effective map[string]any // what the next start uses instead of what is not in Spec, as far as it is known
}

// Settings returns the App's settings.
func (a *AppClient) Settings(ctx context.Context) (s AppSettings, err error) {
	const op = "read the settings of the App"
	obj, err := a.resource().Get(ctx, app.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		err = ErrNoApp
	}
	if err != nil {
		return s, Failed(op, "", err)
	}
	s.Spec, _, _ = unstructured.NestedMap(obj.Object, "spec")
	if vm, ok, _ := unstructured.NestedMap(obj.Object, "status", "virtualMachine"); ok {
		s.Effective = map[string]any{"virtualMachine": vm}
	}
	return s, nil
}

// Start starts the App and waits until its engine answers. It creates the App if there is none. It also retries what failed
// permanently, because the cause, such as a missing program, may have been fixed outside the spec.
func (a *AppClient) Start(ctx context.Context, w Wait) error { return a.StartWith(ctx, nil, w) }

// StartWith is Start with a change of the App's spec, as Set makes it.
func (a *AppClient) StartWith(ctx context.Context, change map[string]any, w Wait) error {
	const op = "start the App"
	w = w.FromNow()
	spec := map[string]any{"running": true, "stopMode": lima.StopGraceful}
	maps.Copy(spec, change)
	was, err := a.Show(ctx)
	if err == nil { // the change reports the error
		if err := a.awaitDeleted(ctx, op, was, w); err != nil {
			return err
		}
		if _, permanent := was.Failure(); permanent {
			spec["restartedAt"] = metav1.NowMicro()
		}
	}
	now, err := a.put(ctx, op, spec, false)
	if err != nil {
		return err
	}
	return a.settle(ctx, op, now, change["virtualMachine"] != nil, w)
}

// awaitDeleted waits until the App is gone if it is being deleted.
func (a *AppClient) awaitDeleted(ctx context.Context, op string, was *App, w Wait) error {
	switch {
	case was.DeletionTimestamp.IsZero():
		return nil
	case w.Accepted:
		return Failed(op, "", errors.New("it is being deleted; try it again when that is done, or without --wait=false"))
	}
	return a.await(ctx, op, was, w, was.Expectation().Deleted)
}

// Stop stops the App and waits until its virtual machine has ended. With force, it powers the virtual machine off: it loses
// data that it has not written to its disks.
func (a *AppClient) Stop(ctx context.Context, force bool, w Wait) error {
	return a.change(ctx, "stop the App", map[string]any{"running": false, "stopMode": stopMode(force)}, w)
}

// Restart stops the App, starts it, and waits until its engine answers. With force, it powers the virtual machine off.
func (a *AppClient) Restart(ctx context.Context, force bool, w Wait) error {
	return a.change(ctx, "restart the App", map[string]any{
		"running": true, "stopMode": stopMode(force), "restartedAt": metav1.NowMicro(),
	}, w)
}

// Reset stops the App, replaces its system disk, and waits until it runs again if it ran before. Images, containers and
// volumes are kept. With force, it powers the virtual machine off.
func (a *AppClient) Reset(ctx context.Context, force bool, w Wait) error {
	return a.change(ctx, "reset the App", map[string]any{"stopMode": stopMode(force), "resetAt": metav1.NowMicro()}, w)
}

// Force powers off a virtual machine that is being stopped, restarted, reset or deleted. It doesn't wait.
func (a *AppClient) Force(ctx context.Context) error {
	_, err := a.patch(ctx, "force the App to stop", map[string]any{"stopMode": lima.StopForce}, false)
	return err
}

// Set merges spec into the App's spec; null stands for the default. All of it is changed, or nothing. It creates a stopped
// App if there is none. If the App runs, Set waits until it runs with the new settings. With dryRun, the control plane only
// checks the change, and nothing is stored.
func (a *AppClient) Set(ctx context.Context, spec map[string]any, dryRun bool, w Wait) error {
	const op = "set properties of the App"
	w = w.FromNow()
	now, err := a.put(ctx, op, spec, dryRun)
	switch {
	case err != nil || dryRun:
		return err
	case now.Spec.Running:
		return a.settle(ctx, op, now, spec["virtualMachine"] != nil || spec["containerEngine"] != nil, w)
	}
	return a.await(ctx, op, now, w, now.Expectation().Observed)
}

// Delete stops the App, deletes its virtual machine, all images, containers and volumes, and its docker context. It waits
// until the object is gone. With force, it powers the virtual machine off.
func (a *AppClient) Delete(ctx context.Context, force bool, w Wait) error {
	const op = "delete the App"
	w = w.FromNow()
	was, err := a.Show(ctx)
	if err != nil {
		return Failed(op, "", errors.Unwrap(err))
	}
	if force {
		if err := a.Force(ctx); err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	err = a.resource().Delete(ctx, app.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &was.UID}})
	if err != nil && !apierrors.IsNotFound(err) {
		return Failed(op, "", err)
	}
	return a.await(ctx, op, was, w, was.Expectation().Deleted)
}

// Follow waits until the last change of the App, by any client, is done.
func (a *AppClient) Follow(ctx context.Context, w Wait) error {
	const op = "follow the App"
	w = w.FromNow()
	now, err := a.Show(ctx)
	switch {
	case err != nil:
		return Failed(op, "", errors.Unwrap(err))
	case !now.DeletionTimestamp.IsZero():
		return a.await(ctx, op, now, w, now.Expectation().Deleted)
	}
	return a.settle(ctx, op, now, false, w)
}

// change patches the spec of an existing App and waits until everything is as the spec says.
func (a *AppClient) change(ctx context.Context, op string, spec map[string]any, w Wait) error {
	w = w.FromNow()
	now, err := a.patch(ctx, op, spec, false)
	if apierrors.IsNotFound(err) {
		err = ErrNoApp
	}
	if err != nil {
		return Failed(op, "", err)
	}
	return a.settle(ctx, op, now, true, w)
}

// put patches the spec, or creates the App with it.
func (a *AppClient) put(ctx context.Context, op string, spec map[string]any, dryRun bool) (*App, error) {
	now, err := a.patch(ctx, op, spec, dryRun)
	if apierrors.IsNotFound(err) {
		now, err = a.create(ctx, spec, dryRun)
	}
	if apierrors.IsAlreadyExists(err) { // another client has just created it
		now, err = a.patch(ctx, op, spec, dryRun)
	}
	return now, Failed(op, "", rejection(err))
}

func dryRunOption(dryRun bool) []string {
	if dryRun {
		return []string{metav1.DryRunAll}
	}
	return nil
}

// patch merges spec into the App's spec. A NotFound of the control plane is returned as it is in the chain.
func (a *AppClient) patch(ctx context.Context, op string, spec map[string]any, dryRun bool) (*App, error) {
	patch, err := json.Marshal(map[string]any{"spec": spec})
	if err != nil {
		return nil, Failed(op, "", err)
	}
	obj, err := a.resource().Patch(ctx, app.Name, types.MergePatchType, patch, metav1.PatchOptions{DryRun: dryRunOption(dryRun)})
	if err != nil {
		return nil, Failed(op, "", rejection(err))
	}
	return decodeApp(obj)
}

func (a *AppClient) create(ctx context.Context, spec map[string]any, dryRun bool) (*App, error) {
	object, err := json.Marshal(map[string]any{"spec": withoutNull(spec)})
	if err != nil {
		return nil, err
	}
	obj := &unstructured.Unstructured{}
	if err := json.Unmarshal(object, &obj.Object); err != nil {
		return nil, err
	}
	obj.SetGroupVersionKind(app.GroupVersion.WithKind(app.Kind))
	obj.SetName(app.Name)
	ctx, cancel := outlasting(ctx, createTimeout)
	defer cancel()
	created, err := a.resource().Create(ctx, obj, metav1.CreateOptions{DryRun: dryRunOption(dryRun)})
	if err != nil {
		return nil, err
	}
	return decodeApp(created)
}

// withoutNull returns a merge patch as the object that it creates.
func withoutNull(patch map[string]any) map[string]any {
	object := map[string]any{}
	for key, value := range patch {
		switch value := value.(type) {
		case nil:
		case map[string]any:
			object[key] = withoutNull(value)
		default:
			object[key] = value
		}
	}
	return object
}

// settle waits until everything is as the spec of now says. boots says that a running virtual machine restarts.
func (a *AppClient) settle(ctx context.Context, op string, now *App, boots bool, w Wait) error {
	if now.Spec.Running && (boots || !meta.IsStatusConditionTrue(now.Status.Conditions, app.ConditionRunning)) {
		w.log = layout.Of(a.session.core.inst, app.VM).SerialLog()
	}
	return a.await(ctx, op, now, w, now.Expectation().Settled)
}

// await watches the App and reports its progress until check returns true or an error.
func (a *AppClient) await(ctx context.Context, op string, now *App, w Wait, check func(seen *App) (bool, error)) error {
	if w.Accepted {
		return nil
	}
	for _, controller := range []string{app.Controller, lima.Controller} {
		if !a.session.core.runs(controller) {
			return Failed(op, "", fmt.Errorf("the change was accepted, but this service runs without the controller %s, so nothing carries it out; stop the service and run: rdd svc create --controllers '*'", controller))
		}
	}
	if progress := w.Progress; progress != nil {
		w.Progress = func(e Event) {
			e.Object = app.Name
			progress(e)
		}
	}
	return w.run(ctx, op, "", func(ctx context.Context, o *operation) error {
		return wait.Until(ctx, a.session.reconnecting(appResource, o), app.Name, func(obj *unstructured.Unstructured) (bool, error) {
			if obj == nil {
				return check(nil)
			}
			seen, err := decodeApp(obj)
			if err != nil {
				return false, err
			}
			if seen.Status.ObservedGeneration >= now.Generation { // else it is of an earlier change
				o.reportApp(seen)
			}
			return check(seen)
		})
	})
}

// reportApp reports the progress in the App's status, and what has failed and is tried again.
func (o *operation) reportApp(seen *App) {
	failure, permanent := seen.Failure()
	if permanent {
		failure = nil // ends the wait
	}
	switch p := seen.Status.Progress; {
	case p != nil:
		e := eventOf(p)
		if failure != nil {
			e.Message = failure.Message
		}
		o.report(e)
	case failure != nil:
		o.report(Event{Phase: phaseRetry, Message: failure.Message})
	}
}
