//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync/atomic"
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
	"rancherdesktop.io/rdd/internal/testenv"
	"rancherdesktop.io/rdd/internal/wait"
)

const (
	chaosKills = 95 // with the fake rdd-lima; TestBoot has some more with a real VM
	chaosEnvs  = 5  // environments that share the kills
)

// After a crash at any moment and the next start, everything that the server had acknowledged exists, every VM reaches
// the requested state, and nothing else is left.
func TestServiceSurvivesKillsAtRandomMoments(t *testing.T) {
	t.Parallel()
	tests := make([]*chaosTest, chaosEnvs)
	t.Run("envs", func(t *testing.T) {
		for n := range chaosEnvs {
			t.Run(fmt.Sprint(n), func(t *testing.T) {
				t.Parallel()
				e := newTestEnv(t)
				e.setFake("prepare", "30ms")
				e.setFake("boot", "60ms")
				e.setFake("stop", "30ms")
				e.setFake("remove", "20ms")
				tests[n] = &chaosTest{testEnv: e, vm: "demo", template: "images: []\n", killWithin: 700 * time.Millisecond, settleTimeout: testenv.Timeout, seed: uint64(n), goal: goalGone, killedWhile: map[string]int{}}
				tests[n].run(chaosKills / chaosEnvs)
			})
		}
	})
	if t.Failed() || slices.Contains(tests, nil) { // some were skipped
		return
	}
	written, moments := 0, map[string]int{}
	for _, c := range tests {
		written += len(c.created)
		for moment, n := range c.killedWhile {
			moments[moment] += n
		}
	}
	t.Logf("%d writes were acknowledged; killed while %v", written, moments)
	if written == 0 || len(moments) < 2 {
		t.Errorf("the scripts do next to nothing before the kills: %d writes were acknowledged; killed while %v", written, slices.Collect(maps.Keys(moments)))
	}
}

// chaosTest kills the service at random moments of a script, which creates, starts, stops and deletes a VM and writes
// ConfigMaps. It then starts the service and checks the result.
type chaosTest struct {
	*testEnv
	vm            string
	template      string        // of the VM
	killWithin    time.Duration // the kill comes within this time
	settleTimeout time.Duration // how long the VM may take to reach the requested state
	seed          uint64

	writes      int      // ConfigMaps whose creation was requested
	created     []string // those whose creation was acknowledged
	goal        vmGoal   // the last acknowledged one
	unanswered  vmGoal   // the one requested after it, if no answer came
	killedWhile map[string]int
}

// vmGoal is a requested state of the VM.
type vmGoal string

const (
	goalNone    vmGoal = ""
	goalGone    vmGoal = "gone"
	goalStopped vmGoal = "stopped"
	goalRunning vmGoal = "running"
)

// run kills the service count times. It stops at the first failure.
func (c *chaosTest) run(count int) {
	c.t.Helper()
	for n := range count {
		began := time.Now()
		c.killOnce(n)
		c.start()
		c.check()
		if c.t.Failed() {
			return
		}
		c.t.Logf("kill %d: %.1f s", n+1, time.Since(began).Seconds())
	}
}

// killOnce runs the script and kills the service at some moment of it, and sometimes the hostagent as well. Every third
// time the script includes the start of the service.
func (c *chaosTest) killOnce(n int) {
	c.t.Helper()
	random := rand.New(rand.NewPCG(c.seed, uint64(n))) // of this kill, so that its lots don't depend on how far the last script got
	moment, hostagentToo := time.Duration(random.Int64N(int64(c.killWithin))), random.IntN(4) == 0
	starts := n%3 == 0
	if starts {
		c.must(0, "svc", "stop")
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.settleTimeout)
	defer cancel()
	var killing atomic.Bool
	killed := make(chan struct{})
	time.AfterFunc(moment, func() {
		defer close(killed)
		killing.Store(true)
		c.killProcesses("rddd serve")
		cancel() // the script gets no more answers
		if hostagentToo {
			c.killProcesses("rdd-lima hostagent")
		}
	})
	defer func() { <-killed }()
	doing, err := c.script(ctx, random, starts)
	if !killing.Load() {
		c.t.Errorf("failed before the kill, while %s: %v", doing, err)
	}
	c.killedWhile[doing]++
}

// script sends requests until the service no longer answers. It returns what it was doing then.
func (c *chaosTest) script(ctx context.Context, random *rand.Rand, starts bool) (doing string, err error) {
	c.t.Helper()
	if starts {
		if r := c.testEnv.run("svc", "start"); r.code != 0 {
			return "starting", errors.New(r.err)
		}
	}
	client := c.client()
	for {
		name := fmt.Sprintf("kept-%d", c.writes)
		c.writes++ // also without an answer, because the ConfigMap may exist
		cm := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": name}}}
		if _, err := client.Resource(configMaps).Namespace("default").Create(ctx, cm, metav1.CreateOptions{}); err != nil {
			return "writing", err
		}
		c.created = append(c.created, name)
		next := c.nextGoal(random)
		c.unanswered = next
		vm, err := c.request(ctx, client, next)
		if err != nil {
			return "asking to be " + string(next), err
		}
		c.goal, c.unanswered = next, goalNone
		if random.IntN(3) > 0 || next == goalGone { // otherwise the next request comes while this one is in progress
			if err := c.await(ctx, client, vm, next); err != nil {
				return "becoming " + string(next), err
			}
		}
	}
}

// nextGoal returns a random state to request next.
func (c *chaosTest) nextGoal(random *rand.Rand) vmGoal {
	choices := map[vmGoal][]vmGoal{goalGone: {goalRunning, goalStopped}, goalStopped: {goalRunning, goalRunning, goalGone}, goalRunning: {goalStopped, goalStopped, goalGone}}[c.goal]
	return choices[random.IntN(len(choices))]
}

var (
	configMaps = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	limaVMs    = v1alpha1.GroupVersion.WithResource(v1alpha1.Resource)
)

// request requests a state of the VM and returns the VM from the server's answer.
func (c *chaosTest) request(ctx context.Context, client dynamic.Interface, w vmGoal) (*v1alpha1.LimaVM, error) {
	vms := client.Resource(limaVMs)
	switch {
	case w == goalGone:
		was, err := vms.Get(ctx, c.vm, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		return decodeVM(was), vms.Delete(ctx, c.vm, metav1.DeleteOptions{})
	case c.goal == goalGone:
		made, err := vms.Create(ctx, &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": v1alpha1.GroupVersion.String(), "kind": v1alpha1.Kind, "metadata": map[string]any{"name": c.vm},
			"spec": map[string]any{"running": w == goalRunning, "template": c.template},
		}}, metav1.CreateOptions{})
		return decodeVM(made), err
	}
	patched, err := vms.Patch(ctx, c.vm, types.MergePatchType, fmt.Appendf(nil, `{"spec":{"running":%t}}`, w == goalRunning), metav1.PatchOptions{})
	return decodeVM(patched), err
}

// await waits until the VM has reached the state. It returns an error when the service ends.
func (c *chaosTest) await(ctx context.Context, client dynamic.Interface, vm *v1alpha1.LimaVM, w vmGoal) error {
	check := vm.Expectation().Running
	if w == goalGone {
		check = vm.Expectation().Deleted
	}
	return wait.Until(ctx, client.Resource(limaVMs), c.vm, func(obj *unstructured.Unstructured) (bool, error) {
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

// check checks the state after the restart of the service.
func (c *chaosTest) check() {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), c.settleTimeout)
	defer cancel()
	client := c.client()
	c.checkConfigMaps(ctx, client)
	obj, err := client.Resource(limaVMs).Get(ctx, c.vm, metav1.GetOptions{})
	is := goalGone
	var vm *v1alpha1.LimaVM
	switch {
	case err == nil:
		vm = decodeVM(obj)
		if vm.DeletionTimestamp == nil {
			is = map[bool]vmGoal{true: goalRunning, false: goalStopped}[vm.Spec.Running]
		}
	case !apierrors.IsNotFound(err):
		c.t.Fatal(err)
	}
	if is != c.goal && is != c.unanswered {
		c.t.Fatalf("requested was %q (or %q, without an answer), but the VM object says %q", c.goal, c.unanswered, is)
	}
	c.goal, c.unanswered = is, goalNone
	if vm != nil {
		if err := c.await(ctx, client, vm, is); err != nil {
			c.t.Fatalf("VM %q does not become %s: %v: %+v", c.vm, is, err, vm.Status)
		}
	}
	c.checkProcesses(is)
	if is == goalGone {
		c.checkGone(ctx, client)
	}
}

// checkConfigMaps checks that every acknowledged ConfigMap exists.
func (c *chaosTest) checkConfigMaps(ctx context.Context, client dynamic.Interface) {
	c.t.Helper()
	list, err := client.Resource(configMaps).Namespace("default").List(ctx, metav1.ListOptions{})
	if err != nil {
		c.t.Fatal(err)
	}
	var names []string
	for _, item := range list.Items {
		names = append(names, item.GetName())
	}
	for _, name := range c.created {
		if !slices.Contains(names, name) {
			c.t.Errorf("the acknowledged ConfigMap %s is lost", name)
		}
	}
}

// checkProcesses checks that the hostagent and QEMU run if the VM runs, and only then. It waits, because a hostagent whose lock
// is free may be ending, one that was started beside another may be waiting for the lock, and after a start that took long the
// status may be the last run's.
func (c *chaosTest) checkProcesses(is vmGoal) {
	c.t.Helper()
	var hostagent, qemu bool
	var agents int
	if !testenv.Within(func() bool {
		hostagent, qemu, agents = c.lockHeld(c.testEnv.vm(c.vm).HostagentLock()), c.lockHeld(c.testEnv.vm(c.vm).QEMULock()), c.countFakes("hostagent")
		if is == goalRunning {
			return hostagent && qemu && agents == 1
		}
		return !hostagent && !qemu && agents == 0
	}) {
		c.t.Errorf("the VM is %s; its hostagent runs: %t, its QEMU: %t, hostagents: %d: %v", is, hostagent, qemu, agents, c.processes())
	}
}

// checkGone checks that nothing of a deleted VM is left.
func (c *chaosTest) checkGone(ctx context.Context, client dynamic.Interface) {
	c.t.Helper()
	c.eventually("the VM's directory and logs are gone", func() bool { return !exists(c.testEnv.vm(c.vm).Dir()) && !exists(c.testEnv.vm(c.vm).Logs) })
	c.eventually("its template is gone", func() bool {
		_, err := client.Resource(configMaps).Namespace(v1alpha1.SystemNamespace).Get(ctx, v1alpha1.TemplateConfigMapName(c.vm), metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
}
