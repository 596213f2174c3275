package main

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"
)

func TestThroughput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		done := map[int]int{}
		perSecond, err := throughput([]string{"a", "b", "c", "d"}, 100, func(_ string, n int) error {
			time.Sleep(10 * time.Millisecond) // 4 clients do 400 a second
			mu.Lock()
			defer mu.Unlock()
			done[n]++
			return nil
		})
		if err != nil || perSecond != 400 {
			t.Errorf("throughput = %v, %v; want 400", perSecond, err)
		}
		if len(done) != 100 || done[0] != 1 || done[99] != 1 {
			t.Errorf("%d requests were made, want each of 100 once: %v", len(done), done)
		}
		broken := errors.New("broken")
		if _, err := throughput([]string{"a", "b"}, 10, func(string, int) error { return broken }); !errors.Is(err, broken) {
			t.Errorf("error %v, want that of the request", err)
		}
	})
}

func TestAwaitReturnsTheTimeOfTheEventWithTheChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch.NewFake()
		events := make(chan event, 10)
		go receive(w, events)
		began := time.Now()
		change := func(name string) *unstructured.Unstructured {
			return &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"name": name}}}
		}
		named := func(name string) condition {
			return func(obj *unstructured.Unstructured) bool { return obj.GetName() == name }
		}
		w.Add(change("none"))
		time.Sleep(3 * time.Second)
		w.Modify(change("one"))
		time.Sleep(time.Second)
		at, err := await(t.Context(), events, named("one"))
		if err != nil || at.Sub(began) != 3*time.Second {
			t.Errorf("event came after %s, %v; want 3s", at.Sub(began), err)
		}
		if _, err := await(t.Context(), events, named("two")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want that the deadline passed", err)
		}
		w.Error(&apierrors.NewResourceExpired("too old").ErrStatus)
		if _, err := await(t.Context(), events, named("two")); !apierrors.IsResourceExpired(err) {
			t.Errorf("error %v, want that of the watch", err)
		}
		if _, err := await(t.Context(), events, named("two")); err == nil {
			t.Error("no error after the end of the watch")
		}
	})
}
