package limavm

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
	"rancherdesktop.io/rdd/internal/machine"
)

// refusal says why there is no template from which to create the VM.
type refusal struct {
	message   string
	permanent bool // until the spec changes
}

// resolveTemplate reads the template of vm's spec, and lets Lima check it.
func (r *reconciler) resolveTemplate(ctx context.Context, vm *v1alpha1.LimaVM) (string, *refusal) {
	template, err := sourceTemplate(ctx, r.live, vm.Spec)
	if err != nil {
		return "", &refusal{message: err.Error()}
	}
	err = r.machines.Validate(ctx, "", []byte(template), vm.Spec.Params)
	if rejected, ok := errors.AsType[*machine.TemplateError](err); ok {
		return "", &refusal{message: fmt.Sprintf("Lima rejects the template: %s", rejected), permanent: true}
	}
	if err != nil {
		return "", &refusal{message: fmt.Sprintf("the template could not be checked: %s", err)}
	}
	return template, nil
}

// sourceTemplate returns the template of a spec. The error is a *v1alpha1.MissingTemplateError when its ConfigMap does not exist
// or has no text.
func sourceTemplate(ctx context.Context, reader client.Reader, spec v1alpha1.LimaVMSpec) (string, error) {
	if spec.TemplateRef == nil {
		return spec.Template, nil
	}
	cm := &corev1.ConfigMap{}
	err := reader.Get(ctx, types.NamespacedName{Namespace: spec.TemplateRef.Namespace, Name: spec.TemplateRef.Name}, cm)
	if err != nil && !apierrors.IsNotFound(err) {
		return "", fmt.Errorf("read the template: %w", err)
	}
	return v1alpha1.TemplateIn(*spec.TemplateRef, err == nil, cm.Data, cm.BinaryData)
}

// ownedTemplate returns the template in vm's own ConfigMap, empty when there is none. It was validated before.
func ownedTemplate(ctx context.Context, reader client.Reader, vm *v1alpha1.LimaVM) (string, error) {
	cm := &corev1.ConfigMap{}
	err := reader.Get(ctx, types.NamespacedName{Namespace: v1alpha1.SystemNamespace, Name: v1alpha1.TemplateConfigMapName(vm.Name)}, cm)
	if apierrors.IsNotFound(err) || err == nil && !metav1.IsControlledBy(cm, vm) {
		return "", nil
	}
	return cm.Data[v1alpha1.TemplateKey], err
}

// storeTemplate creates vm's own ConfigMap with its validated template. It replaces a ConfigMap that an earlier VM of the same
// name has left. It keeps one of this VM, which the cache may not show yet.
func (r *reconciler) storeTemplate(ctx context.Context, vm *v1alpha1.LimaVM, template string) error {
	cm := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{
			Namespace:       v1alpha1.SystemNamespace,
			Name:            v1alpha1.TemplateConfigMapName(vm.Name),
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(vm, v1alpha1.GroupVersion.WithKind(v1alpha1.Kind))},
		},
		Data: map[string]string{v1alpha1.TemplateKey: template},
	}
	err := r.client.Create(ctx, cm)
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	there := &corev1.ConfigMap{}
	err = r.live.Get(ctx, client.ObjectKeyFromObject(cm), there)
	if err == nil && metav1.IsControlledBy(there, vm) {
		return nil
	}
	if err == nil {
		err = r.client.Delete(ctx, there, client.Preconditions{UID: &there.UID})
	}
	if client.IgnoreNotFound(err) != nil {
		return err
	}
	return r.client.Create(ctx, cm)
}
