package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// figure is one line of the table. Its key is GROUP.NAME.
type figure struct {
	key    string
	title  string
	unit   string
	target float64 // bounds the median: a rate ("1/s") from below, anything else from above; 0: no target
}

const perSecond = "1/s"

// figures lists what can be measured, in the order of the table.
func figures() []figure {
	return []figure{
		{"commands.version", "rdd version", "ms", 12},
		{"commands.version-peak", "rdd version, peak memory", "MB", 25},
		{"commands.status", "rdd svc status", "ms", 25},
		{"commands.status-peak", "rdd svc status, peak memory", "MB", 0},
		{"commands.vm-list", "rdd vm list, no VMs", "ms", 25},
		{"commands.vm-list-peak", "rdd vm list, no VMs, peak memory", "MB", 0},
		{"commands.get-ns", "rdd ctl get ns", "ms", 80},
		{"commands.get-ns-peak", "rdd ctl get ns, peak memory", "MB", 0},
		{"service.start-fresh", "rdd svc start, fresh store, to ready", "ms", 400},
		{"service.start-existing", "rdd svc start, existing store, to ready", "ms", 400},
		{"service.stop", "rdd svc stop, with an open watch", "ms", 300},
		{"service.start-fails", "rdd svc start that fails, to its error message", "ms", 1000},
		{"idle.rss", "service RSS, 30 s after ready", "MiB", 95},
		{"idle.anonymous", "service anonymous memory, 30 s after ready", "MiB", 30},
		{"idle.cpu", "service CPU of a core, idle for 60 s", "%", 0.2},
		{"idle.wakeups", "service wake-ups, idle for 60 s", perSecond, 0},
		{"history.status", "after 12,000 updates: rdd svc status", "ms", 25},
		{"history.start-existing", "after 12,000 updates: rdd svc start", "ms", 400},
		{"history.stop", "after 12,000 updates: rdd svc stop, with an open watch", "ms", 300},
		{"history.rss", "after 12,000 updates: service RSS, 30 s later", "MiB", 95},
		{"history.anonymous", "after 12,000 updates: service anonymous memory, 30 s later", "MiB", 30},
		{"history.cpu", "after 12,000 updates: service CPU of a core, idle for 60 s", "%", 0.2},
		{"history.wakeups", "after 12,000 updates: service wake-ups, idle for 60 s", perSecond, 0},
		{"history.get-before", "GET of one key, before 12,000 updates of it, p50", "ms", 0},
		{"history.get-after", "GET of one key, after 12,000 updates of it, p50", "ms", 0},
		{"history.get-ratio", "GET, after / before", "", 1.3},
		{"history.create-before", "create, before 12,000 updates, p50", "ms", 0},
		{"history.create-after", "create, after 12,000 updates, p50", "ms", 0},
		{"history.create-ratio", "create, after / before", "", 1.3},
		{"api.creates", "creates per second, 8 clients", perSecond, 1500},
		{"api.gets", "gets per second, 8 clients", perSecond, 3000},
		{"api.patches", "patches per second, 8 clients", perSecond, 0},
		{"api.get-p50", "get, 1 client, p50", "ms", 0.7},
		{"api.get-p99", "get, 1 client, p99", "ms", 0},
		{"api.watch-p50", "patch to watch event, p50", "ms", 0},
		{"api.watch-p99", "patch to watch event, p99", "ms", 6},
		{"crds.established", "five CRDs applied at once, to established", "ms", 100},
		{"crds.listed", "five CRDs applied at once, to the first LIST of each", "ms", 0},
		{"crash.ready", "SIGKILL of the service, one VM running, to ready again", "ms", 0},
		{"fleet.start-stopped", "rdd svc start with 20 stopped VMs", "ms", 0},
		{"fleet.start-running", "SIGKILL of the service, 20 VMs running, to ready again", "ms", 0},
		{"fleet.reconcile-p50", "spec patched to status seen, 200 VMs, p50", "ms", 0},
		{"fleet.reconcile-p99", "spec patched to status seen, 200 VMs, p99", "ms", 0},
		{"fleet.memory", "service anonymous memory per stopped VM, of 200", "KiB", 0},
		{"disk.create-first", "first VM of our guest, create without a boot", "s", 0},
		{"disk.create", "second VM of our guest, create without a boot", "ms", 1000},
		{"disk.size", "second VM of our guest, its own bytes on the disk", "MiB", 20},
		{"vm.create", "VM create to ready, our guest", "s", 0},
		{"vm.create-stock", "VM create to ready, stock guest", "s", 0},
		{"vm.create-ratio", "VM create to ready, ours / stock", "", 0.5},
		{"vm.start", "VM start to ready after a stop, our guest", "s", 0},
		{"vm.start-stock", "VM start to ready after a stop, stock guest", "s", 0},
		{"vm.start-ratio", "VM start to ready after a stop, ours / stock", "", 0.5},
		{"vm.stop", "VM stop, our guest", "s", 0},
		{"vm.stop-stock", "VM stop, stock guest", "s", 0},
		{"forward.ps", "docker ps over RDD's socket", "ms", 0},
		{"forward.ps-ssh", "docker ps over ssh -O forward", "ms", 0},
		{"forward.ps-ratio", "docker ps, RDD's socket / ssh -O forward", "", 1.3},
		{"forward.fifty", "50 docker ps at once over RDD's socket", "ms", 0},
		{"forward.fifty-ssh", "50 docker ps at once over ssh -O forward", "ms", 0},
		{"forward.fifty-ratio", "50 docker ps at once, RDD's socket / ssh -O forward", "", 1.3},
		{"forward.port", "64 MiB from a guest through a forwarded port", "ms", 0},
		{"forward.port-lima", "64 MiB from a guest through a port that Lima forwards", "ms", 0},
		{"forward.port-ratio", "64 MiB through a forwarded port, RDD / Lima", "", 1},
		{"app.start", "rdd start of a stopped App, until docker version answers", "s", 0},
		{"app.start-stock", "stock guest with Docker as in Lima's template, stopped, until docker version answers", "s", 0},
		{"app.start-ratio", "start until docker version answers, App / stock guest", "", 0.333},
		{"app.event-p50", "line of rdd ctl get containers -w, behind that of docker events, p50", "ms", 0},
		{"app.event-p99", "line of rdd ctl get containers -w, behind that of docker events, p99", "ms", 100},
		{"app.rss", "App with 30 containers: service RSS", "MiB", 95},
		{"app.anonymous", "App with 30 containers: service anonymous memory", "MiB", 0},
		{"app.cpu", "App with 30 containers: service CPU of a core, idle for 60 s", "%", 0},
		{"app.wakeups", "App with 30 containers: service wake-ups, idle for 60 s", perSecond, 0},
		{"desktop.tray-pss", "tray PSS, 3 VMs running, 30 s after its start", "MiB", 10},
		{"desktop.tray-cpu", "tray CPU of a core, idle for 60 s", "%", 0.1},
		{"desktop.tray-p50", "status patched to the menu in a panel, 50 VMs, p50", "ms", 0},
		{"desktop.tray-p99", "status patched to the menu in a panel, 50 VMs, p99", "ms", 100},
		{"desktop.tray-ten", "ten statuses patched at once to all in the menu", "ms", 0},
		{"desktop.page-p50", "status patched to the page in Chromium, 50 VMs, p50", "ms", 0},
		{"desktop.page-p99", "status patched to the page in Chromium, 50 VMs, p99", "ms", 100},
		{"desktop.page-ten", "ten statuses patched at once to all in the page", "ms", 0},
		{"desktop.page-scroll", "longest task while 500 VMs scroll (0: none from 50 ms on)", "ms", 50},
		{"desktop.containers-show", "1,000 containers, from the click to the drawn page", "ms", 200},
		{"desktop.containers-filter", "1,000 containers, from a typed letter to the drawn page", "ms", 200},
		{"desktop.page-size", "page, all that it loads at once, gzipped", "kB", 300},
		{"desktop.container-memory", "memory of a container in the live view, of 1,000", "B", 3000},
		{"desktop.window-paint", "window, exec to first paint", "s", 1},
		{"desktop.window-pss", "window PSS, 3 s after its first paint, all its processes", "MiB", 0},
	}
}

// keys returns the keys of the figures in a group; of all figures when group is empty.
func keys(group string) (keys []string) {
	for _, f := range figures() {
		if name, _, _ := strings.Cut(f.key, "."); group == "" || group == name {
			keys = append(keys, f.key)
		}
	}
	return keys
}

// results collects what was measured. It is safe for concurrent use.
type results struct {
	only *regexp.Regexp // matches the keys of the figures to measure
	load func() float64 // returns the machine's load now

	mu     sync.Mutex
	values map[string][]float64
	loads  map[string][]float64
}

// newResults measures the figures whose keys match the pattern only; an empty pattern matches all.
func newResults(only string, load func() float64) (*results, error) {
	pattern, err := regexp.Compile(only)
	if err != nil {
		return nil, fmt.Errorf("--only: %w", err)
	}
	r := &results{only: pattern, load: load, values: map[string][]float64{}, loads: map[string][]float64{}}
	if !r.wantsGroup("") {
		return nil, fmt.Errorf("--only %q matches none of the figures: %s", only, strings.Join(keys(""), " "))
	}
	return r, nil
}

// wants reports whether any of the figures was asked for.
func (r *results) wants(keys ...string) bool { return slices.ContainsFunc(keys, r.only.MatchString) }

// wantsGroup reports whether any figure of the group was asked for.
func (r *results) wantsGroup(group string) bool { return r.wants(keys(group)...) }

// add records the value of one run of a figure, and the machine's load now, when the run has ended.
func (r *results) add(key string, value float64) {
	load := r.load()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.values[key] = append(r.values[key], value)
	r.loads[key] = append(r.loads[key], load)
}

// row is a figure with its measured values.
type row struct {
	Key    string    `json:"key"`
	Title  string    `json:"title"`
	Unit   string    `json:"unit,omitempty"`
	Target float64   `json:"target,omitempty"` // at least this for rates, at most this for the rest
	Ratio  float64   `json:"ratio,omitempty"`  // of the median to the target
	OK     *bool     `json:"ok,omitempty"`     // absent without a target
	Load   float64   `json:"load"`             // median of the one-minute load averages at the end of each run
	Runs   []float64 `json:"runs"`
	stats
}

// rows returns the figures that were asked for and measured, in the order of the table.
func (r *results) rows() []row {
	r.mu.Lock()
	defer r.mu.Unlock()
	var rows []row
	for _, f := range figures() {
		values := r.values[f.key]
		if len(values) == 0 || !r.wants(f.key) {
			continue
		}
		row := row{Key: f.key, Title: f.title, Unit: f.unit, Target: f.target, Load: median(r.loads[f.key]), Runs: values, stats: summarize(values)}
		if f.target > 0 {
			row.Ratio = row.Median / f.target
			ok := row.Ratio <= 1
			if f.unit == perSecond {
				ok = row.Ratio >= 1
			}
			row.OK = &ok
		}
		rows = append(rows, row)
	}
	return rows
}
