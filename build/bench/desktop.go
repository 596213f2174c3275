package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/net/html"

	"rancherdesktop.io/rdd/frontend"
)

// module is the path of ours.
const module = "rancherdesktop.io/rdd/"

// goBenchmark is a Go benchmark that measures figures: those of the desktop need the displays, buses and browsers
// that the tests have.
type goBenchmark struct {
	pkg, name string
	figures   map[string]string // key of each by the unit that the benchmark reports it in
}

func desktopBenchmarks() []goBenchmark {
	return []goBenchmark{
		{"cmd/rdd-tray", "BenchmarkTrayIdle", map[string]string{"pss-MiB": "desktop.tray-pss", "cpu-%": "desktop.tray-cpu"}},
		{"cmd/rdd-tray", "BenchmarkTrayChange", map[string]string{"p50-ms": "desktop.tray-p50", "p99-ms": "desktop.tray-p99", "ten-ms": "desktop.tray-ten"}},
		{"cmd/rdd", "BenchmarkPageChange", map[string]string{"p50-ms": "desktop.page-p50", "p99-ms": "desktop.page-p99", "ten-ms": "desktop.page-ten"}},
		{"cmd/rdd", "BenchmarkPageScroll", map[string]string{"longest-ms": "desktop.page-scroll"}},
		{"app/window", "BenchmarkWindow", map[string]string{"paint-s": "desktop.window-paint", "pss-MiB": "desktop.window-pss"}},
	}
}

// measureDesktop measures what can be measured here, and says why the rest can't.
func (b *bench) measureDesktop(ctx context.Context) error {
	var problems []error
	if b.wants("desktop.page-size") {
		size, err := pageSize(frontend.Files())
		if err != nil {
			problems = append(problems, fmt.Errorf("size of the page: %w", err))
		} else {
			b.add("desktop.page-size", float64(size)/1000) // it is the same each time
		}
	}
	for _, g := range desktopBenchmarks() {
		if err := b.measureGo(ctx, g); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", g.name, err))
		}
	}
	return errors.Join(problems...)
}

// measureGo runs a Go benchmark as often as there are to be runs, if one of its figures is wanted.
func (b *bench) measureGo(ctx context.Context, g goBenchmark) error {
	wanted := false
	for _, key := range g.figures {
		wanted = wanted || b.wants(key)
	}
	if !wanted || ctx.Err() != nil {
		return nil
	}
	if runtime.GOOS != "linux" {
		return errors.New("it can be measured on Linux only")
	}
	out, err := exec.CommandContext(ctx, "go", "list", "-f", "{{.Dir}}", module+g.pkg).CombinedOutput()
	if err != nil {
		return fmt.Errorf("find package %s: %w: %s", g.pkg, err, out)
	}
	dir := strings.TrimSpace(string(out))
	if dist := filepath.Join(dir, "..", "..", "dist"); !same(dist, b.dist) {
		return fmt.Errorf("it measures the programs in %s, not those of --dist", dist)
	}
	program := filepath.Join(b.dir, path.Base(g.pkg)+".test")
	if out, err := exec.CommandContext(ctx, "go", "test", "-tags", "grpcnotrace", "-c", "-o", program, module+g.pkg).CombinedOutput(); err != nil {
		return fmt.Errorf("build the tests of %s: %w: %s", g.pkg, err, out)
	}
	defer context.AfterFunc(ctx, func() { b.sayf("desktop: the run under way ends first, in order") })()
	for n := range b.runs {
		if ctx.Err() != nil {
			return nil
		}
		b.sayf("desktop: %s, run %d of %d", g.name, n+1, b.runs)
		cmd := exec.CommandContext(context.WithoutCancel(ctx), program, "-test.run", "^$", "-test.bench", "^"+g.name+"$", "-test.benchtime", "1x", "-test.timeout", "5m", "-test.v")
		cmd.Dir = dir
		isolate(cmd) // from an interrupt: it would leave a service behind
		out, err := cmd.CombinedOutput()
		if err := b.addMetrics(g, string(out), err); err != nil {
			return err
		}
	}
	return nil
}

// same says whether two paths lead to one folder that exists.
func same(a, b string) bool {
	one, err := os.Stat(a)
	other, err2 := os.Stat(b)
	return err == nil && err2 == nil && os.SameFile(one, other)
}

// addMetrics adds what a benchmark has reported. Without, what it says of itself is the error.
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

// metrics reads the line of a benchmark's result: its name, the number of iterations, then values with their units.
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

// reason is why a benchmark has no result: what it logged, or how it ended.
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

// pageSize is what a page's index.html and all that it loads at once take, in bytes, each file gzipped. What is loaded
// later, such as the editor and the terminal, does not count.
func pageSize(files fs.FS) (total int, err error) {
	index, err := fs.ReadFile(files, "index.html")
	if err != nil {
		return 0, fmt.Errorf("the page isn't built (make frontend): %w", err)
	}
	names := []string{"index.html"}
	for tokens := html.NewTokenizer(strings.NewReader(string(index))); tokens.Next() != html.ErrorToken; {
		if name := loaded(tokens.Token()); name != "" {
			names = append(names, path.Clean(name))
		}
	}
	if len(names) < 3 {
		return 0, fmt.Errorf("index.html loads only %v, not a script and a style sheet", names[1:])
	}
	for _, name := range names {
		content, err := fs.ReadFile(files, name)
		if err != nil {
			return 0, err
		}
		var size bytes.Buffer
		zip := gzip.NewWriter(&size)
		if _, err := zip.Write(content); err != nil {
			return 0, err
		}
		if err := zip.Close(); err != nil {
			return 0, err
		}
		total += size.Len()
	}
	return total, nil
}

// loaded is the file that an element of a page loads at once; empty: none.
func loaded(t html.Token) string {
	attributes := map[string]string{}
	for _, a := range t.Attr {
		attributes[a.Key] = a.Val
	}
	switch {
	case t.Data == "script":
		return attributes["src"]
	case t.Data == "link" && (attributes["rel"] == "modulepreload" || attributes["rel"] == "stylesheet"):
		return attributes["href"]
	}
	return ""
}
