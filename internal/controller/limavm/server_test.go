package limavm

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"rancherdesktop.io/rdd/internal/api/crds"
	"rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
	"rancherdesktop.io/rdd/internal/controller"
	"rancherdesktop.io/rdd/internal/controlplane"
	"rancherdesktop.io/rdd/internal/datastore"
	"rancherdesktop.io/rdd/internal/instance"
	"rancherdesktop.io/rdd/internal/machine"
	"rancherdesktop.io/rdd/internal/testenv"
)

// limit bounds each wait of these tests; none comes near it unless something is broken.
const limit = testenv.Timeout

// testEnv is a real API server in this process with the admission rules, a controller, and fake machines.
type testEnv struct {
	client.WithWatch // of a user, through the port and with the token
	machines         *fakeMachines
	loopback         *rest.Config
	config           *rest.Config // of that user
}

// TestServer runs all that needs the API server on one: linking and starting it is what takes time.
func TestServer(t *testing.T) {
	env := newTestEnv(t)
	for name, test := range map[string]func(*testing.T, *testEnv){
		"rules of the definition":                                      testRules,
		"bad templates are rejected and change nothing":                testBadTemplates,
		"a missing template ConfigMap is named":                        testMissingTemplate,
		"a name too long for sockets is rejected":                      testLongName,
		"a name that exists is taken":                                  testNameExists,
		"ten creates of one name at once: one wins":                    testConcurrentCreates,
		"a hundred creates by two clients at once: one wins each time": testTwoClients,
		"a finalizer that keeps disk and processes can't be taken off": testFinalizerStays,
		"a VM whose folder is there already is adopted or refused":     testOrphan,
		"what is rejected leaves nothing":                              testRejectedLeavesNothing,
		"a template can be edited to what Lima accepts":                testEdit,
		"reset recreates the disk":                                     testReset,
		"a watch that drops three times changes no answer":             testDroppedWatches,
		"two waits at once both end":                                   testJoinedWaits,
		"a dry run changes nothing":                                    testDryRun,
		"create, start, stop, restart, delete":                         testLife,
		"created and not started":                                      testCreatedOnly,
		"params are checked again when they change":                    testParams,
		"a VM that can't start says so until it can":                   testPermanentFailure,
		"deletion stops the VM before anything is gone":                testDeleteRunning,
		"deletion while preparing":                                     testDeletePreparing,
		"a guest that does not stop is ended by force":                 testForceWhileDeleting,
		"a data disk only grows, and stays":                            testDataDisk,
		"a VM's template can't be deleted or changed":                  testOwnedTemplate,
		"a template without its VM strands nobody":                     testStrandedTemplate,
		"a new VM of a deleted one's name keeps nothing of it":         testNameReuse,
		"a new process starts or adopts what should run":               testNewProcess,
		"a hostagent's death wakes the controller":                     testDeath,
		"writes to status don't call the validator":                    testStatusOfOldVM,
		"rules without a client ask to be tried again":                 testValidatorBeforeConnect,
		"apply by a user does not fight the controller":                testServerSideApply,
		"a VM is created, though its template ref is gone":             testRefGoneAfterCreation,
	} {
		t.Run(strings.ReplaceAll(name, "/", " "), func(t *testing.T) { test(t, env) })
	}
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
	env := &testEnv{machines: newFakeMachines()}
	env.machines.reject = lima
	validator := newValidator(env.machines, func(vm string) error {
		if err := (instance.Instance{}).CheckVM(vm); err != nil {
			return err
		}
		if len(vm) > 20 {
			return fmt.Errorf("the socket path for VM %q would be too long", vm)
		}
		return nil
	}, func(vm *v1alpha1.LimaVM) error {
		if vm.Name == "orphan" {
			return errors.New("there is a VM of this name already")
		}
		return nil
	})
	validator.dataDiskSize = func(vm string) (int64, bool) { return 20 << 30, vm == "data" }
	server, err := controlplane.New(t.Context(), controlplane.Config{
		Dir: filepath.Join(dir, "controlplane"), Store: store, CRDs: definitions,
		Admission: validator.admission(), Namespaces: []string{v1alpha1.SystemNamespace},
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
	validator.live.Connect(env.control(t, env.machines))

	e := server.Endpoint()
	env.config = &rest.Config{Host: e.URL, BearerToken: e.Token, QPS: -1, TLSClientConfig: rest.TLSClientConfig{CAData: e.CA}}
	env.WithWatch, err = client.NewWithWatch(env.config, client.Options{Scheme: testScheme(t)})
	if err != nil {
		t.Fatal(err)
	}
	return env
}

// control runs a controller, as one process of the service does, until the test ends.
func (env *testEnv) control(t *testing.T, f *fakeMachines) client.Reader {
	grace := 30 * time.Second
	mgr, err := ctrl.NewManager(rest.CopyConfig(env.loopback), ctrl.Options{
		Scheme: testScheme(t), Logger: logr.Discard(), Metrics: metricsserver.Options{BindAddress: "0"}, HealthProbeBindAddress: "0",
		GracefulShutdownTimeout: &grace, Cache: cache.Options{ByObject: cached()},
	})
	if err != nil {
		t.Fatal(err)
	}
	wake := &controller.EventSource{}
	f.wake = wake.Enqueue
	host := ""
	if f != env.machines {
		host = "second"
	}
	if _, err := setup(mgr, f, Options{Host: host, OwnsEmptyHost: host == "", Events: wake}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	if !mgr.GetCache().WaitForCacheSync(ctx) {
		t.Fatal("no cache")
	}
	return mgr.GetAPIReader()
}

// lima stands in for Lima's judgement of a template.
func lima(template string, params map[string]string) error {
	switch {
	case strings.Contains(template, "broken"):
		return &machine.TemplateError{Field: "images[0].digest", Message: "is not a digest"}
	case strings.Contains(template, "unaskable"):
		return errors.New("rdd-lima: permission denied")
	case params["color"] == "loud":
		return &machine.TemplateError{Field: "param[color]", Message: "is not known"}
	}
	return nil
}

func (env *testEnv) newVM(name string, change ...func(*v1alpha1.LimaVM)) *v1alpha1.LimaVM {
	vm := &v1alpha1.LimaVM{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.LimaVMSpec{Template: "images: []"}}
	for _, c := range change {
		c(vm)
	}
	return vm
}

func runs(vm *v1alpha1.LimaVM) { vm.Spec.Running = true }

// createVM creates the VM and has it deleted in the end.
func (env *testEnv) createVM(t *testing.T, vm *v1alpha1.LimaVM) *v1alpha1.LimaVM {
	t.Helper()
	if err := env.Create(t.Context(), vm); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { env.deleteVM(t, vm) })
	return vm
}

// deleteVM deletes the VM, by force, and waits until it is gone.
func (env *testEnv) deleteVM(t *testing.T, vm *v1alpha1.LimaVM) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if err := client.IgnoreNotFound(env.Delete(ctx, vm)); err != nil {
		t.Fatal(err)
	}
	env.until(t, vm, vm.Expectation().Deleted)
}

// until follows the VM until judge decides, and fails if that is an error.
func (env *testEnv) until(t *testing.T, vm *v1alpha1.LimaVM, judge func(*v1alpha1.LimaVM) (bool, error)) {
	t.Helper()
	if err := env.follow(t, vm.Name, judge); err != nil {
		t.Fatal(err)
	}
}

// watch fills list and watches for what comes after it. A watch that begins at no revision begins
// some time after it was asked for, and misses what happens until then.
func (env *testEnv) watch(ctx context.Context, t *testing.T, list client.ObjectList, only client.ListOption) watch.Interface {
	t.Helper()
	if err := env.List(ctx, list, only); err != nil {
		t.Fatal(err)
	}
	from := &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: list.GetResourceVersion()}}
	events, err := env.Watch(ctx, list.DeepCopyObject().(client.ObjectList), only, from)
	if err != nil {
		t.Fatal(err)
	}
	return events
}

// follow follows the VM called name until judge decides.
func (env *testEnv) follow(t *testing.T, name string, judge func(*v1alpha1.LimaVM) (bool, error)) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	list := &v1alpha1.LimaVMList{}
	events := env.watch(ctx, t, list, client.MatchingFields{"metadata.name": name})
	defer events.Stop()
	var seen *v1alpha1.LimaVM
	if len(list.Items) > 0 {
		seen = &list.Items[0]
	}
	for {
		if done, err := judge(seen); done || err != nil {
			return err
		}
		ev, open := <-events.ResultChan()
		if !open {
			t.Fatalf("VM %q: still %+v after %s; asked for %v", name, seen, limit, env.machines.actions(name))
		}
		seen, _ = ev.Object.(*v1alpha1.LimaVM)
		if ev.Type == "DELETED" {
			seen = nil
		}
	}
}

// patchVM changes the spec and returns the VM as the server answers.
func (env *testEnv) patchVM(t *testing.T, vm *v1alpha1.LimaVM, change func(*v1alpha1.LimaVM)) *v1alpha1.LimaVM {
	t.Helper()
	now := vm.DeepCopy()
	change(now)
	if err := env.Patch(t.Context(), now, client.MergeFrom(vm)); err != nil {
		t.Fatal(err)
	}
	return now
}

func (env *testEnv) storedTemplate(t *testing.T, vm string) (*corev1.ConfigMap, error) {
	t.Helper()
	cm := &corev1.ConfigMap{}
	err := env.Get(context.Background(), types.NamespacedName{Namespace: v1alpha1.SystemNamespace, Name: "limavm-" + vm}, cm)
	return cm, err
}
