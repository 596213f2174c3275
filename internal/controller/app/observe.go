package app

import (
	"context"
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"rancherdesktop.io/rdd/internal/api/app/v1alpha1"
	lima "rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
	"rancherdesktop.io/rdd/internal/diag"
)

// observe reads everything that a decision depends on. It reads the VM from the API server: the cache may not show the last
// write of this controller yet, and the VM would seem to have done what it was not told.
func (r *reconciler) observe(ctx context.Context, app *v1alpha1.App) (o observation, err error) {
	r.mu.Lock()
	if r.memory.uid != app.UID {
		r.memory = memory{uid: app.UID}
	}
	o = observation{app: app, memory: r.memory, computer: r.options.Computer, command: r.options.Command, withSize: r.templates.withSize, now: time.Now()}
	r.mu.Unlock()
	if !r.options.OwnsEmptyHost {
		o.host = r.options.Host
	}
	target, _ := r.options.Link.Get()
	if target.Engine == string(o.engineName()) {
		o.linked, o.engine = target.Phase, r.options.Engine.State()
	}
	r.observeDocker(&o)
	if o.vm, err = appVM(ctx, r.live); err != nil {
		return o, err
	}
	if o.vm == nil {
		if o.template, err = r.options.Guest(); err != nil {
			known, _ := diag.Of(err)
			o.refused = &refusal{message: err.Error(), permanent: true, problem: string(known.ID)}
		}
		return o, nil
	}
	if text, err := r.options.Guest(); err == nil { // else the VM goes on with the guest that it has
		o.template = text
	}
	if o.stored, err = storedTemplate(ctx, r.client, o.vm); err != nil {
		return o, err
	}
	if text, disk, known := r.options.Launched(o.vm.Name); known {
		o.launched = &launched{template: text, dataDisk: disk}
	}
	return o, nil
}

func (r *reconciler) observeDocker(o *observation) {
	o.docker = docker{socket: r.options.Sockets[o.engineName()]}
	if r.options.Docker.Exists() {
		o.docker.context = r.options.Context
	}
	if problem := r.options.SocketProblem(o.engineName()); problem != "" {
		o.docker.socket = "" // whoever connects there reaches another program
		o.problems = append(o.problems, problem)
	}
}

// appVM returns the VM with the name of the App's, nil when there is none.
func appVM(ctx context.Context, reader client.Reader) (*lima.LimaVM, error) {
	vm := &lima.LimaVM{}
	err := reader.Get(ctx, types.NamespacedName{Name: v1alpha1.VM}, vm)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return vm, err
}

// storedTemplate returns the template in the VM's own ConfigMap, empty when there is none yet.
func storedTemplate(ctx context.Context, reader client.Reader, vm *lima.LimaVM) (string, error) {
	cm, err := templateConfigMap(ctx, reader, vm)
	if cm == nil || err != nil {
		return "", err
	}
	return cm.Data[lima.TemplateKey], nil
}

// templateConfigMap returns the VM's own ConfigMap, nil when there is none yet.
func templateConfigMap(ctx context.Context, reader client.Reader, vm *lima.LimaVM) (*corev1.ConfigMap, error) {
	cm := &corev1.ConfigMap{}
	err := reader.Get(ctx, types.NamespacedName{Namespace: lima.SystemNamespace, Name: lima.TemplateConfigMapName(vm.Name)}, cm)
	if apierrors.IsNotFound(err) || err == nil && !metav1.IsControlledBy(cm, vm) {
		return nil, nil
	}
	return cm, err
}

// refusalOf returns why the API server refuses to make the VM, nil when err is something else.
func refusalOf(err error) *refusal {
	if !apierrors.IsInvalid(err) && !apierrors.IsForbidden(err) && !apierrors.IsBadRequest(err) {
		return nil
	}
	message := err.Error()
	if status := apierrors.APIStatus(nil); errors.As(err, &status) && status.Status().Details != nil && len(status.Status().Details.Causes) > 0 {
		cause := status.Status().Details.Causes[0]
		message = cause.Field + ": " + cause.Message
	}
	return &refusal{message: "the virtual machine can't be made: " + message, permanent: true}
}
