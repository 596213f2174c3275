package server_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
	"rancherdesktop.io/rdd/internal/instance"
	"rancherdesktop.io/rdd/internal/lifecycle"
	"rancherdesktop.io/rdd/internal/server"
)

func TestMain(m *testing.M) {
	quiet := slog.New(slog.DiscardHandler)
	klog.SetSlogLogger(quiet)
	ctrllog.SetLogger(logr.FromSlogHandler(quiet.Handler()))
	m.Run()
}

// limit is for what should happen at once.
const limit = 60 * time.Second

// newInstance is an instance below a short directory, with a rdd-lima that says yes to everything.
func newInstance(t *testing.T) instance.Instance {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("rdd-lima is a script here")
	}
	root, err := os.MkdirTemp("", "rdd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(root); err != nil {
			t.Error(err)
		}
	})
	script := "#!/bin/sh\ncat >/dev/null\necho '{\"ok\":true}'\n"
	if err := os.WriteFile(filepath.Join(root, "rdd-lima"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	inst := instance.At(root, "t", root)
	if err := inst.Create(); err != nil {
		t.Fatal(err)
	}
	return inst
}

// run is one run of the service in this process.
type run struct {
	t       *testing.T
	inst    instance.Instance
	nonce   string
	ready   chan struct{}
	end     context.CancelFunc
	ended   chan error
	records []lifecycle.Record // complete once it has ended
}

func start(t *testing.T, inst instance.Instance, nonce string, config lifecycle.Config) *run {
	t.Helper()
	ctx, end := context.WithCancel(context.Background())
	r := &run{t: t, inst: inst, nonce: nonce, ready: make(chan struct{}), end: end, ended: make(chan error, 1)}
	go func() {
		claim, err := lifecycle.Take(inst, nonce)
		if err != nil {
			r.ended <- err
			return
		}
		err = lifecycle.Run(ctx, inst, claim, "test", slog.New(slog.DiscardHandler), func(ctx context.Context, publish func(lifecycle.Record)) error {
			service := &server.Run{Instance: inst, Config: config, Nonce: nonce, Version: "test", Host: "here", Log: slog.New(slog.DiscardHandler)}
			service.Publish = func(rec lifecycle.Record) {
				publish(rec)
				r.records = append(r.records, rec)
				if rec.Phase == lifecycle.Ready {
					close(r.ready)
				}
			}
			return service.Serve(ctx)
		})
		r.ended <- errors.Join(err, claim.Release())
	}()
	t.Cleanup(end)
	return r
}

func (r *run) awaitReady() {
	r.t.Helper()
	select {
	case <-r.ready:
	case err := <-r.ended:
		r.t.Fatalf("ended before it was ready: %v", err)
	case <-time.After(limit):
		r.t.Fatal("not ready in time")
	}
}

func (r *run) stop() {
	r.t.Helper()
	r.end()
	if err := <-r.ended; err != nil {
		r.t.Fatalf("the run ended with %v", err)
	}
}

// outside is a client with the kubeconfig that any other program of the user reads.
func outside(t *testing.T, inst instance.Instance) client.Client {
	t.Helper()
	c, err := tryOutside(inst)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func tryOutside(inst instance.Instance) (client.Client, error) {
	config, err := clientcmd.BuildConfigFromFlags("", inst.KubeConfig())
	if err != nil {
		return nil, err
	}
	scheme := kruntime.NewScheme()
	_ = corev1.AddToScheme(scheme)
	_ = v1alpha1.AddToScheme(scheme)
	config.QPS = -1
	return client.New(config, client.Options{Scheme: scheme})
}

func newVM(name string) *v1alpha1.LimaVM {
	return &v1alpha1.LimaVM{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.LimaVMSpec{
		Running: true, TemplateRef: &v1alpha1.TemplateRef{Namespace: "default", Name: "debian"},
	}}
}

func newTemplate() *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "debian"}, Data: map[string]string{"template": "images: []"}}
}

// "Ready" is a promise: of fresh starts, none refuses the first write that a controller guards.
func TestFirstGuardedWriteAfterReadySucceeds(t *testing.T) {
	starts := 100
	if testing.Short() {
		starts = 8
	}
	failed := atomic.Int32{}
	for worker := range 4 {
		t.Run(fmt.Sprint("side by side ", worker), func(t *testing.T) {
			t.Parallel()
			for i := range starts / 4 {
				if err := firstWrite(t); err != nil {
					t.Errorf("start %d: %v", i, err)
					failed.Add(1)
				}
			}
		})
	}
	t.Cleanup(func() { t.Logf("%d of %d first writes succeeded", starts-int(failed.Load()), starts) })
}

// firstWrite starts a new instance, writes at once when it is ready, and stops it.
func firstWrite(t *testing.T) error {
	t.Helper()
	inst := newInstance(t)
	r := start(t, inst, "n", lifecycle.Config{})
	r.awaitReady()
	c := outside(t, inst)
	defer r.stop()
	if err := c.Create(t.Context(), newTemplate()); err != nil {
		return err
	}
	return c.Create(t.Context(), newVM("a"))
}

func discovered(t *testing.T, c client.Client) (*corev1.ConfigMap, error) {
	t.Helper()
	cm := &corev1.ConfigMap{}
	return cm, c.Get(t.Context(), client.ObjectKey{Namespace: "rdd-system", Name: "rdd-controller-manager"}, cm)
}

// A client that knows a run's nonce, and looks for it in the discovery ConfigMap, is never told too
// early, whatever an earlier run has left there.
func TestDiscoveryConfigMapOfAnEarlierRunIsRemoved(t *testing.T) {
	inst := newInstance(t)
	first := start(t, inst, "first", lifecycle.Config{})
	first.awaitReady()
	c := outside(t, inst)
	if err := c.Create(t.Context(), newTemplate()); err != nil {
		t.Fatal(err)
	}
	cm, err := discovered(t, c)
	if err != nil || cm.Data["nonce"] != "first" || cm.Data["controllers"] != "limavm,app" || cm.Annotations["rdd.rancherdesktop.io/ready"] != "true" {
		t.Fatal(cm, err)
	}
	uid := cm.UID
	first.stop()
	for i := range 10 {
		nonce := fmt.Sprint("next-", i)
		next := start(t, inst, nonce, lifecycle.Config{})
		for cm.Data["nonce"] != nonce { // from before the port answers
			select {
			case err := <-next.ended:
				t.Fatal(err)
			default:
			}
			if seen, err := discovered(t, c); err == nil {
				cm = seen
			}
		}
		if err := c.Create(t.Context(), newVM(nonce)); err != nil {
			t.Fatalf("the ConfigMap says that it is ready: %v", err)
		}
		if cm.UID == uid {
			t.Fatal("the ConfigMap is the last run's, changed: its age is not this run's")
		}
		uid = cm.UID
		next.awaitReady()
		if now, err := discovered(t, c); err != nil || now.UID != uid {
			t.Fatal("it is not there any more", err)
		}
		next.stop()
	}
}

func TestControllerThatIsLeftOutDoesNothing(t *testing.T) {
	inst := newInstance(t)
	r := start(t, inst, "without", lifecycle.Config{Controllers: []string{"-limavm"}})
	r.awaitReady()
	c := outside(t, inst)
	if cm, err := discovered(t, c); err != nil || cm.Data["controllers"] != "app" {
		t.Fatal(cm.Data, err)
	}
	if err := c.Create(t.Context(), newTemplate()); err != nil {
		t.Fatal(err)
	}
	if err := c.Create(t.Context(), newVM("a")); err != nil {
		t.Fatal(err)
	}
	// A controller that runs acts within some 50 ms.
	for end := time.Now().Add(time.Second); time.Now().Before(end); {
		vm := &v1alpha1.LimaVM{}
		if err := c.Get(t.Context(), client.ObjectKey{Name: "a"}, vm); err != nil || len(vm.Finalizers) > 0 || len(vm.Status.Conditions) > 0 {
			t.Fatal("somebody acts on it", vm, err)
		}
	}
	if err := c.Delete(t.Context(), newVM("a")); err != nil {
		t.Fatal(err)
	}
	if err := c.Get(t.Context(), client.ObjectKey{Name: "a"}, &v1alpha1.LimaVM{}); client.IgnoreNotFound(err) != nil || err == nil {
		t.Error("nobody holds it, and it stays", err)
	}
	r.stop()
}

func TestFailedBackupIsAWarning(t *testing.T) {
	inst := newInstance(t)
	if err := os.WriteFile(inst.BackupDir(), []byte("in the way"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := start(t, inst, "n", lifecycle.Config{})
	r.awaitReady()
	r.stop()
	rec, err := lifecycle.Last(inst)
	if err != nil || rec.Phase != lifecycle.Stopped || !strings.Contains(rec.Warning, inst.BackupDir()) {
		t.Fatal(rec, err)
	}
}

// What every run writes is no change, so ten starts don't push three good backups out.
func TestStartAndStopAloneMakeNoBackup(t *testing.T) {
	inst := newInstance(t)
	for i := range 4 {
		r := start(t, inst, fmt.Sprint(i), lifecycle.Config{})
		r.awaitReady()
		if i == 1 {
			if err := outside(t, inst).Create(t.Context(), newTemplate()); err != nil {
				t.Fatal(err)
			}
		}
		r.stop()
	}
	all, err := server.Backups(t.Context(), inst)
	if err != nil || len(all) != 2 {
		t.Fatal(all, err)
	}
}

func TestRestoreListsUnknownDisks(t *testing.T) {
	inst := newInstance(t)
	r := start(t, inst, "n", lifecycle.Config{})
	r.awaitReady()
	c := outside(t, inst)
	if err := c.Create(t.Context(), newTemplate()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"kept", "diskless"} {
		if err := c.Create(t.Context(), newVM(name)); err != nil {
			t.Fatal(err)
		}
	}
	r.stop()
	for _, name := range []string{"kept", "younger"} {
		for _, dir := range []string{filepath.Join("_run", name), name} {
			if err := os.MkdirAll(filepath.Join(inst.LimaHome(), dir), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(inst.LimaHome(), name, "rdd.prepared"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	done, err := server.Restore(t.Context(), inst, lifecycle.Config{}, "")
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(done.Backup.VMs, done.Unknown, done.Diskless); got != "[diskless kept] [younger] [diskless]" {
		t.Error(got)
	}
	again := start(t, inst, "again", lifecycle.Config{Controllers: []string{"-limavm"}})
	again.awaitReady()
	if err := outside(t, inst).Get(t.Context(), client.ObjectKey{Name: "kept"}, &v1alpha1.LimaVM{}); err != nil {
		t.Error(err)
	}
	again.stop()
}

func TestRestoreOfAnExternalDatastoreIsRejected(t *testing.T) {
	inst := newInstance(t)
	_, err := server.Restore(t.Context(), inst, lifecycle.Config{DatastoreEndpoint: "postgres://u:secret@h/db"}, "")
	if err == nil || !strings.Contains(err.Error(), "external datastore") || strings.Contains(err.Error(), "secret") {
		t.Error(err)
	}
}

// A run that was asked to stop also stops VMs that it has not adopted. One that can't be recorded leaves them alone: nobody has
// asked for a stop.
func TestOnlyARequestedStopStopsVMsThatAreNotAdopted(t *testing.T) {
	inst := newInstance(t)
	for cause, want := range map[error]bool{context.Canceled: true, &lifecycle.RecordError{Err: os.ErrPermission}: false} {
		ctx, end := context.WithCancelCause(t.Context())
		end(cause)
		stops := false
		service := &server.Run{Instance: inst, Nonce: "n", Version: "test", Host: "here", Log: slog.New(slog.DiscardHandler)}
		service.Publish = func(rec lifecycle.Record) { stops = stops || rec.Phase == lifecycle.Stopping }
		if err := service.Serve(ctx); err != nil || stops != want {
			t.Errorf("%v: it stops VMs: %t, %v", cause, stops, err)
		}
	}
}
