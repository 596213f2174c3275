// Package controller defines what the service needs from a controller to run it. Each controller is a package below this one;
// internal/server lists them.
package controller

import (
	"context"
	"reflect"

	"k8s.io/apimachinery/pkg/runtime"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"rancherdesktop.io/rdd/internal/admission"
)

// Controller is a controller of the service, with its kind.
type Controller struct {
	Name        string // as `rdd service create --controllers` takes it; see api.Controllers
	AddToScheme func(*runtime.Scheme) error
	// Cached lists the objects that the manager's cache holds.
	Cached map[client.Object]cache.ByObject
	// Admission reviews writes, also while the controller itself is not enabled.
	Admission []admission.Admission
	// Connect gives Admission a reader that reads from the API server, not from a cache. Writes before that are rejected with
	// the advice to try again.
	Connect func(client.Reader)
	// Setup adds the controller to the manager. Once that runs, synced blocks until this process has written the status of each
	// object of this host.
	Setup func(ctrl.Manager) (synced func(context.Context) error, err error)
}

// Cached merges the objects that the controllers need in the cache.
func Cached(controllers []Controller) map[client.Object]cache.ByObject {
	merged := map[reflect.Type]client.Object{}
	all := map[client.Object]cache.ByObject{}
	for _, c := range controllers {
		for object, want := range c.Cached {
			kind := reflect.TypeOf(object)
			first, known := merged[kind]
			if !known {
				merged[kind], all[object] = object, want
				continue
			}
			all[first] = union(all[first], want)
		}
	}
	return all
}

// union returns the namespaces of both. No namespaces means all of them.
func union(a, b cache.ByObject) cache.ByObject {
	if len(a.Namespaces) == 0 || len(b.Namespaces) == 0 {
		return cache.ByObject{}
	}
	both := map[string]cache.Config{}
	for _, namespaces := range []map[string]cache.Config{a.Namespaces, b.Namespaces} {
		for name, config := range namespaces {
			both[name] = config
		}
	}
	return cache.ByObject{Namespaces: both}
}
