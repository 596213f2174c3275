// Package controller is what the service has to know of a controller to run it. Each controller is a package
// below this one; internal/server lists them.
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

// Controller is one controller of the service, with the kind that it is for.
type Controller struct {
	Name        string // as `rdd service create --controllers` takes it; see api.Controllers
	AddToScheme func(*runtime.Scheme) error
	// Cached lists what the manager's cache has to hold, and no more of it.
	Cached map[client.Object]cache.ByObject
	// Admission guards writes, also while the controller itself is not enabled.
	Admission []admission.Admission
	// Connect gives Admission a reader that sees what is stored. Writes before that are put off.
	Connect func(client.Reader)
	// Setup adds the controller to the manager. Once that runs, synced blocks until the status of each object
	// of this host was written by this process, not by an earlier one.
	Setup func(ctrl.Manager) (synced func(context.Context) error, err error)
}

// Cached merges what the caches of several controllers have to hold.
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

// union holds what either of the two does. No namespaces means all of them.
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
