package view_test

import (
	"strconv"
	"testing"
	"time"

	"rancherdesktop.io/rdd/internal/api/containers/v1alpha1"
	"rancherdesktop.io/rdd/internal/view"
)

// watched returns a store with 1,000 containers and watchers who read all.
func watched(b *testing.B, watchers int) *view.Store {
	b.Helper()
	s := newStore()
	for i := range 1000 {
		s.Apply(container(strconv.Itoa(i), "name", v1alpha1.ContainerRunning))
	}
	for range watchers {
		w, err := s.Watch(b.Context(), view.WatchOptions{})
		if err != nil {
			b.Fatal(err)
		}
		go func() {
			for range w.ResultChan() {
			}
		}()
	}
	return s
}

func BenchmarkApplyWith10Watchers(b *testing.B) {
	s := watched(b, 10)
	states := []v1alpha1.ContainerState{v1alpha1.ContainerRunning, v1alpha1.ContainerExited}
	i := 0
	for b.Loop() {
		i++
		s.Apply(container(strconv.Itoa(i%1000), "name", states[i/1000%2]))
	}
}

// BenchmarkEventToWatcher is the time from a change to a watcher who has seen it, beside 10 others.
func BenchmarkEventToWatcher(b *testing.B) {
	s := watched(b, 10)
	w, err := s.Watch(b.Context(), view.WatchOptions{})
	if err != nil {
		b.Fatal(err)
	}
	var slowest time.Duration
	i := 0
	for b.Loop() {
		i++
		begin := time.Now()
		s.Apply(container("one", strconv.Itoa(i), v1alpha1.ContainerRunning))
		<-w.ResultChan()
		slowest = max(slowest, time.Since(begin))
	}
	b.ReportMetric(float64(slowest.Nanoseconds()), "ns/slowest")
}

// BenchmarkResync replaces 1,000 containers by the same: what the resync each minute costs.
func BenchmarkResync(b *testing.B) {
	s := watched(b, 10)
	for b.Loop() {
		all := make([]view.Object, 1000)
		for i := range all {
			all[i] = container(strconv.Itoa(i), "name", v1alpha1.ContainerRunning)
		}
		s.Replace(all)
	}
}
