package limavm

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"rancherdesktop.io/rdd/internal/admission"
	"rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
	"rancherdesktop.io/rdd/internal/controller"
	"rancherdesktop.io/rdd/internal/machine"
)

var (
	limaVMs    = schema.GroupResource{Group: v1alpha1.GroupVersion.Group, Resource: v1alpha1.Resource}
	configMaps = corev1.Resource("configmaps")
)

// validator admits writes to LimaVMs and to the ConfigMaps with their templates. The control plane serves with these rules
// before there is a client for them. Until live is connected, writes that need the client are rejected with the advice to try
// again.
type validator struct {
	machines    MachineManager
	checkName   func(vm string) error
	checkFolder func(vm *v1alpha1.LimaVM) error
	live        controller.Live

	dataDiskSize func(vm string) (size int64, ok bool) // see Options; nil: there are no data disks
}

// newValidator returns a validator that lets Lima check templates. checkName says whether the paths for a VM of that name are short
// enough, and checkFolder whether the folder of a new VM is free.
func newValidator(m MachineManager, checkName func(vm string) error, checkFolder func(vm *v1alpha1.LimaVM) error) *validator {
	return &validator{machines: m, checkName: checkName, checkFolder: checkFolder}
}

// admission returns the rules.
func (v *validator) admission() []admission.Admission {
	return []admission.Admission{
		{Resources: []schema.GroupResource{limaVMs}, Admit: v.admitVM},
		{Resources: []schema.GroupResource{configMaps}, Admit: v.admitConfigMap},
	}
}

// admitVM rejects a VM whose name or template can't work. It checks only what this write changes, so that an old object can
// always be stopped and deleted.
func (v *validator) admitVM(ctx context.Context, r admission.Review) error {
	if r.Subresource != "" || r.Operation == admission.Delete {
		return nil
	}
	vm, err := vmFrom(r.Object)
	if err != nil {
		return err
	}
	live, err := v.live.Reader()
	if err != nil {
		return err
	}
	if r.Operation == admission.Create {
		return v.admitCreate(ctx, live, vm)
	}
	old, err := vmFrom(r.Old)
	if err != nil {
		return err
	}
	if controllerutil.ContainsFinalizer(old, v1alpha1.Finalizer) && !controllerutil.ContainsFinalizer(vm, v1alpha1.Finalizer) && !r.ByService() {
		return apierrors.NewForbidden(limaVMs, vm.Name, fmt.Errorf(
			"the finalizer %s is the service's: without it the VM's processes and its disk would be left when the object goes; to delete all: rdd vm delete %[2]s; to end a guest that does not stop: rdd vm stop %[2]s --force", v1alpha1.Finalizer, vm.Name))
	}
	if err := v.admitDataDisk(vm, old); err != nil {
		return err
	}
	same := maps.Equal(vm.Spec.Params, old.Spec.Params) && vm.Spec.Template == old.Spec.Template &&
		apiequality.Semantic.DeepEqual(vm.Spec.TemplateRef, old.Spec.TemplateRef)
	if same || !vm.DeletionTimestamp.IsZero() {
		return nil
	}
	kept, err := ownedTemplate(ctx, live, vm)
	if err != nil {
		return err
	}
	if kept == "" {
		return v.admitSource(ctx, live, vm)
	}
	return v.checkTemplate(ctx, vm, kept, func(message string) error { return invalidVM(vm, field.NewPath("spec", "params"), message) })
}

func (v *validator) admitCreate(ctx context.Context, live client.Reader, vm *v1alpha1.LimaVM) error {
	if err := v.checkName(vm.Name); err != nil {
		return invalidVM(vm, field.NewPath("metadata", "name"), err.Error())
	}
	// The datastore keeps names unique. This check only saves the work below when the name is taken.
	err := live.Get(ctx, types.NamespacedName{Name: vm.Name}, &v1alpha1.LimaVM{})
	if err == nil {
		return apierrors.NewAlreadyExists(limaVMs, vm.Name)
	}
	if !apierrors.IsNotFound(err) {
		return err
	}
	if err := v.admitDataDisk(vm, nil); err != nil {
		return err
	}
	if !vm.Adopts() {
		if err := v.checkFolder(vm); err != nil {
			return invalidVM(vm, field.NewPath("metadata", "name"), err.Error())
		}
	}
	return v.admitSource(ctx, live, vm)
}

// maxDataDisk is the largest data disk. Its file system can have no more.
var maxDataDisk = resource.MustParse("16Ti")

// admitDataDisk rejects a data disk that would have to shrink or to go. old is nil for a new VM.
func (v *validator) admitDataDisk(vm, old *v1alpha1.LimaVM) error {
	path, was, now := field.NewPath("spec", "dataDisk"), (*v1alpha1.DataDisk)(nil), vm.Spec.DataDisk
	if old != nil {
		was = old.Spec.DataDisk
	}
	switch {
	case apiequality.Semantic.DeepEqual(was, now) || !vm.DeletionTimestamp.IsZero():
		return nil
	case now == nil:
		return invalidVM(vm, path, fmt.Sprintf("the data disk can't be taken from a VM; to delete both: rdd vm delete %s", vm.Name))
	case now.Size.Cmp(maxDataDisk) > 0:
		return invalidVM(vm, path.Child("size"), "must be at most "+maxDataDisk.String())
	}
	// The disk's own size counts, so that a size which it could not get can be undone.
	var has resource.Quantity
	if v.dataDiskSize != nil {
		if size, ok := v.dataDiskSize(vm.Name); ok {
			has = *resource.NewQuantity(size, resource.BinarySI)
		}
	}
	if has.IsZero() && was != nil && vm.Spec.Host != "" {
		has = was.Size // it may be on another host
	}
	if now.Size.Cmp(has) < 0 {
		return invalidVM(vm, path.Child("size"), fmt.Sprintf("%s is smaller than the disk is already, %s: it can only grow", now.Size.String(), has.String()))
	}
	return nil
}

// admitSource lets Lima check the template of vm's spec.
func (v *validator) admitSource(ctx context.Context, live client.Reader, vm *v1alpha1.LimaVM) error {
	path := field.NewPath("spec", "template")
	if vm.Spec.TemplateRef != nil {
		path = field.NewPath("spec", "templateRef")
	}
	template, err := sourceTemplate(ctx, live, vm.Spec)
	if _, missing := errors.AsType[*v1alpha1.MissingTemplateError](err); missing {
		return invalidVM(vm, path.Child("name"), err.Error())
	}
	if err != nil {
		return err
	}
	return v.checkTemplate(ctx, vm, template, func(message string) error { return invalidVM(vm, path, message) })
}

// checkTemplate lets Lima check a template with vm's params. rejection returns the error for a template that Lima rejects.
func (v *validator) checkTemplate(ctx context.Context, vm *v1alpha1.LimaVM, template string, rejection func(message string) error) error {
	name := vm.Name
	if vm.ResourceVersion == "" || vm.Spec.SystemDisk == v1alpha1.SystemDiskReplace { // it has no disk, or one that is replaced
		name = ""
	}
	err := v.machines.Validate(ctx, name, []byte(template), vm.Spec.Params)
	if rejected, ok := errors.AsType[*machine.TemplateError](err); ok {
		return rejection(rejected.Error())
	}
	if err != nil {
		return apierrors.NewInternalError(fmt.Errorf("the template could not be checked: %w", err))
	}
	return nil
}

// admitConfigMap keeps a VM's template while the VM exists. A user may change its text to one that Lima accepts for this VM.
func (v *validator) admitConfigMap(ctx context.Context, r admission.Review) error {
	if r.ByService() {
		return nil
	}
	if r.Operation == admission.Create {
		if r.Namespace == v1alpha1.SystemNamespace && strings.HasPrefix(r.Name, v1alpha1.TemplateConfigMapName("")) {
			return apierrors.NewForbidden(configMaps, r.Name, errors.New("such names are kept for the templates of VMs; choose another, or another namespace"))
		}
		return nil
	}
	owner := owningVM(r.Old)
	if owner == nil || r.Namespace != v1alpha1.SystemNamespace {
		return nil
	}
	live, err := v.live.Reader()
	if err != nil {
		return err
	}
	vm := &v1alpha1.LimaVM{}
	err = live.Get(ctx, types.NamespacedName{Name: owner.Name}, vm)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if vm.UID != owner.UID || !vm.DeletionTimestamp.IsZero() {
		return nil
	}
	if text, edited := editedTemplate(r); edited {
		return v.checkTemplate(ctx, vm, text, func(message string) error {
			return invalid(schema.GroupKind{Kind: "ConfigMap"}, r.Name, field.NewPath("data", v1alpha1.TemplateKey), message)
		})
	}
	return apierrors.NewForbidden(configMaps, r.Name, fmt.Errorf(
		"it holds the template of VM %[1]q and goes when the VM does; to change the template's text: rdd vm edit %[1]s; to delete both: rdd vm delete %[1]s", vm.Name))
}

// editedTemplate returns the new text of a template. only is false when the write changes anything else.
func editedTemplate(r admission.Review) (text string, only bool) {
	if r.Operation != admission.Update {
		return "", false
	}
	now, was := r.Object.DeepCopy(), r.Old.DeepCopy()
	text, found, err := unstructured.NestedString(now.Object, "data", v1alpha1.TemplateKey)
	if err != nil || !found {
		return "", false
	}
	for _, o := range []*unstructured.Unstructured{now, was} {
		o.SetManagedFields(nil)
		o.SetResourceVersion("")
		unstructured.RemoveNestedField(o.Object, "data", v1alpha1.TemplateKey)
	}
	return text, apiequality.Semantic.DeepEqual(now.Object, was.Object)
}

// owningVM returns the reference to the LimaVM that owns o, nil when none does.
func owningVM(o *unstructured.Unstructured) *metav1.OwnerReference {
	owner := metav1.GetControllerOf(o)
	if owner == nil || owner.Kind != v1alpha1.Kind || !strings.HasPrefix(owner.APIVersion, v1alpha1.GroupVersion.Group+"/") {
		return nil
	}
	return owner
}

func vmFrom(o *unstructured.Unstructured) (*v1alpha1.LimaVM, error) {
	vm := &v1alpha1.LimaVM{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, vm); err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	return vm, nil
}

// invalidVM returns the rejection of one field of a VM.
func invalidVM(vm *v1alpha1.LimaVM, path *field.Path, message string) error {
	return invalid(schema.GroupKind{Group: v1alpha1.GroupVersion.Group, Kind: v1alpha1.Kind}, vm.Name, path, message)
}

// invalid returns the rejection of one field. It doesn't repeat the value, because a template may be long.
func invalid(kind schema.GroupKind, name string, path *field.Path, message string) error {
	return apierrors.NewInvalid(kind, name, field.ErrorList{field.Invalid(path, field.OmitValueType{}, message)})
}
