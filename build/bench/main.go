// Command bench measures RDD as its users experience it: whole programs, services in home directories of
// their own, a real API client, real virtual machines. It prints one table, and removes all that it made.
// `make bench` runs it; docs/bench.md says how to read the table.
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
	"slices"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the process at once
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

// options are the flags.
type options struct {
	dist   string // holds bin/rdd and the other programs
	only   string // pattern of the figures to measure; empty: all
	runs   int
	vmRuns int
	json   string // file for the results; may be empty
}

func parse(args []string) (o options, err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.StringVar(&o.dist, "dist", "dist", "the built programs")
	flags.StringVar(&o.only, "only", "", "measure only the figures whose key matches this `pattern`, such as '^api|^service'")
	flags.IntVar(&o.runs, "runs", 5, "runs of each figure; quick commands are run four times as often")
	flags.IntVar(&o.vmRuns, "vm-runs", 0, "runs of the figures of virtual machines, which take minutes (default: as --runs)")
	flags.StringVar(&o.json, "json", "", "also write the values of all runs to this `file`")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if o.vmRuns == 0 {
		o.vmRuns = o.runs
	}
	if o.runs < 1 || o.vmRuns < 1 {
		return o, errors.New("--runs and --vm-runs must be 1 or more")
	}
	o.dist, err = filepath.Abs(o.dist)
	return o, err
}

// bench is one run of this program.
type bench struct {
	options
	*results
	rdd  string // path of the program
	dir  string // holds everything that this run makes
	peak string // path of the program that measures others
	log  io.Writer

	began    time.Time
	created  int        // number of instances
	services []*service // those that are not removed yet
	guests   string     // what runs the guests' code, once known
}

// logf prints a progress line.
func (b *bench) logf(format string, a ...any) {
	fmt.Fprintf(b.log, "[%6s] %s\n", time.Since(b.began).Round(time.Second), fmt.Sprintf(format, a...))
}

// group is a set of figures that are measured together, with services of their own. The keys of the figures begin
// with one of the names.
type group struct {
	names   []string
	measure func(*bench, context.Context) error
}

// groups returns all groups, in the order in which they are measured.
func groups() []group {
	return []group{
		{[]string{"commands"}, (*bench).measureCommands},
		{[]string{"service"}, (*bench).measureService},
		{[]string{"idle", "history"}, (*bench).measureIdle},
		{[]string{"api"}, (*bench).measureAPI},
		{[]string{"crds"}, (*bench).measureCRDs},
		{[]string{"crash"}, (*bench).measureCrash},
		{[]string{"fleet"}, (*bench).measureFleet},
		{[]string{"disk"}, (*bench).measureDisks},
		{[]string{"vm"}, (*bench).measureVMs},
		{[]string{"forward"}, (*bench).measureForward},
		{[]string{"app"}, (*bench).measureApp},
		{[]string{"desktop"}, (*bench).measureDesktop},
	}
}

// run measures what o asks for and prints the table. When something fails, the table has the figures that were
// measured nevertheless.
func run(ctx context.Context, o options, out, log io.Writer) (err error) {
	b := &bench{options: o, log: log, began: time.Now()}
	if b.results, err = newResults(o.only, loadAverage); err != nil {
		return err
	}
	if b.rdd, err = exec.LookPath(filepath.Join(o.dist, "bin", "rdd")); err != nil {
		return fmt.Errorf("%w: build the programs first with: make build guest", err)
	}
	if b.dir, err = os.MkdirTemp("", "rb"); err != nil { // a short path, because it will hold sockets
		return err
	}
	defer func() { err = errors.Join(err, b.clean(ctx)) }()
	if b.peak, err = buildPeak(ctx, b.dir); err != nil {
		return err
	}
	machine := describe(ctx, b)
	var problems []error
	for _, g := range groups() {
		if ctx.Err() != nil || !slices.ContainsFunc(g.names, b.wantsGroup) {
			continue
		}
		if err := g.measure(b, ctx); err != nil && ctx.Err() == nil {
			b.logf("%s: %v", g.names[0], err)
			problems = append(problems, fmt.Errorf("measure %s: %w", g.names[0], err))
		}
	}
	machine.finish(b)
	problems = append(problems, report(out, o.json, machine, b.rows()))
	if ctx.Err() != nil {
		problems = append(problems, errors.New("interrupted; the table has what was measured until then"))
	}
	return errors.Join(problems...)
}

// report prints the machine and the table, and writes both to file unless that is empty.
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

// cleanTimeout is for what an interrupted run left; a guest may have to power off.
const cleanTimeout = 5 * time.Minute

// clean removes everything that the run made. A service that can't be removed keeps its files.
func (b *bench) clean(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTimeout)
	defer cancel()
	var problems []error
	for _, s := range slices.Clone(b.services) {
		b.logf("removing instance %s", s.name)
		problems = append(problems, b.remove(ctx, s))
	}
	if err := errors.Join(problems...); err != nil {
		return err
	}
	return os.RemoveAll(b.dir)
}
