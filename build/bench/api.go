package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
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
	getFactor    = 2    // gets of each object, which are quicker
	latencyCount = 500  // requests whose latencies give a p50 and a p99
	watchTimeout = 10 * time.Second
)

// configMaps is a client of the ConfigMaps in one namespace, with a connection of its own.
type configMaps struct{ dynamic.ResourceInterface }

func (s *service) configMaps(ctx context.Context) (configMaps, error) {
	client, err := s.client(ctx)
	if err != nil {
		return configMaps{}, err
	}
	return configMaps{client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}).Namespace("default")}, nil
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

// measureAPI measures the throughput with several clients, and the latencies with one.
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
		b.logf("api: throughput and latencies, run %d of %d", n+1, b.runs)
		if err := b.measureThroughput(ctx, clients, n); err != nil {
			return err
		}
		if err := b.measureLatency(ctx, clients[0], clients[1]); err != nil {
			return err
		}
	}
	return b.remove(ctx, s)
}

func (b *bench) measureThroughput(ctx context.Context, clients []configMaps, run int) error {
	name := func(n int) string { return fmt.Sprintf("run-%d-%d", run, n%objectCount) }
	for _, step := range []struct {
		key   string // empty: not measured
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

// throughput distributes count requests among the clients and returns how many are done per second.
func throughput[C any](clients []C, count int, do func(c C, n int) error) (perSecond float64, err error) {
	var next atomic.Int64
	began := time.Now()
	err = each(clients, func(c C) error {
		for n := int(next.Add(1) - 1); n < count; n = int(next.Add(1) - 1) {
			if err := do(c, n); err != nil {
				return err
			}
		}
		return nil
	})
	return float64(count) / time.Since(began).Seconds(), err
}

func (b *bench) measureLatency(ctx context.Context, writer, watcher configMaps) error {
	gets, err := latencies(latencyCount, func(int) error { return writer.get(ctx, "latency") })
	if err != nil {
		return err
	}
	events, err := watchLatencies(ctx, watcher, metav1.ListOptions{FieldSelector: "metadata.name=latency"}, func(n int) (condition, error) {
		n = -n - 1 // a value that measureThroughput doesn't write
		return func(obj *unstructured.Unstructured) bool {
			value, _, _ := unstructured.NestedString(obj.Object, "data", "n")
			return value == strconv.Itoa(n)
		}, writer.patch(ctx, "latency", n)
	})
	if err != nil {
		return err
	}
	b.addPercentiles("api.get", gets)
	b.addPercentiles("api.watch", events)
	return nil
}

// addPercentiles records the p50 and the p99 of the latencies of one run.
func (b *bench) addPercentiles(key string, latencies []float64) {
	b.add(key+"-p50", percentile(latencies, 50))
	b.add(key+"-p99", percentile(latencies, 99))
}

// latencies calls do count times, one after the other, and returns how long each call took, in milliseconds.
func latencies(count int, do func(n int) error) ([]float64, error) {
	return latenciesUntil(count, func(n int) (time.Time, error) {
		err := do(n)
		return time.Now(), err
	})
}

// latenciesUntil calls do count times, one after the other, and returns how much time passed from the begin of each
// call to the time that it returned, in milliseconds.
func latenciesUntil(count int, do func(n int) (time.Time, error)) ([]float64, error) {
	took := make([]float64, count)
	for n := range took {
		began := time.Now()
		at, err := do(n)
		if err != nil {
			return nil, err
		}
		took[n] = milliseconds(at.Sub(began))
	}
	return took, nil
}

// condition reports whether an object holds a change.
type condition func(*unstructured.Unstructured) bool

// watchLatencies calls change again and again, and returns how much time passed from each call to the event that met
// the condition it returned, in milliseconds. watcher should have another connection than the client that changes.
func watchLatencies(ctx context.Context, watcher dynamic.ResourceInterface, o metav1.ListOptions, change func(n int) (condition, error)) ([]float64, error) {
	w, err := watcher.Watch(ctx, o)
	if err != nil {
		return nil, err
	}
	defer w.Stop()
	events := make(chan event, eventBuffer)
	go receive(w, events)
	return latenciesUntil(latencyCount, func(n int) (time.Time, error) {
		met, err := change(n)
		if err != nil {
			return time.Time{}, err
		}
		at, err := await(ctx, events, met)
		if err != nil {
			err = fmt.Errorf("wait for change %d in the watch: %w", n+1, err)
		}
		return at, err
	})
}

// eventBuffer holds more events than any watch here delivers, so that receive never waits.
const eventBuffer = 4*latencyCount + 2*fleetCount

// event is an object that a watch delivered, or the error that ended the watch.
type event struct {
	object *unstructured.Unstructured
	at     time.Time
	err    error
}

// receive records when each event comes, until the watch ends.
func receive(w watch.Interface, events chan<- event) {
	defer close(events)
	for e := range w.ResultChan() {
		at := time.Now()
		if obj, ok := e.Object.(*unstructured.Unstructured); ok && e.Type != watch.Error {
			events <- event{object: obj, at: at}
		} else {
			events <- event{err: apierrors.FromObject(e.Object)}
			return
		}
	}
}

// await returns when the event came that met the condition.
func await(ctx context.Context, events <-chan event, met condition) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, watchTimeout)
	defer cancel()
	for {
		select {
		case e, ok := <-events:
			switch {
			case !ok:
				return time.Time{}, errors.New("the watch has ended")
			case e.err != nil:
				return time.Time{}, e.err
			case met(e.object):
				return e.at, nil
			}
		case <-ctx.Done():
			return time.Time{}, context.Cause(ctx)
		}
	}
}
