package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
	"rancherdesktop.io/rdd/internal/controller"
	"rancherdesktop.io/rdd/internal/controlplane"
	"rancherdesktop.io/rdd/internal/lifecycle"
)

// controllersStopTimeout bounds the end of the controllers; a reconcile takes milliseconds, but a busy disk can hold its write.
const controllersStopTimeout = 20 * time.Second

// newManager returns the manager that runs controllers against the API server in this process. Its cache holds only what the
// controllers need.
func newManager(config *rest.Config, controllers []controller.Controller) (ctrl.Manager, error) {
	config.ContentType = runtime.ContentTypeJSON // custom resources have no other encoding
	scheme := runtime.NewScheme()
	err := corev1.AddToScheme(scheme)
	for _, c := range controllers {
		err = errors.Join(err, c.AddToScheme(scheme))
	}
	if err != nil {
		return nil, err
	}
	grace := controllersStopTimeout
	return ctrl.NewManager(config, ctrl.Options{
		Scheme:                  scheme,
		Metrics:                 metricsserver.Options{BindAddress: "0"},
		HealthProbeBindAddress:  "0",
		GracefulShutdownTimeout: &grace,
		Cache:                   cache.Options{ByObject: controller.Cached(controllers), DefaultTransform: cache.TransformStripManagedFields()},
	})
}

// The discovery ConfigMap tells clients outside of RDD which run they talk to, and that it is ready. Each run removes the
// ConfigMap of the last run as soon as it serves, and creates its own once it is ready; so the ConfigMap's age is the run's.
const (
	discoveryName   = "rdd-controller-manager"
	readyAnnotation = "rdd.rancherdesktop.io/ready"
)

func discovery() *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.SystemNamespace, Name: discoveryName}}
}

// withdraw removes the discovery ConfigMap of the last run.
func withdraw(ctx context.Context, c client.Client) error {
	return client.IgnoreNotFound(c.Delete(ctx, discovery()))
}

// announce writes what clients need to find this run: the kubeconfig and the discovery ConfigMap.
func (r *Run) announce(ctx context.Context, c client.Client, endpoint controlplane.Endpoint) error {
	if err := r.writeKubeconfig(endpoint); err != nil {
		return err
	}
	cm := discovery()
	cm.Annotations = map[string]string{readyAnnotation: "true"}
	cm.Data = map[string]string{"nonce": r.Nonce, "version": r.Version, "controllers": strings.Join(r.Config.Enabled(), ",")}
	err := c.Create(ctx, cm.DeepCopy())
	if apierrors.IsAlreadyExists(err) { // that of another host, which uses the same datastore
		err = errors.Join(withdraw(ctx, c), c.Create(ctx, cm))
	}
	return err
}

// handlers returns what the server serves in addition to the API.
func (r *Run) handlers() map[string]http.Handler {
	return map[string]http.Handler{lifecycle.HelloPath: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(lifecycle.Greeting{Nonce: r.Nonce, Version: r.Version, Protocol: lifecycle.Protocol})
	})}
}

// busyAllocBytes is what the service allocates in 10 s, in bytes, when it has work. Idling takes some 0.4 MiB.
const busyAllocBytes = 2 << 20
