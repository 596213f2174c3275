package app

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"rancherdesktop.io/rdd/internal/admission"
	"rancherdesktop.io/rdd/internal/api/app/v1alpha1"
	"rancherdesktop.io/rdd/internal/api/crds"
	lima "rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
	"rancherdesktop.io/rdd/internal/controller"
	"rancherdesktop.io/rdd/internal/controller/limavm"
	"rancherdesktop.io/rdd/internal/controlplane"
	"rancherdesktop.io/rdd/internal/datastore"
	"rancherdesktop.io/rdd/internal/engine"
	"rancherdesktop.io/rdd/internal/testenv"
)

// testEnv is a real API server in this process with the rules of both controllers, which run on fake machines, a fake engine and
// fake files of docker.
type testEnv struct {
	client.Client // of a user, through the port and with the token
	loopback      *rest.Config
	rules         []admission.Admission

	machines *fakeMachines
	engine   *fakeEngine
	docker   *fakeDocker
	link     *engine.Link

	mu    sync.Mutex
	guest string // template, empty: missing
}

// TestServer runs all that needs the API server on one: linking and starting it is what takes time.
func TestServer(t *testing.T) {
	env := newTestEnv(t)
	stop := env.control(t, "")
	for _, tc := range []struct {
		name string
		test func(*testing.T, *testEnv)
	}{
		{"start, stop, restart, reset, delete", testLife},
		{"a change of the size restarts what runs, and nothing else", testSettings},
		{"a missing guest is named, and found when it comes", testMissingGuest},
		{"a VM of the user's has the App's name", testForeign},
		{"a start that fails for good", testFailedStart},
		{"the engine answers late, and goes away", testLateEngine},
		{"docker's files that can't be changed", testDockerFiles},
		{"what this host can't do is rejected and changes nothing", testRejected},
		{"the App's VM changes only with the App", testGuarded},
		{"a dry run changes nothing", testDryRun},
	} {
		t.Run(tc.name, func(t *testing.T) { tc.test(t, env) })
	}
	app := env.createApp(t, runs)
	env.settled(t, app)
	env.machines.did()
	stop()
	t.Run("a service that starts finds the App as it was", func(t *testing.T) { testNextService(t, env, app) })
	t.Run("two hosts on one store don't fight", func(t *testing.T) { testTwoHosts(t, env) })
}

func testScheme(t *testing.T) *runtime.Scheme {
	scheme := runtime.NewScheme()
	if err := errors.Join(corev1.AddToScheme(scheme), lima.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	return scheme
}

func newTestEnv(t *testing.T) *testEnv {
	dir := t.TempDir()
	store, err := datastore.Open(t.Context(), datastore.Options{Dir: filepath.Join(dir, "store")})
	if err != nil {
		t.Fatal(err)
	}
	definitions, err := crds.All()
	if err != nil {
		t.Fatal(err)
	}
	env := newParts()
	controllers := env.controllers("", &controller.EventSource{}, &controller.EventSource{})
	for _, c := range slices.Backward(controllers) {
		env.rules = append(env.rules, c.Admission...)
	}
	server, err := controlplane.New(t.Context(), controlplane.Config{
		Dir: filepath.Join(dir, "controlplane"), Store: store, CRDs: definitions, Admission: env.rules, Namespaces: []string{lima.SystemNamespace},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := errors.Join(<-ended, store.Close()); err != nil {
			t.Error(err)
		}
	})
	select {
	case <-server.Ready():
	case err := <-ended:
		ended <- err
		t.Fatal(err)
	}
	env.loopback = server.Loopback()
	live, err := client.New(rest.CopyConfig(env.loopback), client.Options{Scheme: testScheme(t)})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range controllers {
		c.Connect(live)
	}
	e := server.Endpoint()
	env.Client, err = client.New(&rest.Config{Host: e.URL, BearerToken: e.Token, QPS: -1, TLSClientConfig: rest.TLSClientConfig{CAData: e.CA}}, client.Options{Scheme: testScheme(t)})
	if err != nil {
		t.Fatal(err)
	}
	return env
}

// newParts returns what one host has.
func newParts() *testEnv {
	env := &testEnv{guest: guest, docker: &fakeDocker{}, machines: newFakeMachines(), link: &engine.Link{}}
	env.engine = &fakeEngine{link: env.link, changed: func() {}}
	return env
}

// beside returns another host on the same store.
func (env *testEnv) beside() *testEnv {
	other := newParts()
	other.Client, other.loopback = env.Client, env.loopback
	return other
}

// controllers returns the controllers of one host. An empty host has the store for itself.
func (env *testEnv) controllers(host string, vms, apps *controller.EventSource) []controller.Controller {
	return []controller.Controller{
		limavm.New(env.machines, limavm.Options{
			Host: host, OwnsEmptyHost: host == "", Events: vms,
			CheckName: func(string) error { return nil }, CheckFolder: func(*lima.LimaVM) error { return nil },
		}),
		New(env.options(host, apps)),
	}
}

// options returns what the App's controller of a host works with.
func (env *testEnv) options(host string, apps *controller.EventSource) Options {
	return Options{
		Host: host, OwnsEmptyHost: host == "", Events: apps, Engine: env.engine, Link: env.link, Allow: func([]string) {},
		Docker: env.docker, Context: "rdd", Sockets: map[v1alpha1.EngineName]string{v1alpha1.Moby: "/s/docker.sock", v1alpha1.Containerd: "/s/containerd.sock"}, SocketProblem: env.engine.socketProblem,
		Guest: func() (string, error) {
			env.mu.Lock()
			defer env.mu.Unlock()
			if env.guest == "" {
				return "", errors.New("RDD's guest is missing: make guest")
			}
			return env.guest, nil
		},
		Validate: func(ctx context.Context, vm string, template []byte) error {
			return env.machines.Validate(ctx, vm, template, nil)
		},
		Launched: env.machines.runs, Computer: computer, Command: func(c string) string { return "rdd " + c },
	}
}

// control runs the controllers of a host, as one process of the service does, until stop is called or the test ends. It returns
// when the controllers are synced.
func (env *testEnv) control(t *testing.T, host string) (stop func()) {
	t.Helper()
	vms, apps := &controller.EventSource{}, &controller.EventSource{}
	controllers := env.controllers(host, vms, apps)
	grace := 30 * time.Second
	mgr, err := ctrl.NewManager(rest.CopyConfig(env.loopback), ctrl.Options{
		Scheme: testScheme(t), Logger: logr.Discard(), Metrics: metricsserver.Options{BindAddress: "0"}, HealthProbeBindAddress: "0",
		GracefulShutdownTimeout: &grace, Cache: cache.Options{ByObject: controller.Cached(controllers)},
	})
	if err != nil {
		t.Fatal(err)
	}
	env.machines.wake = vms.Enqueue
	env.engine.changed = func() { apps.Enqueue(v1alpha1.Name) }
	var synced []func(context.Context) error
	for _, c := range controllers {
		wait, err := c.Setup(mgr)
		if err != nil {
			t.Fatal(err)
		}
		synced = append(synced, wait)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	following := make(chan struct{})
	go func() {
		defer close(following)
		env.engine.run(ctx)
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		<-following
		if err := <-ended; err != nil {
			t.Errorf("controllers of %q: %v", host, err)
		}
	})
	t.Cleanup(stop)
	if !mgr.GetCache().WaitForCacheSync(ctx) {
		t.Fatal("no cache")
	}
	limited, done := context.WithTimeout(ctx, testenv.Timeout)
	defer done()
	for _, wait := range synced {
		if err := wait(limited); err != nil {
			t.Fatal(err)
		}
	}
	return stop
}

func runs(app *v1alpha1.App) { app.Spec.Running = true }

// createApp creates the App, and deletes it in the end.
func (env *testEnv) createApp(t *testing.T, change ...func(*v1alpha1.App)) *v1alpha1.App {
	t.Helper()
	app := &v1alpha1.App{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.Name}}
	for _, c := range change {
		c(app)
	}
	if err := env.Create(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { env.deleteApp(t) })
	return app
}

func (env *testEnv) deleteApp(t *testing.T) {
	t.Helper()
	app := &v1alpha1.App{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.Name}}
	if err := client.IgnoreNotFound(env.Delete(context.Background(), app)); err != nil {
		t.Fatal(err)
	}
	// An App that is deleted while it gets its finalizer goes before its VM, which the garbage collector deletes then.
	env.until(t, "the App and its VM are gone", func(app *v1alpha1.App, vm *lima.LimaVM) bool {
		return app == nil && (vm == nil || metav1.GetControllerOf(vm) == nil)
	})
}

// patch changes the App and returns the server's answer.
func (env *testEnv) patch(t *testing.T, change func(*v1alpha1.App)) *v1alpha1.App {
	t.Helper()
	app, _ := env.now(t)
	was := app.DeepCopy()
	change(app)
	if err := env.Patch(t.Context(), app, client.MergeFrom(was)); err != nil {
		t.Fatal(err)
	}
	return app
}

// now returns the App and its VM, nil for what doesn't exist.
func (env *testEnv) now(t *testing.T) (*v1alpha1.App, *lima.LimaVM) {
	t.Helper()
	app, vm := &v1alpha1.App{}, &lima.LimaVM{}
	if err := env.Get(context.Background(), types.NamespacedName{Name: v1alpha1.Name}, app); apierrors.IsNotFound(err) {
		app = nil
	} else if err != nil {
		t.Fatal(err)
	}
	if err := env.Get(context.Background(), types.NamespacedName{Name: v1alpha1.VM}, vm); apierrors.IsNotFound(err) {
		vm = nil
	} else if err != nil {
		t.Fatal(err)
	}
	return app, vm
}

// until waits until the App and its VM are as they should be.
func (env *testEnv) until(t *testing.T, what string, check func(*v1alpha1.App, *lima.LimaVM) bool) {
	t.Helper()
	var app *v1alpha1.App
	var vm *lima.LimaVM
	defer func() {
		if t.Failed() {
			t.Logf("%s: App %+v\nVM %+v\ndid %v", what, app, vm, env.machines.did())
		}
	}()
	testenv.Eventually(t, what, func() bool {
		app, vm = env.now(t)
		return check(app, vm)
	})
}

// settled waits as a client does after a change.
func (env *testEnv) settled(t *testing.T, app *v1alpha1.App) *v1alpha1.App {
	t.Helper()
	expected := app.Expectation()
	env.until(t, "the App has settled", func(seen *v1alpha1.App, _ *lima.LimaVM) bool {
		app = seen
		done, err := expected.Settled(seen)
		if err != nil {
			t.Fatal(err)
		}
		return done
	})
	return app
}

// failsWith waits until a client's wait would end with a failure.
func (env *testEnv) failsWith(t *testing.T, app *v1alpha1.App, reason, message string) {
	t.Helper()
	expected := app.Expectation()
	env.until(t, "the App fails with "+reason, func(seen *v1alpha1.App, _ *lima.LimaVM) bool {
		_, err := expected.Settled(seen)
		failed, ok := errors.AsType[*v1alpha1.FailedError](err)
		return ok && failed.Reason == reason && strings.Contains(failed.Message, message)
	})
}

func (env *testEnv) setGuest(text string) {
	env.mu.Lock()
	defer env.mu.Unlock()
	env.guest = text
}

// storedText returns the text of the VM's own template.
func (env *testEnv) storedText(t *testing.T) string {
	t.Helper()
	cm := &corev1.ConfigMap{}
	if err := env.Get(t.Context(), types.NamespacedName{Namespace: lima.SystemNamespace, Name: "limavm-rd"}, cm); err != nil {
		t.Fatal(err)
	}
	return cm.Data[lima.TemplateKey]
}

func unstructuredOf(t *testing.T, o any) *unstructured.Unstructured {
	t.Helper()
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	if err != nil {
		t.Fatal(err)
	}
	return &unstructured.Unstructured{Object: fields}
}

func tempFolder(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func tempFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
