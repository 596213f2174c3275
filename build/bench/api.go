package main

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
)

const (
	clientCount  = 8
	objectCount  = 1000 // objects that the clients create, get and patch together in a run
	getFactor    = 2    // gets of each object; they are quicker
	latencyCount = 500  // requests whose latencies give a p50 and a p99
	watchTimeout = 10 * time.Second
)

// configMaps is a client of the ConfigMaps in one namespace, with a connection of its own.
type configMaps struct{ dynamic.ResourceInterface }

func (s *service) configMaps(ctx context.Context) (configMaps, error) {
	client, err := s.dynamic(ctx)
	if err != nil {
		return configMaps{}, err
	}
	return configMaps{client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}).Namespace("default")}, nil
}

func (s *service) dynamic(ctx context.Context) (*dynamic.DynamicClient, error) {
	config, err := s.config(ctx)
	if err != nil {
		return nil, err
	}
	return dynamic.NewForConfig(config)
}

func (c configMaps) create(ctx context.Context, name string) error {
	_, err := c.Create(ctx, &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": map[string]any{"name": name},
		"data":     map[string]any{"text": "a few words, as many objects hold", "n": "none"},
	}}, metav1.CreateOptions{})
	return err
}

func (c configMaps) get(ctx context.Context, name string) error {
	_, err := c.Get(ctx, name, metav1.GetOptions{})
	return err
}

func (c configMaps) patch(ctx context.Context, name string, n int) error {
	_, err := c.Patch(ctx, name, types.MergePatchType, fmt.Appendf(nil, `{"data":{"n":"%d"}}`, n), metav1.PatchOptions{})
	return err
}

func (c configMaps) remove(ctx context.Context, name string) error {
	return c.Delete(ctx, name, metav1.DeleteOptions{})
}

// measureAPI measures throughput with several clients, and latencies with one.
func (b *bench) measureAPI(ctx context.Context) error {
	s, err := b.startService(ctx)
	if err != nil {
		return err
	}
	clients := make([]configMaps, clientCount)
	for i := range clients {
		if clients[i], err = s.configMaps(ctx); err != nil {
			return err
		}
	}
	if err := clients[0].create(ctx, "latency"); err != nil {
		return err
	}
	for n := range b.runs {
		b.sayf("api: throughput and latencies, run %d of %d", n+1, b.runs)
		if err := b.measureThroughput(ctx, clients, n); err != nil {
			return err
		}
		if err := b.measureLatency(ctx, clients[0], clients[1]); err != nil {
			return err
		}
	}
	return b.discard(ctx, s)
}

func (b *bench) measureThroughput(ctx context.Context, clients []configMaps, run int) error {
	name := func(n int) string { return fmt.Sprintf("run-%d-%d", run, n%objectCount) }
	for _, step := range []struct {
		key   string // empty: only to clear up
		count int
		do    func(c configMaps, n int) error
	}{
		{"api.creates", objectCount, func(c configMaps, n int) error { return c.create(ctx, name(n)) }},
		{"api.gets", objectCount * getFactor, func(c configMaps, n int) error { return c.get(ctx, name(n)) }},
		{"api.patches", objectCount, func(c configMaps, n int) error { return c.patch(ctx, name(n), n) }},
		{"", objectCount, func(c configMaps, n int) error { return c.remove(ctx, name(n)) }},
	} {
		perSecond, err := throughput(clients, step.count, step.do)
		if err != nil {
			return err
		}
		if step.key != "" {
			b.add(step.key, perSecond)
		}
	}
	return nil
}

// throughput shares count requests among the clients and returns how many are done in a second.
func throughput[C any](clients []C, count int, do func(c C, n int) error) (perSecond float64, err error) {
	var next atomic.Int64
	var all sync.WaitGroup
	failed := make(chan error, len(clients))
	began := time.Now()
	for _, c := range clients {
		all.Go(func() {
			for n := int(next.Add(1) - 1); n < count; n = int(next.Add(1) - 1) {
				if err := do(c, n); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	all.Wait()
	took := time.Since(began)
	select {
	case err := <-failed:
		return 0, err
	default:
		return float64(count) / took.Seconds(), nil
	}
}

// timed calls do count times, one after the other, and returns how long each took in milliseconds.
func timed(count int, do func(n int) error) ([]float64, error) {
	took := make([]float64, count)
	for n := range count {
		began := time.Now()
		if err := do(n); err != nil {
			return nil, err
		}
		took[n] = milliseconds(time.Since(began))
	}
	return took, nil
}

func (b *bench) measureLatency(ctx context.Context, writer, watcher configMaps) error {
	gets, err := timed(latencyCount, func(int) error { return writer.get(ctx, "latency") })
	if err != nil {
		return err
	}
	events, err := watchLatencies(ctx, writer, watcher, "latency")
	if err != nil {
		return err
	}
	b.add("api.get-p50", percentile(gets, 50))
	b.add("api.get-p99", percentile(gets, 99))
	b.add("api.watch-p50", percentile(events, 50))
	b.add("api.watch-p99", percentile(events, 99))
	return nil
}

// seen is a change of an object as a watch told of it.
type seen struct {
	n  string
	at time.Time
}

// watchLatencies patches one object again and again, and returns how long after each patch was sent
// a watch on another connection told of it, in milliseconds.
func watchLatencies(ctx context.Context, writer, watcher configMaps, name string) ([]float64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w, err := watcher.Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + name})
	if err != nil {
		return nil, err
	}
	defer w.Stop()
	events := make(chan seen, latencyCount+1)
	go receive(w, events)

	took := make([]float64, latencyCount)
	for n := range took {
		began := time.Now()
		if err := writer.patch(ctx, name, -n-1); err != nil {
			return nil, err
		}
		at, err := await(ctx, events, strconv.Itoa(-n-1))
		if err != nil {
			return nil, err
		}
		took[n] = milliseconds(at.Sub(began))
	}
	return took, nil
}

// receive notes when each event comes, until the watch ends.
func receive(w watch.Interface, events chan<- seen) {
	defer close(events)
	for e := range w.ResultChan() {
		at := time.Now()
		obj, ok := e.Object.(*unstructured.Unstructured)
		if !ok {
			return
		}
		n, _, _ := unstructured.NestedString(obj.Object, "data", "n")
		events <- seen{n, at}
	}
}

// await returns when the event with that value came.
func await(ctx context.Context, events <-chan seen, n string) (time.Time, error) {
	late := time.After(watchTimeout)
	for {
		select {
		case e, ok := <-events:
			if !ok {
				return time.Time{}, fmt.Errorf("the watch ended while waiting for change %s", n)
			}
			if e.n == n {
				return e.at, nil
			}
		case <-late:
			return time.Time{}, fmt.Errorf("%w: the watch did not tell of change %s within %s", context.DeadlineExceeded, n, watchTimeout)
		case <-ctx.Done():
			return time.Time{}, context.Cause(ctx)
		}
	}
}
