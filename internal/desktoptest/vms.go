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

// FakeVMs are LimaVM objects whose status a benchmark sets. The service must have been created without the controller
// limavm, so that each change is one write of one status, and nothing else follows.
type FakeVMs struct {
	testing.TB
	vms dynamic.ResourceInterface
	up  map[string]bool
}

// NewFakeVMs creates the VMs vm-00, vm-01, … as stopped, in the service of the kubeconfig.
func NewFakeVMs(tb testing.TB, kubeconfig string, count int) *FakeVMs {
	tb.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		tb.Fatal(err)
	}
	config.QPS = -1
	config.Dial = (&net.Dialer{}).DialContext // otherwise client-go would reuse the connection to a service that has ended
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

// Sizes of Benchmark. A window shows at least atOnce VMs without scrolling.
const (
	changes = 200
	bursts  = 20
	atOnce  = 10
)

// Benchmark measures the time from just before a write is sent until the change is seen. seen waits until each VM is
// shown in the state, Running or Stopped, and returns when that was. The results are p50-ms and p99-ms of 200 changes, one
// after the other, and ten-ms, the median of 20 times ten changes at once, until the last one is seen.
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
	b.ReportMetric(0, "ns/op") // is meaningless here
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// Toggle stops the running VMs and starts the others among names, and returns the time until that is seen, as Benchmark
// measures it.
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

// percentile returns the smallest value that at least p percent of the values don't exceed.
func percentile(values []float64, p float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[int(math.Ceil(p/100*float64(len(sorted))))-1]
}
