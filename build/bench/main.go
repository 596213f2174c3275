// Command bench measures RDD as its users meet it: whole programs, a service of its own in a home
// directory of its own, a real API client, real virtual machines. It prints one table, and leaves
// nothing behind. `make bench` runs it; docs/bench.md says how to read the table.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends at once
	o, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
	err = run(ctx, o, os.Stdout, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
	}
	switch {
	case ctx.Err() != nil:
		os.Exit(130)
	case err != nil:
		os.Exit(1)
	}
}

// options are what the command line says.
type options struct {
	dist   string // holds bin/rdd and its companions
	only   string // pattern of the figures to measure; empty: all
	runs   int
	vmRuns int
	guest  string // template of our guest
	stock  string // template of the stock guest
	json   string // file for the results; may be empty
}

func parse(args []string) (o options, err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.StringVar(&o.dist, "dist", "dist", "the built programs")
	flags.StringVar(&o.only, "only", "", "measure only the figures whose key matches this `pattern`, such as '^api|^service'")
	flags.IntVar(&o.runs, "runs", 5, "runs of each figure; quick commands have four times as many")
	flags.IntVar(&o.vmRuns, "vm-runs", 0, "runs of the figures of virtual machines, which take minutes (default: as --runs)")
	flags.StringVar(&o.guest, "guest", "", "`template` of our guest (default: share/rdd/guest/rdd-guest.yaml of --dist)")
	flags.StringVar(&o.stock, "stock", "", "`template` of the stock guest (default: share/rdd/guest-stock/stock.yaml of --dist)")
	flags.StringVar(&o.json, "json", "", "write every run to this `file` as well")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("there are only flags, no arguments such as %q", flags.Arg(0))
	}
	if o.vmRuns == 0 {
		o.vmRuns = o.runs
	}
	if o.runs < 1 || o.vmRuns < 1 {
		return o, errors.New("--runs and --vm-runs must be 1 or more")
	}
	if o.dist, err = filepath.Abs(o.dist); err != nil {
		return o, err
	}
	if o.guest == "" {
		o.guest = filepath.Join(o.dist, "share", "rdd", "guest", "rdd-guest.yaml")
	}
	if o.stock == "" {
		o.stock = filepath.Join(o.dist, "share", "rdd", "guest-stock", "stock.yaml")
	}
	return o, nil
}

// bench is one run of this program.
type bench struct {
	options
	*results
	dir  string // everything this run makes is in here
	peak string // the program that measures others
	log  io.Writer

	began time.Time

	mu       sync.Mutex
	made     int
	services []*service // those that may still run
	guests   string     // what runs the guests' code, once known
}

// program is the path of one of the programs under test.
func (b *bench) program(name string) string {
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	return filepath.Join(b.dist, "bin", name)
}

// sayf tells what is being measured.
func (b *bench) sayf(format string, a ...any) {
	fmt.Fprintf(b.log, "[%6s] %s\n", time.Since(b.began).Round(time.Second), fmt.Sprintf(format, a...))
}

// groups are measured one after the other, each with services of its own.
func groups() []group {
	return []group{
		{[]string{"commands"}, (*bench).measureCommands},
		{[]string{"service"}, (*bench).measureService},
		{[]string{"idle", "history"}, (*bench).measureIdle},
		{[]string{"api"}, (*bench).measureAPI},
		{[]string{"crds"}, (*bench).measureCRDs},
		{[]string{"crash"}, (*bench).measureCrash},
		{[]string{"fleet"}, (*bench).measureFleet},
		{[]string{"vm"}, (*bench).measureVMs},
		{[]string{"desktop"}, (*bench).measureDesktop},
	}
}

// group measures the figures whose keys begin with its names.
type group struct {
	names   []string
	measure func(*bench, context.Context) error
}

// run measures what o asks for and prints the table, also of what there is when something fails.
func run(ctx context.Context, o options, out, log io.Writer) (err error) {
	r, err := newResults(o.only, loadAverage)
	if err != nil {
		return err
	}
	b := &bench{options: o, results: r, log: log, began: time.Now()}
	if _, err := os.Stat(b.program("rdd")); err != nil {
		return fmt.Errorf("%w: build the programs first with: make build guest", err)
	}
	if b.dir, err = os.MkdirTemp("", "rb"); err != nil { // short, because sockets live below it
		return err
	}
	defer func() { err = errors.Join(err, b.clean(ctx)) }()
	if b.peak, err = peakProgram(ctx, b.dir); err != nil {
		return err
	}
	machine := describe(ctx, b)
	var problems []error
	for _, g := range groups() {
		for _, name := range g.names {
			if ctx.Err() != nil || !b.wantsGroup(name) {
				continue
			}
			if err := g.measure(b, ctx); err != nil && ctx.Err() == nil {
				b.sayf("%s: %v", name, err)
				problems = append(problems, fmt.Errorf("measure %s: %w", name, err))
			}
			break
		}
	}
	machine.finish(b)
	if err := report(out, o.json, machine, b.rows()); err != nil {
		problems = append(problems, err)
	}
	if ctx.Err() != nil {
		problems = append(problems, errors.New("interrupted; the table holds what was measured until then"))
	}
	return errors.Join(problems...)
}

// report prints the table with the machine above it, and writes both to file if there is one.
func report(out io.Writer, file string, m machine, rows []row) error {
	if len(rows) == 0 {
		return errors.New("nothing was measured")
	}
	fmt.Fprintf(out, "%s\n\n", m)
	if err := printTable(out, rows); err != nil || file == "" {
		return err
	}
	b, err := json.MarshalIndent(struct {
		Machine machine `json:"machine"`
		Figures []row   `json:"figures"`
	}{m, rows}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(b, '\n'), 0o644)
}

// cleanTimeout bounds the removal of what an interrupted run left; a guest may have to power off.
const cleanTimeout = 5 * time.Minute

// clean removes what the run made. A service that can't be removed keeps its files.
func (b *bench) clean(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTimeout)
	defer cancel()
	var problems []error
	for _, s := range b.services {
		b.sayf("removing instance %s", s.name)
		problems = append(problems, s.remove(ctx))
	}
	if err := errors.Join(problems...); err != nil {
		return err
	}
	return os.RemoveAll(b.dir)
}

// peakProgram builds the program that measures others, in dir.
func peakProgram(ctx context.Context, dir string) (string, error) {
	path := filepath.Join(dir, "peak")
	if runtime.GOOS == "windows" {
		path += ".exe"
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-o", path, "rancherdesktop.io/rdd/build/bench/peak")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the program that measures others: %w: %s", err, out)
	}
	return path, nil
}
