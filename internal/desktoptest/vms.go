//go:build linux

package desktoptest

import (
	"encoding/json"
	"fmt"
	"math"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"

	"rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
)

// FakeVMs is VMs that are stopped or run as a benchmark says. Nothing runs them: the service must have been
// created without the controller limavm, so that a change is one write of one status, and no other follows.
type FakeVMs struct {
	testing.TB
	vms dynamic.ResourceInterface
	up  map[string]bool
}

// NewFakeVMs makes stopped VMs in the service that the kubeconfig leads to: vm-00, vm-01, …
func NewFakeVMs(tb testing.TB, kubeconfig string, count int) *FakeVMs {
	tb.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		tb.Fatal(err)
	}
	config.QPS = -1
	config.Dial = (&net.Dialer{}).DialContext // else client-go shares the connection with a service that is gone
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		tb.Fatal(err)
	}
	f := &FakeVMs{TB: tb, vms: client.Resource(v1alpha1.GroupVersion.WithResource(v1alpha1.Resource)), up: map[string]bool{}}
	for n := range count {
		_, err := f.vms.Create(tb.Context(), &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": v1alpha1.GroupVersion.String(), "kind": v1alpha1.Kind, "metadata": map[string]any{"name": vmName(n)},
			"spec": map[string]any{"template": "images: []\n"},
		}}, metav1.CreateOptions{})
		if err != nil {
			tb.Fatal(err)
		}
		f.set(vmName(n), false)
	}
	return f
}

func vmName(n int) string { return fmt.Sprintf("vm-%02d", n) }

// set writes the status of a VM.
func (f *FakeVMs) set(name string, up bool) {
	f.Helper()
	condition := func(kind, reason string, status bool) metav1.Condition {
		return metav1.Condition{Type: kind, Status: map[bool]metav1.ConditionStatus{true: metav1.ConditionTrue, false: metav1.ConditionFalse}[status],
			Reason: reason, LastTransitionTime: metav1.Now(), ObservedGeneration: 1}
	}
	reason := map[bool]string{true: v1alpha1.ReasonStarted, false: v1alpha1.ReasonStopped}[up]
	patch, err := json.Marshal(map[string]any{"status": map[string]any{"observedGeneration": 1, "conditions": []metav1.Condition{
		condition(v1alpha1.ConditionCreated, v1alpha1.ReasonCreated, true), condition(v1alpha1.ConditionRunning, reason, up),
	}}})
	if err == nil {
		_, err = f.vms.Patch(f.Context(), name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
	}
	if err != nil {
		f.Errorf("%s: %v", name, err)
	}
}

// What a benchmark of changes does. A window shows at least that many VMs without being scrolled.
const (
	changes = 200
	bursts  = 20
	atOnce  = 10
)

// Benchmark measures how long it takes from just before a write is sent until somebody sees the change. seen waits
// until each VM is in the state, Running or Stopped, and returns when that was. Reported are the p50-ms and p99-ms
// of 200 changes, one after the other, and as ten-ms the median of 20 times ten changes at once, to the last of them.
func (f *FakeVMs) Benchmark(b *testing.B, seen func(states map[string]string) time.Time) {
	b.Helper()
	for b.Loop() {
		var single, burst []float64
		for n := range changes {
			single = append(single, milliseconds(f.Toggle(seen, vmName(n%atOnce))))
		}
		all := make([]string, atOnce)
		for n := range all {
			all[n] = vmName(n)
		}
		for range bursts {
			burst = append(burst, milliseconds(f.Toggle(seen, all...)))
		}
		b.ReportMetric(percentile(single, 50), "p50-ms")
		b.ReportMetric(percentile(single, 99), "p99-ms")
		b.ReportMetric(percentile(burst, 50), "ten-ms")
	}
	b.ReportMetric(0, "ns/op") // says nothing
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// Toggle stops VMs that run, starts the others, and returns how long it takes until that is seen, as Report does.
func (f *FakeVMs) Toggle(seen func(states map[string]string) time.Time, names ...string) time.Duration {
	f.Helper()
	states := map[string]string{}
	for _, name := range names {
		f.up[name] = !f.up[name]
		states[name] = map[bool]string{true: "Running", false: "Stopped"}[f.up[name]]
	}
	began := time.Now()
	var writing sync.WaitGroup
	defer writing.Wait()
	for _, name := range names {
		up := f.up[name]
		writing.Go(func() { f.set(name, up) })
	}
	return seen(states).Sub(began)
}

// percentile is the smallest value that p percent of the values don't exceed.
func percentile(values []float64, p float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[int(math.Ceil(p/100*float64(len(sorted))))-1]
}
