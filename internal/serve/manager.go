package serve

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
	"rancherdesktop.io/rdd/internal/controller/limavm"
	"rancherdesktop.io/rdd/internal/controlplane"
	"rancherdesktop.io/rdd/internal/daemon"
	"rancherdesktop.io/rdd/internal/memory"
)

// controllersGrace bounds the end of the controllers; a reconcile takes milliseconds.
const controllersGrace = 2 * time.Second

// newManager runs controllers against the API server in this process. Its cache holds only what
// they ask for.
func newManager(config *rest.Config) (ctrl.Manager, error) {
	config.ContentType = runtime.ContentTypeJSON // custom resources have no other encoding
	scheme := runtime.NewScheme()
	if err := errors.Join(corev1.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return nil, err
	}
	grace := controllersGrace
	return ctrl.NewManager(config, ctrl.Options{
		Scheme:                  scheme,
		Metrics:                 metricsserver.Options{BindAddress: "0"},
		HealthProbeBindAddress:  "0",
		GracefulShutdownTimeout: &grace,
		Cache:                   cache.Options{ByObject: limavm.Cached(), DefaultTransform: cache.TransformStripManagedFields()},
	})
}

// The discovery ConfigMap tells outside clients which run they talk to.
const (
	discoveryName   = "rdd-controller-manager"
	readyAnnotation = "rdd.rancherdesktop.io/ready"
)

// announce lets clients find this run: the kubeconfig on disk, and the discovery ConfigMap in the
// control plane. The last run's may still be there; both are written anew.
func (r *Run) announce(ctx context.Context, c client.Client, endpoint controlplane.Endpoint) error {
	if err := r.writeKubeconfig(endpoint); err != nil {
		return err
	}
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.SystemNamespace, Name: discoveryName}}
	_, err := controllerutil.CreateOrUpdate(ctx, c, cm, func() error {
		var names []string
		for _, name := range daemon.Controllers() {
			if r.Config.Runs(name) {
				names = append(names, name)
			}
		}
		cm.Annotations = map[string]string{readyAnnotation: "true"}
		cm.Data = map[string]string{"nonce": r.Nonce, "version": r.Version, "controllers": strings.Join(names, ",")}
		return nil
	})
	return err
}

// handlers answer beside the API.
func (r *Run) handlers() map[string]http.Handler {
	return map[string]http.Handler{daemon.HelloPath: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(daemon.Greeting{Nonce: r.Nonce, Version: r.Version, Protocol: daemon.Protocol})
	})}
}

// garbage is how much the heap may grow between collections, in percent. The live heap is small
// and the service mostly idle, so half of Go's default costs no time that a user would notice.
const garbage = 50

// keepSmall keeps the heap small from here on, and gives back what only the start needed.
func keepSmall(ctx context.Context) {
	debug.SetGCPercent(garbage)
	memory.Keep(ctx)
}
