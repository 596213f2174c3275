package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/docker/go-units"
	"github.com/spf13/cobra"

	"rancherdesktop.io/rdd/core"
)

func (s *session) appStatus() *cobra.Command {
	cmd := &cobra.Command{
		Use: "status", Short: "Show the state of the container engine, and what runs", Args: noArgs, Annotations: map[string]string{},
		Long: "Shows the state of the App: the service, the virtual machine, the engine, the docker context, containers, ports and disk.\n" +
			"It starts nothing. The exit code says the state: 0 running and ready, 6 stopped, 7 starting or stopping, 8 broken,\n" +
			"9 not created. With --watch, it shows each change until Ctrl-C: on a terminal by drawing all of it again, otherwise\n" +
			"as a new report, with --output json as one line each.",
	}
	output := addOutput(cmd)
	watch := cmd.Flags().BoolP("watch", "w", false, "show changes until Ctrl-C")
	cmd.RunE = s.withCore(func(cmd *cobra.Command, _ []string, c *core.Core) error {
		if *watch {
			return s.watchStatus(cmd, c, *output)
		}
		r, err := c.AppReport(cmd.Context())
		if err != nil {
			return err
		}
		if err := s.print(*output, r, func(w io.Writer) { s.printReport(w, &r) }); err != nil {
			return err
		}
		return appExits[r.State]
	})
	return cmd
}

// appExits has the exit codes of rdd status.
var appExits = map[core.AppState]error{
	core.AppStopped:    exitStatus(exitStopped),
	core.AppStarting:   exitStatus(exitChanging),
	core.AppRestarting: exitStatus(exitChanging),
	core.AppStopping:   exitStatus(exitChanging),
	core.AppDeleting:   exitStatus(exitChanging),
	core.AppBroken:     exitStatus(exitBroken),
	core.AppNotCreated: exitStatus(exitNotCreated),
}

// watchStatus prints a report whenever it differs from the last one.
func (s *session) watchStatus(cmd *cobra.Command, c *core.Core, output string) error {
	ctx := cmd.Context()
	endsWith(cmd, "stopped watching")
	snapshots, engines := make(chan core.Snapshot), make(chan core.EngineSnapshot)
	go func() {
		for snapshot := range c.Watch(ctx) {
			send(ctx, snapshots, snapshot)
		}
	}()
	go func() {
		for engine := range c.WatchEngine(ctx) {
			send(ctx, engines, engine)
		}
	}()
	var snapshot core.Snapshot
	var engine core.EngineSnapshot
	screen := &screen{out: s.Out, clears: s.TerminalOut && output == "table"}
	for seen := false; ; {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case snapshot = <-snapshots:
			seen = true
		case engine = <-engines:
		}
		if !seen {
			continue
		}
		if snapshot.Err != nil {
			s.printf("warning: %v\n", snapshot.Err)
			continue
		}
		r := c.Report(ctx, snapshot, engine.Containers)
		text, err := s.report(output, &r)
		if err == nil {
			err = screen.show(text)
		}
		if err != nil {
			return err
		}
	}
}

func send[T any](ctx context.Context, to chan<- T, value T) {
	select {
	case to <- value:
	case <-ctx.Done():
	}
}

// report returns a report of --watch as text. Reports in JSON are lines, those in YAML documents.
func (s *session) report(output string, r *core.AppReport) (string, error) {
	if output == "json" {
		line, err := json.Marshal(r)
		return string(line) + "\n", err
	}
	var out bytes.Buffer
	to := *s
	program := *s.Program
	program.Out = &out
	to.Program = &program
	err := to.print(output, r, func(w io.Writer) { s.printReport(w, r) })
	if output == "yaml" {
		return "---\n" + out.String(), err
	}
	return out.String(), err
}

// screen shows texts one after another: on a terminal in the place of the one before.
type screen struct {
	out    io.Writer
	clears bool
	last   string
	shown  bool
}

// show writes a text, unless it is the one before.
func (s *screen) show(text string) error {
	if s.shown && text == s.last {
		return nil
	}
	separator := ""
	switch {
	case s.clears:
		separator = "\x1b[H\x1b[2J\x1b[3J" // to the top left, clear the screen, clear what was scrolled
	case s.shown && strings.Contains(strings.TrimSuffix(text, "\n"), "\n") && !strings.HasPrefix(text, "---"):
		separator = "\n"
	}
	s.last, s.shown = text, true
	_, err := io.WriteString(s.out, separator+text)
	return err
}

// maxContainers is the number of containers that a report for people names.
const maxContainers = 10

// printReport writes a report for people, on one screen.
func (s *session) printReport(w io.Writer, r *core.AppReport) {
	printRows(w, "App", stateText(r), "Progress", progressText(r), "Service", serviceText(&r.Service))
	if vm := r.VirtualMachine; vm != nil {
		printRows(w, "VM", vmText(vm), "Restart needed", s.withInstance(restartText(vm)))
	}
	if e := r.Engine; e != nil {
		version := ""
		if e.APIVersion != "" {
			version = " (API " + e.APIVersion + ")"
		}
		printRows(w, "Engine", strings.TrimSpace(fmt.Sprintf("%s %s%s", e.Name, e.Version, version)), "Socket", e.Socket)
	}
	docker := r.Engine == nil || r.Engine.Name == core.Moby && r.Engine.Socket != ""
	if d := r.DockerContext; d != nil && docker && (d.Exists || r.State == core.AppRunning) { // the first start creates it at its end
		printRows(w, "Docker context", s.withInstance(contextText(r.DockerContext)))
	}
	if c := r.Containers; c != nil {
		var engine core.EngineName
		if r.Engine != nil {
			engine = r.Engine.Name
		}
		s.printLines(w, "Containers", containerLines(c, core.EngineClient(engine)))
	}
	s.printLines(w, "Ports", portLines(r))
	if r.Disk != nil {
		s.printLines(w, "Disk", diskLines(r.Disk))
	}
	for i, problem := range r.Problems {
		s.printLines(w, []string{"Problems", ""}[min(i, 1)], strings.Split(problem, "\n"))
	}
	if next := nextStep(r); next != "" {
		fmt.Fprintf(w, "\n%s\n", s.withInstance(next))
	}
}

// printLines writes a row of a table with a value of several lines.
func (s *session) printLines(w io.Writer, name string, lines []string) {
	for _, line := range lines {
		fmt.Fprintf(w, "%s\t%s\n", name, s.withInstance(line))
		name = ""
	}
}

func stateText(r *core.AppReport) string {
	if r.Message == "" {
		return string(r.State)
	}
	return fmt.Sprintf("%s: %s", r.State, oneLine(r.Message))
}

func progressText(r *core.AppReport) string {
	if r.Progress == nil {
		return ""
	}
	return core.ProgressText(r.Progress)
}

func serviceText(s *core.ServiceReport) string {
	text := string(s.State)
	if s.Version != "" {
		text += ", version " + s.Version
	}
	if s.State == core.ServiceBroken { // the error is beside the App's state
		return text + ", see its log: " + s.Log
	}
	for _, more := range []string{s.Step, s.Error, s.Warning} {
		if more != "" {
			text += ": " + oneLine(more)
		}
	}
	return text
}

func vmText(vm *core.VMReport) string {
	text := vm.Name + ", " + vm.State
	if vm.CPUs > 0 {
		text += fmt.Sprintf(", %s, %s of memory", count(vm.CPUs, "processor"), units.BytesSize(float64(vm.Memory)))
	}
	if vm.Acceleration == "emulation" {
		text += ", slow: without hardware acceleration"
	}
	return text
}

func restartText(vm *core.VMReport) string {
	if len(vm.RestartNeeded) == 0 {
		return ""
	}
	return strings.Join(vm.RestartNeeded, ", ") + "; apply with: rdd restart"
}

func contextText(d *core.DockerContext) string {
	switch {
	case d.Override != "":
		return d.Name + ", not used here: " + d.Override
	case d.Used:
		return d.Name + ", docker commands use it"
	case !d.Exists:
		return d.Name + ", does not exist; docker commands reach the App with: rdd run docker"
	}
	return fmt.Sprintf("%[1]s, not the current one; use it with: docker context use %[1]s", d.Name)
}

// containerLines says what there is. The rest is shown by ps of the engine's client.
func containerLines(c *core.ContainersReport, client string) []string {
	if c.Total == 0 {
		return []string{"none"}
	}
	var states []string
	for _, state := range []string{"running", "restarting", "paused", "created", "removing", "exited", "dead"} {
		if n := c.States[state]; n > 0 {
			states = append(states, fmt.Sprintf("%d %s", n, state))
		}
	}
	var table bytes.Buffer
	w := tabwriter.NewWriter(&table, 0, 0, 3, ' ', 0)
	shown := 0
	for i := range c.Items {
		item := &c.Items[i]
		if shown == maxContainers || item.State != "running" && item.State != "restarting" && item.State != "paused" {
			break
		}
		shown++
		fmt.Fprintf(w, "%s\t%s\t%s\n", item.Name, shorten(item.Image, 40), item.Summary)
	}
	_ = w.Flush() // to memory
	lines := append([]string{strings.Join(states, ", ")}, strings.Split(strings.TrimSuffix(table.String(), "\n"), "\n")...)
	lines = slices.DeleteFunc(lines, func(line string) bool { return line == "" })
	if more := c.States["running"] + c.States["restarting"] + c.States["paused"] - shown; more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more; see: %s ps", more, client))
	}
	return lines
}

// shorten cuts a text to a length.
func shorten(text string, length int) string {
	runes := []rune(text)
	if len(runes) <= length {
		return text
	}
	return string(runes[:length-1]) + "…"
}

// maxPorts is the number of ports that a report for people lists.
const maxPorts = 20

// portLines has one line for the addresses that lead to the same place.
func portLines(r *core.AppReport) (lines []string) {
	var addresses, rest []string // of each line
	for i := range r.Ports {
		p := &r.Ports[i]
		where := "/" + p.Protocol + " → " + cmp.Or(p.Container, p.GuestAddress)
		if p.State != "Forwarded" {
			where += ", " + core.PortStateText(p)
		}
		port := p.HostAddress[strings.LastIndex(p.HostAddress, ":"):]
		known := false
		for n := range rest {
			if known = rest[n] == where && strings.HasSuffix(addresses[n], port); known {
				addresses[n] += ", " + p.HostAddress
				break
			}
		}
		if !known {
			addresses, rest = append(addresses, p.HostAddress), append(rest, where)
		}
	}
	for n := range rest {
		if n == maxPorts {
			return append(lines, fmt.Sprintf("and %d more; see: rdd status -o json", len(rest)-n))
		}
		lines = append(lines, addresses[n]+rest[n])
	}
	return lines
}

func diskLines(d *core.DiskReport) (lines []string) {
	lines = append(lines, diskText(d.Used, d.Capacity, d.Allocated, d.Maximum))
	if d.Warning != "" {
		lines = append(lines, "warning: "+d.Warning)
	}
	return lines
}

// nextStep is what a user of an App that doesn't run is likely to do next.
func nextStep(r *core.AppReport) string {
	switch r.State {
	case core.AppNotCreated, core.AppStopped:
		return "Start it with: rdd start"
	case core.AppBroken:
		if r.Service.State == core.ServiceBroken {
			return "Look for the cause with: rdd diagnose"
		}
		return "Look for the cause with: rdd diagnose; try it again with: rdd start"
	}
	return ""
}
