//go:build linux

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
	"rancherdesktop.io/rdd/internal/wait"
)

const (
	kills = 95 // with the stand-in; the real VM has some more
	boxes = 5  // among which they are shared
)

// The service dies at any moment of anything. After the next start all that was acknowledged is
// there, every VM gets to be what was asked of it, and nothing else is left.
func TestServiceSurvivesKillsAtRandomMoments(t *testing.T) {
	t.Parallel()
	survived := make([]int, boxes)
	t.Run("boxes", func(t *testing.T) {
		for n := range boxes {
			t.Run(fmt.Sprint(n), func(t *testing.T) {
				t.Parallel()
				b := newBox(t)
				b.set("prepare", "30ms")
				b.set("boot", "60ms")
				b.set("stop", "30ms")
				b.set("remove", "20ms")
				m := &mayhem{box: b, vm: "demo", template: "images: []\n", span: 700 * time.Millisecond, settle: hang, seed: uint64(n)}
				survived[n] = m.run(kills / boxes)
			})
		}
	})
	sum := 0
	for _, n := range survived {
		sum += n
	}
	t.Logf("%d of %d kills survived", sum, kills/boxes*boxes)
}

// mayhem kills an instance's service at random moments of a script, which creates, starts, stops and
// deletes a VM and writes ConfigMaps, and checks what the next run makes of it.
type mayhem struct {
	*box
	vm       string
	template string        // Lima's, of that VM
	span     time.Duration // the moments are within this time after a start
	settle   time.Duration // how long the VM may take to get where it was asked to be
	seed     uint64

	choose *rand.Rand
	kept   []string // ConfigMaps whose creation was acknowledged
	asked  wish     // the last of the VM that was acknowledged
	maybe  wish     // what was asked after it, when no answer came
	state  map[string]int
}

// wish is what was asked of the VM.
type wish string

const (
	nothing wish = ""
	gone    wish = "gone"
	stopped wish = "stopped"
	running wish = "running"
)

// run kills the service count times and returns how many kills were survived. It ends with the
// first that was not.
func (m *mayhem) run(count int) (survived int) {
	m.t.Helper()
	m.choose = rand.New(rand.NewPCG(m.seed, 0))
	m.asked, m.state = gone, map[string]int{}
	for n := range count {
		began := time.Now()
		m.killOnce(n)
		m.start()
		m.check()
		if m.t.Failed() {
			return survived
		}
		survived++
		m.t.Logf("kill %d: %.1f s", n+1, time.Since(began).Seconds())
	}
	m.t.Logf("killed while %v", m.state)
	return survived
}

// killOnce starts the service if need be, has the script go on, and kills the service somewhere in
// between; now and then the hostagent as well.
func (m *mayhem) killOnce(n int) {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), m.settle)
	defer cancel()
	if n%3 == 0 { // the start is part of the script
		m.must(0, "svc", "stop")
	}
	began := make(chan struct{})
	scripted := make(chan struct{})
	go func() {
		defer close(scripted)
		close(began)
		if n%3 == 0 {
			if r := m.box.run("svc", "start"); r.code != 0 {
				m.state["starting"]++
				return
			}
		}
		m.script(ctx)
	}()
	<-began
	moment := time.NewTimer(time.Duration(m.choose.Int64N(int64(m.span))))
	defer moment.Stop()
	<-moment.C
	m.killAll("rddd serve")
	cancel() // nobody answers the script any more
	if m.choose.IntN(4) == 0 {
		m.killAll("rdd-lima hostagent")
	}
	<-scripted
}

// script does one thing after the other until the service no longer answers.
func (m *mayhem) script(ctx context.Context) {
	client := m.client()
	for n := 0; ; n++ {
		name := fmt.Sprintf("kept-%d-%d", len(m.kept), n)
		cm := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": name}}}
		if _, err := client.Resource(configMaps).Namespace("default").Create(ctx, cm, metav1.CreateOptions{}); err != nil {
			m.state["writing"]++
			return
		}
		m.kept = append(m.kept, name)
		next := m.next()
		m.maybe = next
		vm, err := m.ask(ctx, client, next)
		if err != nil {
			m.state["asking to be "+string(next)]++
			return
		}
		m.asked, m.maybe = next, nothing
		if m.choose.IntN(3) > 0 || next == gone { // else the next thing comes in the middle of this
			if err := m.await(ctx, client, vm, next); err != nil {
				m.state["becoming "+string(next)]++
				return
			}
		}
	}
}

// next is what to ask for after what was asked.
func (m *mayhem) next() wish {
	choices := map[wish][]wish{gone: {running, stopped}, stopped: {running, running, gone}, running: {stopped, stopped, gone}}[m.asked]
	return choices[m.choose.IntN(len(choices))]
}

var (
	configMaps = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	limaVMs    = v1alpha1.GroupVersion.WithResource(v1alpha1.Resource)
)

// ask asks for the VM to be as wished and returns it as the server answered.
func (m *mayhem) ask(ctx context.Context, client dynamic.Interface, w wish) (*v1alpha1.LimaVM, error) {
	vms := client.Resource(limaVMs)
	switch {
	case w == gone:
		was, err := vms.Get(ctx, m.vm, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		return decodeVM(was), vms.Delete(ctx, m.vm, metav1.DeleteOptions{})
	case m.asked == gone:
		made, err := vms.Create(ctx, &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": v1alpha1.GroupVersion.String(), "kind": v1alpha1.Kind, "metadata": map[string]any{"name": m.vm},
			"spec": map[string]any{"running": w == running, "template": m.template},
		}}, metav1.CreateOptions{})
		return decodeVM(made), err
	}
	patched, err := vms.Patch(ctx, m.vm, types.MergePatchType, fmt.Appendf(nil, `{"spec":{"running":%t}}`, w == running), metav1.PatchOptions{})
	return decodeVM(patched), err
}

// await waits until the VM is as wished. A service that is gone ends the wait.
func (m *mayhem) await(ctx context.Context, client dynamic.Interface, vm *v1alpha1.LimaVM, w wish) error {
	check := vm.Expectation().Running
	if w == gone {
		check = vm.Expectation().Deleted
	}
	return wait.Until(ctx, client.Resource(limaVMs), m.vm, func(obj *unstructured.Unstructured) (bool, error) {
		return check(decodeVM(obj))
	})
}

func decodeVM(obj *unstructured.Unstructured) *v1alpha1.LimaVM {
	if obj == nil {
		return nil
	}
	vm := &v1alpha1.LimaVM{}
	if runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, vm) != nil {
		return nil
	}
	return vm
}

// check judges what a new run of the service has made of what the last one left.
func (m *mayhem) check() {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), m.settle)
	defer cancel()
	client := m.client()
	m.checkKept(ctx, client)
	obj, err := client.Resource(limaVMs).Get(ctx, m.vm, metav1.GetOptions{})
	is := gone
	var vm *v1alpha1.LimaVM
	switch {
	case err == nil:
		vm = decodeVM(obj)
		if vm.DeletionTimestamp == nil {
			is = map[bool]wish{true: running, false: stopped}[vm.Spec.Running]
		}
	case !apierrors.IsNotFound(err):
		m.t.Fatal(err)
	}
	if is != m.asked && is != m.maybe {
		m.t.Fatalf("the VM was asked to be %q (or %q, without an answer); it is asked to be %q", m.asked, m.maybe, is)
	}
	m.asked, m.maybe = is, nothing
	if vm != nil {
		if err := m.await(ctx, client, vm, is); err != nil {
			m.t.Fatalf("VM %q does not get to be %s: %v: %+v", m.vm, is, err, vm.Status)
		}
	}
	m.checkProcesses(is)
	if is == gone {
		m.checkGone(ctx, client)
	}
}

// checkKept looks for every ConfigMap that was acknowledged.
func (m *mayhem) checkKept(ctx context.Context, client dynamic.Interface) {
	m.t.Helper()
	list, err := client.Resource(configMaps).Namespace("default").List(ctx, metav1.ListOptions{})
	if err != nil {
		m.t.Fatal(err)
	}
	var names []string
	for _, item := range list.Items {
		names = append(names, item.GetName())
	}
	for _, name := range m.kept {
		if !slices.Contains(names, name) {
			m.t.Errorf("the acknowledged ConfigMap %s is lost", name)
		}
	}
}

// checkProcesses looks for what runs that should not, and does not that should.
func (m *mayhem) checkProcesses(is wish) {
	m.t.Helper()
	want := 0
	if is == running {
		want = 1
	}
	for what, lock := range map[string]string{"hostagent": m.box.vm(m.vm).HostagentLock(), "QEMU": m.box.vm(m.vm).QEMULock()} {
		if m.held(lock) != (is == running) {
			m.t.Errorf("the VM is %s; its %s lives: %t", is, what, is != running)
		}
	}
	agents := 0
	for _, line := range m.processes() {
		if strings.Contains(line, "rdd-lima hostagent ") {
			agents++
		}
	}
	if agents != want {
		m.t.Errorf("the VM is %s; there are %d hostagents: %v", is, agents, m.processes())
	}
}

// checkGone looks for what a deleted VM may leave.
func (m *mayhem) checkGone(ctx context.Context, client dynamic.Interface) {
	m.t.Helper()
	m.eventually("the VM's directory is gone", func() bool { return !exists(m.box.vm(m.vm).Dir()) })
	m.eventually("its template is gone", func() bool {
		_, err := client.Resource(configMaps).Namespace(v1alpha1.SystemNamespace).Get(ctx, v1alpha1.TemplateConfigMapName(m.vm), metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
}
