package main

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rancherdesktop.io/rdd/internal/api/containers/v1alpha1"
	"rancherdesktop.io/rdd/internal/engine/objects"
	"rancherdesktop.io/rdd/internal/view"
)

// engine stands for a container engine.
type engine struct {
	containers view.Resource
	created    metav1.Time // of all of them
}

func newEngine() *engine {
	e := &engine{objects.Containers(), metav1.NewTime(time.Now().Add(-2 * time.Hour))}
	e.containers.Delete = func(_ context.Context, o view.Object, options *metav1.DeleteOptions) error {
		if c, ok := o.(*v1alpha1.Container); ok && c.Status.State == v1alpha1.ContainerRunning && (options.GracePeriodSeconds == nil || *options.GracePeriodSeconds > 0) {
			return view.Status(http.StatusConflict, "container is running: stop the container before removing or force remove")
		}
		e.containers.Store.Remove(o.GetName())
		return nil
	}
	e.containers.Subresources = map[string]view.Subresource{"log": {
		Methods: []string{http.MethodGet},
		Handler: func(o view.Object) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "log of", o.GetName(), r.URL.RawQuery) })
		},
	}}
	return e
}

func (e *engine) set(n int, name string, state v1alpha1.ContainerState) string {
	id := fmt.Sprintf("%d%063x", n, n)
	labels := map[string]string{"app": name}
	e.containers.Store.Apply(&v1alpha1.Container{
		ObjectMeta: metav1.ObjectMeta{Name: id, CreationTimestamp: e.created, Labels: labels},
		Status: v1alpha1.ContainerStatus{
			ID: id, Name: name, Namespace: "moby", Image: "nginx:1.29", Command: "nginx", State: state, Created: e.created, StartedAt: &e.created,
			Ports: []v1alpha1.ContainerPort{{Protocol: "tcp", ContainerPort: 80, HostPort: 8080}}, Labels: labels, Networks: []string{"bridge"},
		},
	})
	return id
}

// The live view of the engine is used as any other kind.
func TestKubectlSeesTheEnginesObjects(t *testing.T) {
	if testing.Short() {
		t.Skip("runs kubectl dozens of times")
	}
	e := newEngine()
	kubeconfig := serve(t, e.containers, objects.Images(), objects.Volumes(), objects.Networks())
	each(t, kubeconfig, func(t *testing.T, k kubectl) {
		e.containers.Store.SetReason("The container engine is stopped. Start it with: rdd start")
		k.ok(t, "Warning: The container engine is stopped. Start it with: rdd start\nNo resources found", "get", "containers")
		k.fails(t, `"web" not found: The container engine is stopped`, "get", "container", "web")

		e.containers.Store.Replace(nil)
		id := e.set(1, "web", v1alpha1.ContainerRunning)
		e.set(2, "db", v1alpha1.ContainerExited)
		t.Run("gets", func(t *testing.T) { e.gets(t, k, id) })
		t.Run("watches", func(t *testing.T) { e.watches(t, k, id) })
		t.Run("deletes", func(t *testing.T) { e.deletes(t, k) })
		t.Run("changes nothing", func(t *testing.T) {
			e.set(1, "web", v1alpha1.ContainerRunning)
			k.fails(t, "use the engine's own commands, for example: docker run", "label", "container", "web", "a=b")
			k.fails(t, "use the engine's own commands, for example: docker run", "create", "-f",
				k.write(t, "apiVersion: containers.rancherdesktop.io/v1alpha1\nkind: Container\nmetadata:\n  name: a\nstatus: {id: a, name: a, namespace: moby, image: nginx, state: running}\n"))
		})
	})
}

func (e *engine) gets(t *testing.T, k kubectl, id string) {
	k.ok(t, "ID             IMAGE        COMMAND   CREATED       STATUS       PORTS                    NAMES\n", "get", "containers")
	k.ok(t, "100000000000   nginx:1.29   \"nginx\"   2 hours ago   Up 2 hours   localhost:8080->80/tcp   web\n", "get", "ctr")
	k.ok(t, "NETWORKS   PROJECT   NAMESPACE\n", "get", "container", "web", "-o", "wide")
	k.ok(t, "container.containers.rancherdesktop.io/"+id+"\n", "get", "containers", "-l", "app=web", "-o", "name")
	k.ok(t, id, "get", "containers", "--field-selector", "status.name=web", "-o", "jsonpath={.items[*].metadata.name}")
	k.ok(t, `"items": []`, "get", "images", "--field-selector", "status.repoTag=none", "-o", "json")
	k.fails(t, "can't be selected", "get", "containers", "--field-selector", "status.color=red")
	k.ok(t, "web", "get", "docker")
	k.ok(t, "State:", "describe", "container", "web")
	k.ok(t, "Host Port:       8080", "describe", "container", "web")
	k.ok(t, "State is created, running, paused", "explain", "container.status")
	k.ok(t, "HostPort is the port", "explain", "container.status.ports")
	k.ok(t, "containers/log", "get", "--raw", "/apis/containers.rancherdesktop.io/v1alpha1")
	k.ok(t, "log of "+id+" tail=5", "get", "--raw", "/apis/containers.rancherdesktop.io/v1alpha1/containers/web/log?tail=5")
}

func (e *engine) watches(t *testing.T, k kubectl, id string) {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	shows := k.watch(ctx, t, "get", "containers", "-w", "--output-watch-events")
	// With a name instead of the selector, kubectl gets the object, begins to watch, and leaves out the first event: a change in
	// between is not shown.
	one := k.watch(ctx, t, "get", "containers", "--field-selector", "metadata.name=web", "-w", "-o", "jsonpath={.status.state}{'\\n'}")
	shows("ADDED", "db")
	one("running")
	e.set(3, "new", v1alpha1.ContainerCreated)
	shows("ADDED", "Created", "new")
	e.set(1, "web", v1alpha1.ContainerExited)
	shows("MODIFIED", "Exited (0)", "web")
	one("exited")
	e.containers.Store.Remove(fmt.Sprintf("3%063x", 3))
	shows("DELETED", "new")
	if k.own() { // Debian's doesn't know the option
		wait := k.watch(ctx, t, "wait", "--for=jsonpath={.status.state}=running", "container/"+id, "--timeout=50s")
		e.set(1, "web", v1alpha1.ContainerRunning)
		wait("condition met")
	}
	e.set(1, "web", v1alpha1.ContainerRunning)
}

func (k kubectl) own() bool { return k.env[0] == asKubectl+"=1" }

func (e *engine) deletes(t *testing.T, k kubectl) {
	if k.own() { // Debian's looks for a definition of the kind
		k.ok(t, "deleted (server dry run)", "delete", "container", "web", "--dry-run=server")
	}
	k.fails(t, "(Conflict): container is running: stop the container before removing or force remove", "delete", "container", "web")
	k.ok(t, "web", "get", "containers")
	k.ok(t, "deleted", "delete", "container", "web", "--force", "--grace-period=0")
	k.fails(t, "NotFound", "get", "container", "web")
	k.fails(t, "NotFound", "delete", "container", "web")
	e.set(3, "other", v1alpha1.ContainerExited)
	k.ok(t, "deleted", "delete", "containers", "--all")
	k.ok(t, "No resources found", "get", "containers")
}
