package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/docker/go-units"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"rancherdesktop.io/rdd/internal/admission"
	"rancherdesktop.io/rdd/internal/api/app/v1alpha1"
	lima "rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
	"rancherdesktop.io/rdd/internal/controller"
	"rancherdesktop.io/rdd/internal/machine"
)

var (
	apps       = schema.GroupResource{Group: v1alpha1.GroupVersion.Group, Resource: v1alpha1.Resource}
	limaVMs    = schema.GroupResource{Group: lima.GroupVersion.Group, Resource: lima.Resource}
	configMaps = corev1.Resource("configmaps")
)

// validator admits writes to the App, to its LimaVM and to that VM's template. The control plane serves with these rules before
// there is a client for them. Until live is connected, writes that need the client are rejected with the advice to try again.
type validator struct {
	options Options
	live    controller.Live
}

func newValidator(o Options) *validator { return &validator{options: o} }

// admission returns the rules.
func (v *validator) admission() []admission.Admission {
	return []admission.Admission{
		{Resources: []schema.GroupResource{apps}, Admit: v.admitApp},
		{Resources: []schema.GroupResource{limaVMs}, Admit: v.admitVM},
		{Resources: []schema.GroupResource{configMaps}, Admit: v.admitTemplate},
	}
}

// admitApp rejects what this host can't do. It checks only what this write changes, so that an old App can always be stopped
// and deleted.
func (v *validator) admitApp(ctx context.Context, r admission.Review) error {
	if r.Subresource != "" || r.Operation == admission.Delete {
		return nil
	}
	app, err := appFrom(r.Object)
	if err != nil {
		return err
	}
	old := &v1alpha1.App{}
	if r.Operation == admission.Update {
		if old, err = appFrom(r.Old); err != nil {
			return err
		}
	}
	if controllerutil.ContainsFinalizer(old, v1alpha1.Finalizer) && !controllerutil.ContainsFinalizer(app, v1alpha1.Finalizer) && !r.ByService() {
		return apierrors.NewForbidden(apps, app.Name, fmt.Errorf(
			"the finalizer %s is the service's: without it the virtual machine and its disks would be left when the App goes; to delete all: rdd delete", v1alpha1.Finalizer))
	}
	if !app.DeletionTimestamp.IsZero() {
		return nil
	}
	same := r.Operation == admission.Update && apiequality.Semantic.DeepEqual(app.Spec.VirtualMachine, old.Spec.VirtualMachine)
	if same || !v.options.claims(app) {
		return nil
	}
	return v.admitSize(ctx, app, old)
}

// admitSize rejects a virtual machine that this host can't have.
func (v *validator) admitSize(ctx context.Context, app, old *v1alpha1.App) error {
	path := field.NewPath("spec", "virtualMachine")
	computer, spec := v.options.Computer, app.Spec.VirtualMachine
	if n := int(spec.CPUs); computer.CPUs > 0 && n > computer.CPUs {
		return invalidApp(path.Child("cpus"), n, fmt.Sprintf("this host has %d processors", computer.CPUs))
	}
	if m := spec.Memory; computer.Memory > 0 && m != nil && m.Value() > computer.Memory {
		return invalidApp(path.Child("memory"), m.String(), fmt.Sprintf("this host has %s of memory", units.BytesSize(float64(computer.Memory))))
	}
	if err := v.admitMounts(path.Child("mounts"), spec.Mounts, old.Spec.VirtualMachine.Mounts); err != nil {
		return err
	}
	live, err := v.live.Reader()
	if err != nil {
		return err
	}
	vm, err := appVM(ctx, live)
	if err != nil {
		return err
	}
	size := sizeOf(spec, computer)
	if vm != nil && metav1.IsControlledBy(vm, app) && vm.Spec.DataDisk != nil && size.Disk.Cmp(vm.Spec.DataDisk.Size) < 0 {
		return invalidApp(path.Child("disk"), size.Disk.String(), fmt.Sprintf("the data disk has %s and can't shrink; only deleting the App, with all images, containers and volumes, makes a smaller one", vm.Spec.DataDisk.Size.String()))
	}
	return v.admitTemplateOf(ctx, path, app, size)
}

// admitMounts rejects folders that don't exist or are named twice. It checks only those that this write adds.
func (v *validator) admitMounts(path *field.Path, mounts, old []v1alpha1.Mount) error {
	known := map[string]int{}
	had := map[string]bool{}
	for _, m := range old {
		had[m.Path] = true
	}
	for i, m := range mounts {
		at := path.Index(i).Child("path")
		folder := v.options.Computer.folder(m.Path)
		if !filepath.IsAbs(folder) {
			return invalidApp(at, m.Path, "must be an absolute path, or begin with ~/")
		}
		if first, twice := known[folder]; twice {
			return invalidApp(at, m.Path, fmt.Sprintf("is the same folder as mounts[%d]", first))
		}
		known[folder] = i
		if had[m.Path] {
			continue
		}
		info, err := os.Stat(folder)
		switch {
		case errors.Is(err, os.ErrNotExist):
			return invalidApp(at, m.Path, "there is no such folder on this host: make it first")
		case err != nil:
			return invalidApp(at, m.Path, "can't be read: "+err.Error())
		case !info.IsDir():
			return invalidApp(at, m.Path, "is not a folder")
		}
	}
	return nil
}

// admitTemplateOf lets Lima check the template with that size. Without RDD's guest there is nothing to check yet.
func (v *validator) admitTemplateOf(ctx context.Context, path *field.Path, app *v1alpha1.App, size v1alpha1.VirtualMachine) error {
	guest, err := v.options.Guest()
	if err != nil {
		return nil //nolint:nilerr // the App's status says that the guest is missing
	}
	text, err := withSize(guest, size, engineOf(app))
	if err != nil {
		return apierrors.NewInternalError(err)
	}
	err = v.options.Validate(ctx, "", []byte(text))
	if rejected, ok := errors.AsType[*machine.TemplateError](err); ok {
		for _, name := range []string{"cpus", "memory", "mounts"} {
			if strings.HasPrefix(rejected.Field, name) {
				return invalidApp(path.Child(name), field.OmitValueType{}, rejected.Message)
			}
		}
		return invalidApp(path, field.OmitValueType{}, rejected.Error())
	}
	if err != nil {
		return apierrors.NewInternalError(fmt.Errorf("the size of the virtual machine could not be checked: %w", err))
	}
	return nil
}

// admitVM keeps the App's VM as the App says, and its name free for it.
func (v *validator) admitVM(ctx context.Context, r admission.Review) error {
	if r.ByService() || r.Subresource != "" || r.Name != v1alpha1.VM && (r.Object == nil || r.Object.GetName() != v1alpha1.VM) {
		return nil
	}
	if r.Operation == admission.Create {
		app, err := v.app(ctx)
		if app == nil || err != nil {
			return err
		}
		return apierrors.NewForbidden(limaVMs, v1alpha1.VM, errors.New("the App's virtual machine has this name; choose another one"))
	}
	owned, err := v.owned(ctx, r.Old)
	if !owned || err != nil {
		return err
	}
	if r.Operation == admission.Delete {
		return apierrors.NewForbidden(limaVMs, v1alpha1.VM, errors.New("it is the App's virtual machine; to stop it: rdd stop; to delete it with all images, containers and volumes: rdd delete"))
	}
	advice, err := adviceFor(r)
	if advice == "" || err != nil {
		return err
	}
	return apierrors.NewForbidden(limaVMs, v1alpha1.VM, errors.New("it is the App's virtual machine and changes only with the App; use: "+advice))
}

// adviceFor names the command that does for the App what the write would do to its VM; empty when the write does nothing to it.
func adviceFor(r admission.Review) (string, error) {
	now, was := &lima.LimaVM{}, &lima.LimaVM{}
	for o, vm := range map[*unstructured.Unstructured]*lima.LimaVM{r.Object: now, r.Old: was} {
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, vm); err != nil {
			return "", apierrors.NewBadRequest(err.Error())
		}
	}
	switch {
	case now.Spec.StopMode == lima.StopForce && (was.Spec.StopMode != lima.StopForce || was.Spec.Running && !now.Spec.Running):
		return "rdd stop --force", nil
	case was.Spec.Running && !now.Spec.Running:
		return "rdd stop", nil
	case now.Spec.Running && !was.Spec.Running:
		return "rdd start", nil
	case !now.Spec.RestartedAt.Equal(was.Spec.RestartedAt):
		return "rdd restart", nil
	case !now.Spec.ResetAt.Equal(was.Spec.ResetAt):
		return "rdd reset", nil
	case !apiequality.Semantic.DeepEqual(now.Spec, was.Spec):
		return "rdd set", nil
	case !apiequality.Semantic.DeepEqual(now.Finalizers, was.Finalizers), !apiequality.Semantic.DeepEqual(now.OwnerReferences, was.OwnerReferences):
		return "rdd delete", nil
	}
	return "", nil
}

// admitTemplate keeps the template of the App's VM.
func (v *validator) admitTemplate(ctx context.Context, r admission.Review) error {
	if r.ByService() || r.Operation == admission.Create || r.Namespace != lima.SystemNamespace || r.Name != lima.TemplateConfigMapName(v1alpha1.VM) {
		return nil
	}
	live, err := v.live.Reader()
	if err != nil {
		return err
	}
	vm, err := appVM(ctx, live)
	if vm == nil || err != nil || !metav1.IsControlledBy(r.Old, vm) {
		return err
	}
	app, err := v.app(ctx)
	if app == nil || err != nil || !metav1.IsControlledBy(vm, app) {
		return err
	}
	return apierrors.NewForbidden(configMaps, r.Name, errors.New("it holds the template of the App's virtual machine and changes only with the App; to change processors, memory, disk or mounts: rdd set; to delete all: rdd delete"))
}

// owned reports whether the App exists and owns o.
func (v *validator) owned(ctx context.Context, o *unstructured.Unstructured) (bool, error) {
	owner := metav1.GetControllerOf(o)
	if owner == nil || !isApp(*owner) {
		return false, nil
	}
	app, err := v.app(ctx)
	return app != nil && app.UID == owner.UID, err
}

// app returns the App, nil when there is none.
func (v *validator) app(ctx context.Context) (*v1alpha1.App, error) {
	live, err := v.live.Reader()
	if err != nil {
		return nil, err
	}
	app := &v1alpha1.App{}
	err = live.Get(ctx, types.NamespacedName{Name: v1alpha1.Name}, app)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return app, err
}

func appFrom(o *unstructured.Unstructured) (*v1alpha1.App, error) {
	app := &v1alpha1.App{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, app); err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	return app, nil
}

// invalidApp returns the rejection of one field of the App.
func invalidApp(path *field.Path, value any, message string) error {
	kind := schema.GroupKind{Group: v1alpha1.GroupVersion.Group, Kind: v1alpha1.Kind}
	return apierrors.NewInvalid(kind, v1alpha1.Name, field.ErrorList{field.Invalid(path, value, message)})
}
