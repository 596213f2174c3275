package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/duration"

	"rancherdesktop.io/rdd/core"
)

func (s *session) vmCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "vm", Aliases: []string{"limavm", "lima"}, Short: "Manage virtual machines",
		Args: noArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(s.vmCreate(), s.vmAdopt(), s.vmStart(), s.vmStop(), s.vmRestart(), s.vmReset(), s.vmDelete(), s.vmParams(), s.vmEdit(),
		s.vmList(), s.vmShow(), s.vmShell(), s.vmLogs())
	return cmd
}

// connect returns the VMs of the running service. It starts nothing.
func connect(ctx context.Context, c *core.Core) (*core.VMs, error) {
	session, err := c.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return session.VMs(), nil
}

// withVMs returns the RunE of a command that needs the VMs of the running service.
func (s *session) withVMs(run func(ctx context.Context, args []string, vms *core.VMs) error) func(*cobra.Command, []string) error {
	return s.withCore(func(cmd *cobra.Command, args []string, c *core.Core) error {
		vms, err := connect(cmd.Context(), c)
		if err != nil {
			return err
		}
		return run(cmd.Context(), args, vms)
	})
}

// ensureVMs returns the VMs of the service, as ensureSession does.
func ensureVMs(cmd *cobra.Command, c *core.Core, w core.Wait) (*core.VMs, core.Wait, error) {
	session, w, err := ensureSession(cmd, c, w)
	if err != nil {
		return nil, w, err
	}
	return session.VMs(), w, nil
}

// ensureSession connects to the service, and starts it if it isn't running. The start counts into the time limit of the
// returned Wait.
func ensureSession(cmd *cobra.Command, c *core.Core, w core.Wait) (*core.Session, core.Wait, error) {
	w = w.FromNow()
	start := w
	if w.Accepted { // nothing can be accepted before the service is ready
		start = core.Wait{Timeout: startTimeout, Progress: w.Progress}
	}
	session, err := c.Ensure(cmd.Context(), start)
	if err != nil {
		waitAgainWith(cmd, commandLine(cmd))
		endsWith(cmd, "the service goes on starting; nothing else was done")
	}
	return session, w, err
}

func (s *session) vmCreate() *cobra.Command {
	var o core.CreateOptions
	var params []string
	cmd := &cobra.Command{
		Use: "create NAME TEMPLATE", Short: "Create a virtual machine",
		Long: "Creates a virtual machine from a template and waits until its disk exists, or with --start until it runs.\n" +
			"TEMPLATE is the name of a ConfigMap with a Lima template under the key \"template\"; or, if it contains a / or a :,\n" +
			"a file or template URL, whose template is copied; or - for a template on stdin.",
		Args: exactArgs("NAME", "TEMPLATE"),
	}
	cmd.Flags().StringVar(&o.Namespace, "namespace", "", "namespace of the ConfigMap TEMPLATE (default \"default\")")
	_ = cmd.RegisterFlagCompletionFunc("namespace", s.completes(func(ctx context.Context, session *core.Session, _ []string, _ string) []string {
		names, _ := session.Names(ctx, "namespaces", "")
		return slices.Sorted(maps.Keys(names))
	}))
	cmd.Flags().BoolVar(&o.Start, "start", false, "boot the virtual machine and wait until it runs")
	cmd.Flags().StringArrayVar(&params, "param", nil, "set a param of the template, as KEY=VALUE; can be repeated")
	cmd.Flags().StringVar((*string)(&o.Acceleration), "acceleration", "", "how to run guest code: Auto, Hardware or Emulation (default Auto)")
	cmd.Flags().BoolVar(&o.DryRun, "dry-run", false, "check everything without creating the virtual machine")
	_ = cmd.RegisterFlagCompletionFunc("acceleration", cobra.FixedCompletions([]string{"Auto", "Hardware", "Emulation"}, cobra.ShellCompDirectiveNoFileComp))
	s.waits(cmd, workTimeout, "rdd vm start %s", func(cmd *cobra.Command, args []string, c *core.Core, w core.Wait) (err error) {
		name := args[0]
		if o.Params, _, err = parseParams(params, "KEY=VALUE", false); err != nil {
			return err
		}
		if o.Template = args[1]; o.Template == "-" {
			if o.Text, err = s.stdinTemplate(); err != nil {
				return err
			}
		}
		vms, w, err := ensureVMs(cmd, c, w)
		if err != nil {
			return err
		}
		if !o.Start {
			waitAgainWith(cmd, "rdd ctl wait-condition limavm/%s Created")
		}
		undoneBy(cmd, "delete the VM", "rdd vm delete %s")
		if err := vms.Create(cmd.Context(), name, o, w); err != nil {
			return withFileHint(err, name, args[1])
		}
		switch {
		case o.DryRun:
			s.printf("VM %q would be created (dry run)\n", name)
		case o.Start:
			s.reportDone(w, fmt.Sprintf("VM %q is running; open a shell with: rdd vm shell %s", name, name), fmt.Sprintf("VM %q will be created and started", name))
			s.warnProblems(cmd.Context(), vms, name, w)
		default:
			s.reportDone(w, fmt.Sprintf("VM %q is created; start it with: rdd vm start %s", name, name), fmt.Sprintf("VM %q will be created", name))
		}
		return nil
	})
	return cmd
}

// vmChange returns a command that changes one VM. again is the command that waits for the same thing again, done and
// accepted are the messages at the end, all with %s or %q for the VM's name. act is often a method of VMs.
func (s *session) vmChange(use, short, again, done, accepted string, act func(vms *core.VMs, ctx context.Context, name string, w core.Wait) error) *cobra.Command {
	cmd := &cobra.Command{Use: use + " NAME", Short: short, Args: exactArgs("NAME"), ValidArgsFunction: s.completeVM()}
	s.waits(cmd, workTimeout, again, func(cmd *cobra.Command, args []string, c *core.Core, w core.Wait) error {
		ctx, name := cmd.Context(), args[0]
		vms, err := connect(ctx, c)
		if err == nil {
			err = act(vms, ctx, name, w)
		}
		if err != nil {
			return err
		}
		s.reportDone(w, fmt.Sprintf(done, name), fmt.Sprintf(accepted, name))
		s.warnProblems(ctx, vms, name, w)
		return nil
	})
	return cmd
}

// warnProblems prints what doesn't work in a VM that was waited for and is running.
func (s *session) warnProblems(ctx context.Context, vms *core.VMs, name string, w core.Wait) {
	if w.Accepted {
		return
	}
	vm, err := vms.Show(ctx, name)
	if err != nil {
		return // it was deleted
	}
	if d := core.Describe(vm); d.Problems > 0 {
		s.printf("warning: VM %q is running with problems:\n%s\n", name, d.Problem)
	}
}

func (s *session) vmStart() *cobra.Command {
	return s.vmChange("start", "Start a virtual machine and wait until it runs", "rdd vm start %s", "VM %q is running", "VM %q will start", (*core.VMs).Start)
}

// stopping is what a command asks of a VM that it stops first; force powers the VM off.
type stopping func(vms *core.VMs, ctx context.Context, name string, force bool, w core.Wait) error

// vmStopping is vmChange with the flag --force.
func (s *session) vmStopping(use, short, again, done, accepted string, act stopping) *cobra.Command {
	var force bool
	cmd := s.vmChange(use, short, again, done, accepted, func(vms *core.VMs, ctx context.Context, name string, w core.Wait) error {
		return act(vms, ctx, name, force, w)
	})
	cmd.Flags().BoolVar(&force, "force", false, "power it off immediately; data it has not written to disk is lost")
	forcedBy(cmd, "rdd vm "+use+" %s --force")
	return cmd
}

// warned is act with a warning of what --force loses.
func (s *session) warned(act stopping) stopping {
	return func(vms *core.VMs, ctx context.Context, name string, force bool, w core.Wait) error {
		if force {
			s.printf("powering off VM %q immediately; data it has not written to disk is lost\n", name)
		}
		return act(vms, ctx, name, force, w)
	}
}

func (s *session) vmStop() *cobra.Command {
	return s.vmStopping("stop", "Shut down a virtual machine and wait until it has stopped",
		"rdd vm stop %s", "VM %q has stopped", "VM %q will stop", s.warned((*core.VMs).Stop))
}

func (s *session) vmRestart() *cobra.Command {
	return s.vmStopping("restart", "Shut down a virtual machine and start it again",
		"rdd vm start %s", "VM %q is running again", "VM %q will restart", s.warned((*core.VMs).Restart))
}

func (s *session) vmReset() *cobra.Command {
	cmd := s.vmStopping("reset", "Recreate a virtual machine's disk (deletes all its data)",
		"rdd ctl wait-condition limavm/%s Created", "VM %q has a new disk", "VM %q will be reset",
		func(vms *core.VMs, ctx context.Context, name string, force bool, w core.Wait) error {
			s.printf("resetting VM %q: all data on its disk is deleted\n", name)
			return vms.Reset(ctx, name, force, w)
		})
	cmd.Long = "Stops a virtual machine, deletes its disk with all its data, creates a new one from its template and params, and starts\n" +
		"the virtual machine again if it was running. Its name, settings and logs are kept."
	return cmd
}

func (s *session) vmDelete() *cobra.Command {
	var orphan bool
	cmd := s.vmStopping("delete", "Delete a virtual machine and its disk",
		"rdd ctl wait --for=delete limavm/%s", "VM %q has been deleted", "VM %q will be deleted",
		func(vms *core.VMs, ctx context.Context, name string, force bool, w core.Wait) error {
			if orphan {
				return vms.DeleteOrphan(ctx, name, w)
			}
			if force {
				if err := vms.Force(ctx, name); err != nil {
					return err
				}
			}
			return vms.Delete(ctx, name, w)
		})
	cmd.Long = "Stops a virtual machine, then deletes its disk and the virtual machine itself.\n" +
		"With --orphan, it powers off a virtual machine on this computer that the service doesn't know, and deletes its disk;\n" +
		"rdd diagnose lists such virtual machines."
	cmd.Flags().BoolVar(&orphan, "orphan", false, "delete a virtual machine that the service doesn't know")
	return cmd
}

func (s *session) vmAdopt() *cobra.Command {
	var start bool
	cmd := s.vmChange("adopt", "Adopt a virtual machine that the service doesn't know",
		"rdd ctl wait-condition limavm/%s Created", "VM %q has been adopted", "VM %q will be adopted",
		func(vms *core.VMs, ctx context.Context, name string, w core.Wait) error {
			return vms.Adopt(ctx, name, start, w)
		})
	cmd.Long = "Adopts a virtual machine on this computer that the service doesn't know, for example after a restore from a backup that is\n" +
		"older than the virtual machine; rdd diagnose lists them. Its disk is unchanged, and it continues to run if it is running."
	cmd.Flags().BoolVar(&start, "start", false, "boot the virtual machine and wait until it runs")
	cmd.ValidArgsFunction = s.completes(func(ctx context.Context, session *core.Session, args []string, _ string) []string {
		if len(args) > 0 {
			return nil
		}
		return session.VMs().Orphans(ctx)
	})
	return cmd
}

func (s *session) vmList() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List the virtual machines", Args: noArgs,
		Long: "Lists the virtual machines. Processors, memory and disk are those of the running guest, or else those that the next\n" +
			"start uses. --output wide shows more columns, and --output name prints TYPE/NAME, as kubectl does.",
	}
	output := addOutput(cmd, outputWide, outputName)
	cmd.RunE = s.withVMs(func(ctx context.Context, _ []string, vms *core.VMs) error {
		all, err := vms.List(ctx)
		if err != nil {
			return err
		}
		if *output == outputName {
			for i := range all {
				kind := all[i].GroupVersionKind().GroupKind()
				fmt.Fprintf(s.Out, "%s/%s\n", strings.ToLower(kind.String()), all[i].Name)
			}
			return nil
		}
		list := vms.Details(ctx, all)
		return s.print(*output, list, func(w io.Writer) { printVMs(w, list, *output == outputWide) })
	})
	return cmd
}

// The formats that only a list has.
const (
	outputWide = "wide" // a table with more columns
	outputName = "name" // TYPE/NAME, as kubectl prints it
)

func printVMs(w io.Writer, list []core.VMDetails, wide bool) {
	fmt.Fprint(w, "NAME\tSTATE\tCPUS\tMEMORY\tDISK\tSSH PORT\tACCELERATION\tMANAGED BY\tAGE")
	if wide {
		fmt.Fprint(w, "\tRESTARTS\tTEMPLATE\tPROBLEM")
	}
	fmt.Fprintln(w)
	for i := range list {
		vm := &list[i]
		d := core.Describe(&vm.VM)
		cpus, memory, disk, port, manager := "-", "-", "-", "-", "-"
		if r := vm.Resources; r != nil {
			cpus, memory, disk = fmt.Sprint(r.CPUs), units.BytesSize(float64(r.Memory)), units.BytesSize(float64(r.Disk))
		}
		if vm.Status.SSHPort > 0 {
			port = fmt.Sprint(vm.Status.SSHPort)
		}
		if core.ManagedByApp(&vm.VM) {
			manager = "App"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s", vm.Name, vmState(vm, d), cpus, memory, disk, port, d.Acceleration, manager, age(vm.CreationTimestamp.Time))
		if wide {
			fmt.Fprintf(w, "\t%d\t%s\t%s", vm.Status.RestartCount, cmp.Or(d.Template, "-"), cmp.Or(oneLine(d.Problem), "-"))
		}
		fmt.Fprintln(w)
	}
}

// vmState is a VM's state with, in brackets, the number of its problems, its progress, or that it needs a restart.
func vmState(vm *core.VMDetails, d core.Description) string {
	note := d.Phase
	switch {
	case d.Problems > 0:
		note = count(d.Problems, "problem")
	case note == "" && len(vm.RestartNeeded) > 0:
		note = "restart needed"
	case note == "":
		return d.State
	}
	return d.State + " (" + note + ")"
}

func (s *session) vmShow() *cobra.Command {
	cmd := &cobra.Command{Use: "show NAME", Short: "Show a virtual machine", Args: exactArgs("NAME"), ValidArgsFunction: s.completeVM()}
	output := addOutput(cmd)
	cmd.RunE = s.withVMs(func(ctx context.Context, args []string, vms *core.VMs) error {
		vm, err := vms.Show(ctx, args[0])
		if err != nil {
			return err
		}
		details := vms.Details(ctx, []core.VM{*vm})[0]
		return s.print(*output, details, func(w io.Writer) { s.printVM(w, &details, vms.LogDir(vm.Name)) })
	})
	return cmd
}

func (s *session) printVM(w io.Writer, vm *core.VMDetails, logs string) {
	d := core.Describe(&vm.VM)
	var resources, port, restart, manager string
	if r := vm.Resources; r != nil {
		resources = fmt.Sprintf("%s, %s of memory, %s of disk", count(r.CPUs, "processor"), units.BytesSize(float64(r.Memory)), units.BytesSize(float64(r.Disk)))
	}
	if vm.Status.SSHPort > 0 {
		port = fmt.Sprint(vm.Status.SSHPort)
	}
	if core.ManagedByApp(&vm.VM) {
		manager = s.withInstance("the App; change it with: rdd start, rdd stop, rdd set, rdd reset, rdd delete")
	}
	if len(vm.RestartNeeded) > 0 {
		restart = s.withInstance(strings.Join(vm.RestartNeeded, ", ") + "; apply with: rdd vm restart " + vm.Name)
	}
	printRows(w, "Name", vm.Name, "State", d.State, "Resources", resources, "SSH port", port, "Acceleration", d.Acceleration,
		"Restarts", fmt.Sprint(vm.Status.RestartCount), "Age", age(vm.CreationTimestamp.Time), "Managed by", manager, "Progress", d.Progress,
		"Problem", d.Problem, "Restart needed", restart)
	for _, disk := range vm.Status.Disks {
		name := map[string]string{"system": "System disk", "data": "Data disk"}[disk.Name]
		printRows(w, cmp.Or(name, disk.Name), diskText(disk.Used, disk.Capacity, disk.Allocated, disk.Maximum))
	}
	title := "Ports"
	for _, line := range core.DescribePorts(vm.Status.Ports) {
		printRows(w, title, line)
		title = ""
	}
	printRows(w, "Template", d.Template, "Logs", logs)
}

// diskText says how full a disk is: in the guest, while that runs, and on this computer.
func diskText(used, capacity, allocated, maximum int64) string {
	size := func(n int64) string { return units.BytesSize(float64(n)) }
	if capacity == 0 {
		return fmt.Sprintf("%s allocated on this computer, %s at most", size(allocated), size(maximum))
	}
	return fmt.Sprintf("%s used of %s (%d %%), %s allocated on this computer", size(used), size(capacity), 100*used/capacity, size(allocated))
}

func (s *session) vmShell() *cobra.Command {
	var o core.ShellOptions
	cmd := &cobra.Command{
		Use: "shell NAME [-- COMMAND...]", Short: "Open a shell, or run a command, in a running virtual machine",
		Long: "Opens a login shell in a virtual machine, or runs COMMAND there and exits with its exit code. The -- can be omitted.\n" +
			"The guest gets a terminal if stdin and stdout are terminals; otherwise stdin, stdout and stderr are passed unchanged.\n" +
			"It waits up to 30 s for a virtual machine that is still booting or doesn't answer.",
		ValidArgsFunction: s.completeVM(),
		Args:              vmAndMore,
		RunE: s.withVMs(func(ctx context.Context, args []string, vms *core.VMs) error {
			o.Command = args[1:]
			if len(o.Command) > 0 && o.Command[0] == "--" { // cobra doesn't remove a -- after NAME
				o.Command = o.Command[1:]
			}
			shell, err := vms.Shell(ctx, args[0], o)
			if err != nil {
				return err
			}
			return core.Become(shell)
		}),
	}
	addShellFlags(cmd, &o)
	return cmd
}

// addShellFlags adds the flags of a command that opens a shell in a VM.
func addShellFlags(cmd *cobra.Command, o *core.ShellOptions) {
	cmd.Flags().StringVar(&o.Shell, "shell", "", "shell to use in the guest, also for COMMAND, such as zsh (default: the guest user's login shell)")
	cmd.Flags().StringVar(&o.Workdir, "workdir", "", "working directory in the guest (default: the current one if it is mounted there, else the guest user's home)")
	for _, name := range []string{"shell", "workdir"} { // only the guest knows the values
		_ = cmd.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions)
	}
	cmd.Flags().SetInterspersed(false) // flags after the first argument are the command's
}

// completeVM completes the first argument with the names of the VMs.
func (s *session) completeVM() cobra.CompletionFunc {
	return s.completes(func(ctx context.Context, session *core.Session, args []string, _ string) (names []string) {
		if len(args) > 0 {
			return nil
		}
		return vmNames(ctx, session.VMs())
	})
}

func vmNames(ctx context.Context, vms *core.VMs) (names []string) {
	list, _ := vms.List(ctx)
	for i := range list {
		names = append(names, list[i].Name)
	}
	return names
}

// age is the time since t as kubectl prints it: 5s, 3m, 2d.
func age(t time.Time) string { return duration.HumanDuration(time.Since(t)) }
