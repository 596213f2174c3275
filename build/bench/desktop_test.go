package main

import (
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func TestMetricsAndReasons(t *testing.T) {
	for _, c := range []struct {
		out, reason string
		err         error
		want        map[string]float64
	}{
		{out: "goos: linux\nBenchmarkX\n    x_test.go:1: look 3 p50-ms\nBenchmarkX-2 \t       1\t        12.50 p50-ms\t         0.05 cpu-%\nPASS\n", want: map[string]float64{"p50-ms": 12.5, "cpu-%": 0.05}},
		{out: "BenchmarkX       1\t3 s\n", want: map[string]float64{"s": 3}},
		{out: "BenchmarkXY-2    1\t3 s\nPASS\n", reason: "there is no such benchmark"},
		{out: "BenchmarkX\n    x_test.go:1: /usr/bin/chromium is missing; make it with: setup\n--- SKIP: BenchmarkX\nPASS\n", reason: "/usr/bin/chromium is missing; make it with: setup"},
		{out: "panic: no\n", err: errors.New("exit status 2"), reason: "exit status 2: panic: no"},
	} {
		got := metrics(c.out, "BenchmarkX")
		if !maps.Equal(got, c.want) {
			t.Errorf("metrics of %q = %v, want %v", c.out, got, c.want)
		}
		if got := reason(c.out, c.err); c.reason != "" && !strings.HasPrefix(got, c.reason) {
			t.Errorf("reason of %q = %q, want %q", c.out, got, c.reason)
		}
	}
}

func TestDesktopBenchmarksMeasureEveryFigureOnce(t *testing.T) {
	measured := []string{"desktop.page-size"}
	for _, g := range desktopBenchmarks() {
		measured = slices.AppendSeq(measured, maps.Values(g.figures))
	}
	listed := slices.Sorted(slices.Values(keys("desktop")))
	if slices.Sort(measured); !slices.Equal(measured, listed) {
		t.Errorf("the benchmarks measure %v, but the table has %v", measured, listed)
	}
}

// noise returns a file that gzip can't make smaller.
func noise(length int) *fstest.MapFile {
	b := make([]byte, length)
	r := rand.NewChaCha8([32]byte{})
	_, _ = r.Read(b)
	return &fstest.MapFile{Data: b}
}

func TestPageSizeCountsWhatIsLoadedAtOnce(t *testing.T) {
	page := fstest.MapFS{
		"index.html": {Data: []byte(`<!doctype html><link rel="icon" href="./icon.svg"><link rel="modulepreload" href="./a/part.js">
			<script type="module" crossorigin src="./a/index.js"></script><link rel="stylesheet" crossorigin href="./a/index.css">`)},
		"icon.svg": noise(1000), "a/part.js": noise(10_000), "a/index.js": noise(100_000), "a/index.css": {Data: []byte(strings.Repeat("a{}", 100_000))}, "a/later.js": noise(1_000_000),
	}
	size, err := pageSize(page)
	if err != nil || size < 110_000 || size > 112_000 {
		t.Errorf("size %d, %v; want some 111,000", size, err)
	}
	delete(page, "a/part.js")
	if _, err := pageSize(page); err == nil {
		t.Error("no error although a file is missing")
	}
	page["index.html"] = &fstest.MapFile{Data: []byte("<!doctype html>")}
	if _, err := pageSize(page); err == nil || !strings.Contains(err.Error(), "not a script") {
		t.Errorf("error %v, want that nothing is loaded", err)
	}
	delete(page, "index.html")
	if _, err := pageSize(page); err == nil || !strings.Contains(err.Error(), "make frontend") {
		t.Errorf("error %v, want one that says how to build it", err)
	}
}
