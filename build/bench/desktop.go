package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"rancherdesktop.io/rdd/frontend"
)

// module is the path of this module, with a slash.
const module = "rancherdesktop.io/rdd/"

// goBenchmark is a Go benchmark that measures figures of the desktop: they need the displays, buses and browsers
// that the tests have.
type goBenchmark struct {
	pkg, name string
	figures   map[string]string // from the unit that the benchmark reports to the figure's key
}

func desktopBenchmarks() []goBenchmark {
	return []goBenchmark{
		{"cmd/rdd-tray", "BenchmarkTrayIdle", map[string]string{"pss-MiB": "desktop.tray-pss", "cpu-%": "desktop.tray-cpu"}},
		{"cmd/rdd-tray", "BenchmarkTrayChange", map[string]string{"p50-ms": "desktop.tray-p50", "p99-ms": "desktop.tray-p99", "ten-ms": "desktop.tray-ten"}},
		{"cmd/rdd", "BenchmarkPageChange", map[string]string{"p50-ms": "desktop.page-p50", "p99-ms": "desktop.page-p99", "ten-ms": "desktop.page-ten"}},
		{"cmd/rdd", "BenchmarkPageScroll", map[string]string{"longest-ms": "desktop.page-scroll"}},
		{"cmd/rdd", "BenchmarkPageContainers", map[string]string{"show-ms": "desktop.containers-show", "filter-ms": "desktop.containers-filter"}},
		{"internal/engine/objects", "BenchmarkMemoryPerObject", map[string]string{"B/object": "desktop.container-memory"}},
		{"app/window", "BenchmarkWindow", map[string]string{"paint-s": "desktop.window-paint", "pss-MiB": "desktop.window-pss"}},
	}
}

// measureDesktop measures what can be measured here, and returns why the rest can't.
func (b *bench) measureDesktop(ctx context.Context) error {
	var problems []error
	if b.wants("desktop.page-size") {
		if size, err := pageSize(frontend.Files()); err != nil {
			problems = append(problems, fmt.Errorf("size of the page: %w", err))
		} else {
			b.add("desktop.page-size", float64(size)/1000) // it is the same each time
		}
	}
	for _, g := range desktopBenchmarks() {
		if ctx.Err() == nil && b.wants(slices.Collect(maps.Values(g.figures))...) {
			if err := b.measureGo(ctx, g); err != nil {
				problems = append(problems, fmt.Errorf("%s: %w", g.name, err))
			}
		}
	}
	return errors.Join(problems...)
}

// measureGo runs a Go benchmark, once for each run of its figures.
func (b *bench) measureGo(ctx context.Context, g goBenchmark) error {
	if runtime.GOOS != "linux" {
		return errors.New("it can be measured on Linux only")
	}
	root, err := goCommand(ctx, "list", "-m", "-f", "{{.Dir}}")
	if err != nil {
		return err
	}
	dir, dist := filepath.Join(root, filepath.FromSlash(g.pkg)), filepath.Join(root, "dist")
	measured, err := os.Stat(dist)
	given, err2 := os.Stat(b.dist)
	if err != nil || err2 != nil || !os.SameFile(measured, given) {
		return fmt.Errorf("it measures the programs in %s, not those of --dist", dist)
	}
	program := filepath.Join(b.dir, path.Base(g.pkg)+".test")
	if _, err := goCommand(ctx, "test", "-tags", "grpcnotrace", "-c", "-o", program, module+g.pkg); err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { b.logf("desktop: waiting for the end of the current run") })()
	for n := range b.runs {
		if ctx.Err() != nil {
			return nil
		}
		b.logf("desktop: %s, run %d of %d", g.name, n+1, b.runs)
		cmd := exec.CommandContext(context.WithoutCancel(ctx), program, "-test.run", "^$", "-test.bench", "^"+g.name+"$", "-test.benchtime", "1x", "-test.timeout", "5m", "-test.v")
		cmd.Dir = dir
		isolate(cmd) // an interrupted benchmark would leave a service behind
		out, err := cmd.CombinedOutput()
		if err := b.addMetrics(g, string(out), err); err != nil {
			return err
		}
	}
	return nil
}

// addMetrics records the values that a benchmark has reported. When there are none, the error is what it logged.
func (b *bench) addMetrics(g goBenchmark, out string, ended error) error {
	reported := metrics(out, g.name)
	if ended != nil || len(reported) == 0 {
		return errors.New(reason(out, ended))
	}
	for unit, key := range g.figures {
		value, ok := reported[unit]
		if !ok {
			return fmt.Errorf("it reports no %s", unit)
		}
		b.add(key, value)
	}
	return nil
}

// metrics reads the result line of a benchmark: its name, the number of iterations, then values with their units.
// Source: golang.org/design/14313-benchmark-format.
func metrics(out, name string) map[string]float64 {
	found := map[string]float64{}
	for line := range strings.Lines(out) {
		fields := strings.Fields(line)
		if len(fields) < 4 || fields[0] != name && !strings.HasPrefix(fields[0], name+"-") {
			continue
		}
		for i := 2; i+1 < len(fields); i += 2 {
			if value, err := strconv.ParseFloat(fields[i], 64); err == nil {
				found[fields[i+1]] = value
			}
		}
	}
	return found
}

// reason returns why a benchmark has no result: what it logged, or how it ended.
func reason(out string, ended error) string {
	var logged []string
	for line := range strings.Lines(out) {
		if _, text, ok := strings.Cut(line, ".go:"); ok && strings.HasPrefix(line, "    ") {
			_, text, _ = strings.Cut(text, ": ")
			logged = append(logged, strings.TrimSpace(text))
		}
	}
	switch {
	case len(logged) > 0:
		return strings.Join(logged, "; ")
	case ended != nil:
		return fmt.Sprintf("%v: %s", ended, strings.TrimSpace(out))
	}
	return "there is no such benchmark"
}

// loaded finds what a page loads at once, in the form in which Vite writes index.html.
var loaded = regexp.MustCompile(`<(?:script|link rel="(?:modulepreload|stylesheet)")\s[^>]*(?:src|href)="([^"]+)"`)

// pageSize returns the size of index.html and all that it loads at once, in bytes, each file gzipped. What is loaded
// later, such as the editor and the terminal, does not count.
func pageSize(files fs.FS) (total int, err error) {
	index, err := fs.ReadFile(files, "index.html")
	if err != nil {
		return 0, fmt.Errorf("the page isn't built (make frontend): %w", err)
	}
	names := []string{"index.html"}
	for _, match := range loaded.FindAllSubmatch(index, -1) {
		names = append(names, path.Clean(string(match[1])))
	}
	if len(names) < 3 {
		return 0, fmt.Errorf("index.html loads only %v, not a script and a style sheet", names[1:])
	}
	for _, name := range names {
		content, err := fs.ReadFile(files, name)
		if err != nil {
			return 0, err
		}
		var zipped bytes.Buffer
		zip := gzip.NewWriter(&zipped)
		_, err = zip.Write(content)
		if err := errors.Join(err, zip.Close()); err != nil {
			return 0, err
		}
		total += zipped.Len()
	}
	return total, nil
}
