package main

import (
	"slices"
	"testing"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{
		{nil, 0},
		{[]float64{7}, 7},
		{[]float64{9, 1, 5}, 5},
		{[]float64{4, 1, 3, 2}, 2.5},
		{[]float64{1000, 1, 2, 3, 2}, 2},
	} {
		before := slices.Clone(c.values)
		if got := median(c.values); got != c.want {
			t.Errorf("median(%v) = %v, want %v", c.values, got, c.want)
		}
		if !slices.Equal(c.values, before) {
			t.Errorf("median changed the order of %v to %v", before, c.values)
		}
	}
}

func TestPercentile(t *testing.T) {
	hundred := make([]float64, 100)
	for i := range hundred {
		hundred[i] = float64(100 - i) // 100, 99, … 1
	}
	for _, c := range []struct {
		values []float64
		p      float64
		want   float64
	}{
		{nil, 99, 0},
		{[]float64{3}, 50, 3},
		{[]float64{3}, 99, 3},
		{[]float64{2, 1}, 50, 1},
		{[]float64{2, 1}, 51, 2},
		{hundred, 50, 50},
		{hundred, 99, 99},
		{hundred, 99.5, 100},
		{hundred, 100, 100},
		{hundred, 0, 1},
	} {
		if got := percentile(c.values, c.p); got != c.want {
			t.Errorf("percentile of %d values at %v = %v, want %v", len(c.values), c.p, got, c.want)
		}
	}
}

func TestSummarize(t *testing.T) {
	if got := summarize(nil); got != (stats{}) {
		t.Errorf("summarize(nil) = %+v, want the zero value", got)
	}
	if got, want := summarize([]float64{3, 9, 1, 2}), (stats{N: 4, Median: 2.5, Min: 1, Max: 9}); got != want {
		t.Errorf("summarize = %+v, want %+v", got, want)
	}
}
