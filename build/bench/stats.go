package main

import (
	"math"
	"slices"
)

// stats summarizes the runs of one figure.
type stats struct {
	N      int     `json:"n"`
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// summarize returns the zero stats when there are no values.
func summarize(values []float64) stats {
	if len(values) == 0 {
		return stats{}
	}
	return stats{len(values), median(values), slices.Min(values), slices.Max(values)}
}

// median returns the middle value, or the mean of the two in the middle; 0 when there are none.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	if n == 0 {
		return 0
	}
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// percentile returns the smallest value that at least p percent of the values don't exceed (the nearest rank);
// 0 when there are none.
func percentile(values []float64, p float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	if len(sorted) == 0 {
		return 0
	}
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return sorted[max(rank, 1)-1]
}
