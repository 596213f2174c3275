package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
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

// vms connects to the running service; it starts nothing.
func (s *session) vms(ctx context.Context) (*core.VMs, error) {
	c, err := s.core()
	if err != nil {
		return nil, err
	}
	session, err := c.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return session.VMs(), nil
}

// ensureVMs connects to the service, and starts it when it does not run. That takes its part of w's time.
func (s *session) ensureVMs(cmd *cobra.Command, w core.Wait) (*core.VMs, core.Wait, error) {
	c, err := s.core()
	if err != nil {
		return nil, w, err
	}
	began := time.Now()
	start := w
	if w.Accepted { // nothing can be accepted before the service is there
		start = core.Wait{Timeout: startTimeout, Progress: w.Progress}
	}
	session, err := c.Ensure(cmd.Context(), start)
	if err != nil {
		waitAgainWith(cmd, "rdd svc start") // this is what is under way, and nothing else
		return nil, w, err
	}
	return session.VMs(), w.Spent(time.Since(began)), nil
}

func (s *session) vmCreate() *cobra.Command {
	var o core.CreateOptions
	var params []string
	cmd := &cobra.Command{
		Use: "create NAME TEMPLATE", Short: "Create a virtual machine",
		Long: "Creates a virtual machine from a template and waits until its disk exists, or with --start until it runs.\n" +
			"TEMPLATE is the name of a ConfigMap with a Lima template under the key \"template\"; or, if it contains a / or a :,\n" +
			"a file or template URL, which is copied whole; or - for a template on stdin.",
		Args: exactArgs("NAME", "TEMPLATE"),
	}
	cmd.Flags().StringVar(&o.Namespace, "namespace", "", "namespace of the ConfigMap TEMPLATE (default \"default\")")
	_ = cmd.RegisterFlagCompletionFunc("namespace", s.completeNamespace)
	cmd.Flags().BoolVar(&o.Start, "start", false, "boot the virtual machine and wait until it runs")
	cmd.Flags().StringArrayVar(&params, "param", nil, "set a param of the template, as KEY=VALUE; can be repeated")
	cmd.Flags().StringVar((*string)(&o.Acceleration), "acceleration", "", "how to run guest code: Auto, Hardware or Emulation (default Auto)")
	cmd.Flags().BoolVar(&o.DryRun, "dry-run", false, "check everything without creating the virtual machine")
	_ = cmd.RegisterFlagCompletionFunc("acceleration", cobra.FixedCompletions([]string{"Auto", "Hardware", "Emulation"}, cobra.ShellCompDirectiveNoFileComp))
	f := addWait(cmd, workTimeout, "rdd vm start %s")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var err error
		if o.Params, _, err = parseParams(params, "KEY=VALUE", false); err != nil {
			return err
		}
		if o.Template = args[1]; o.Template == "-" {
			if o.Text, err = s.stdinTemplate(); err != nil {
				return err
			}
		}
		w, finish, err := s.waiting(cmd, f)
		if err != nil {
			return err
		}
		defer finish()
		vms, w, err := s.ensureVMs(cmd, w)
		if err != nil {
			return err
		}
		if !o.Start {
			waitAgainWith(cmd, "rdd ctl wait-condition limavm/%s Created")
		}
		undoneBy(cmd, "delete the VM", "rdd vm delete %s")
		if err := vms.Create(cmd.Context(), args[0], o, w); err != nil {
			return withFileHint(err, args[0], args[1])
		}
		finish()
		switch {
		case o.DryRun:
			s.sayf("VM %q would be created (dry run)\n", args[0])
		case o.Start:
			s.said(f, fmt.Sprintf("VM %q is running; open a shell with: rdd vm shell %s", args[0], args[0]), fmt.Sprintf("VM %q is accepted and will start", args[0]))
			s.warnProblems(cmd.Context(), vms, args[0], w)
		default:
			s.said(f, fmt.Sprintf("VM %q is created; start it with: rdd vm start %s", args[0], args[0]), fmt.Sprintf("VM %q is accepted", args[0]))
		}
		return nil
	}
	return cmd
}

// vmChange is a command that asks something of one VM and waits for it.
func (s *session) vmChange(use, short, again, done, accepted string, act func(ctx context.Context, vms *core.VMs, name string, w core.Wait) error) *cobra.Command {
	cmd := &cobra.Command{Use: use + " NAME", Short: short, Args: exactArgs("NAME"), ValidArgsFunction: s.completeVM}
	f := addWait(cmd, workTimeout, again)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		w, finish, err := s.waiting(cmd, f)
		if err != nil {
			return err
		}
		defer finish()
		vms, err := s.vms(cmd.Context())
		if err != nil {
			return err
		}
		if err := act(cmd.Context(), vms, args[0], w); err != nil {
			return err
		}
		finish()
		s.said(f, fmt.Sprintf(done, args[0]), fmt.Sprintf(accepted, args[0]))
		s.warnProblems(cmd.Context(), vms, args[0], w)
		return nil
	}
	return cmd
}

// warnProblems says what doesn't work in a VM that has been waited for and runs.
func (s *session) warnProblems(ctx context.Context, vms *core.VMs, name string, w core.Wait) {
	if w.Accepted {
		return
	}
	vm, err := vms.Show(ctx, name)
	if err != nil {
		return // deleted, as was asked or meanwhile
	}
	if d := core.Describe(vm); d.Problems > 0 {
		s.sayf("warning: VM %q is running with problems:\n%s\n", name, d.Problem)
	}
}

func (s *session) vmStart() *cobra.Command {
	return s.vmChange("start", "Start a virtual machine and wait until it runs", "rdd vm start %s", "VM %q is running", "VM %q will start",
		func(ctx context.Context, vms *core.VMs, name string, w core.Wait) error {
			return vms.Start(ctx, name, w)
		})
}

// addForce gives cmd the flag of every command that stops a virtual machine.
func addForce(cmd *cobra.Command) *bool {
	hurriedBy(cmd, "rdd vm "+cmd.Name()+" %s --force")
	return cmd.Flags().Bool("force", false, "power it off immediately; data it has not written to disk is lost")
}

func (s *session) vmStop() *cobra.Command {
	var force *bool
	cmd := s.vmChange("stop", "Shut down a virtual machine and wait until it has stopped", "rdd vm stop %s", "VM %q has stopped", "VM %q will stop",
		func(ctx context.Context, vms *core.VMs, name string, w core.Wait) error {
			s.warnForce(*force, name)
			return vms.Stop(ctx, name, *force, w)
		})
	force = addForce(cmd)
	return cmd
}

// warnForce says what a forced stop may lose.
func (s *session) warnForce(force bool, name string) {
	if force {
		s.sayf("powering off VM %q immediately; data it has not written to disk is lost\n", name)
	}
}

func (s *session) vmRestart() *cobra.Command {
	var force *bool
	cmd := s.vmChange("restart", "Shut down a virtual machine and start it again", "rdd vm start %s", "VM %q is running again", "VM %q will restart",
		func(ctx context.Context, vms *core.VMs, name string, w core.Wait) error {
			s.warnForce(*force, name)
			return vms.Restart(ctx, name, *force, w)
		})
	force = addForce(cmd)
	return cmd
}

func (s *session) vmReset() *cobra.Command {
	var force *bool
	cmd := s.vmChange("reset", "Recreate a virtual machine's disk (deletes all its data)",
		"rdd ctl wait-condition limavm/%s Created", "VM %q has a new disk", "VM %q will be reset",
		func(ctx context.Context, vms *core.VMs, name string, w core.Wait) error {
			s.sayf("resetting VM %q: all data on its disk is deleted\n", name)
			return vms.Reset(ctx, name, *force, w)
		})
	cmd.Long = "Stops a virtual machine, deletes its disk with all its data, creates a new one from its template and params, and starts\n" +
		"the virtual machine again if it was running. Its name, settings and logs are kept."
	force = addForce(cmd)
	return cmd
}

func (s *session) vmDelete() *cobra.Command {
	var orphan bool
	var force *bool
	cmd := s.vmChange("delete", "Delete a virtual machine and its disk", "rdd ctl wait --for=delete limavm/%s", "VM %q has been deleted", "VM %q will be deleted",
		func(ctx context.Context, vms *core.VMs, name string, w core.Wait) error {
			if orphan {
				return vms.DeleteOrphan(ctx, name, w)
			}
			if *force {
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
	force = addForce(cmd)
	return cmd
}

func (s *session) vmAdopt() *cobra.Command {
	var start bool
	cmd := s.vmChange("adopt", "Adopt a virtual machine that the service doesn't know", "rdd ctl wait-condition limavm/%s Created", "VM %q has been adopted", "VM %q will be adopted",
		func(ctx context.Context, vms *core.VMs, name string, w core.Wait) error {
			return vms.Adopt(ctx, name, start, w)
		})
	cmd.Long = "Adopts a virtual machine on this computer that the service doesn't know, for example after a restore from a backup that is\n" +
		"older than the virtual machine; rdd diagnose lists them. Its disk is unchanged, and it continues to run if it is running."
	cmd.Flags().BoolVar(&start, "start", false, "boot the virtual machine and wait until it runs")
	cmd.ValidArgsFunction = s.completeOrphan
	return cmd
}

func (s *session) vmList() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List the virtual machines", Args: noArgs,
		Long: "Lists the virtual machines. Processors, memory and disk are those of the running guest, or else those that the next\n" +
			"start uses. --output wide shows more columns, and --output name prints TYPE/NAME, as kubectl does.",
	}
	output := addOutput(cmd, outputWide, outputName)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		vms, err := s.vms(cmd.Context())
		if err != nil {
			return err
		}
		all, err := vms.List(cmd.Context())
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
		list := vms.Details(cmd.Context(), all)
		return s.print(*output, list, func(w io.Writer) { printVMs(w, list, *output == outputWide) })
	}
	return cmd
}

// Formats that only a list has.
const (
	outputWide = "wide" // a table with more columns
	outputName = "name" // TYPE/NAME, as kubectl prints it
)

func printVMs(w io.Writer, list []core.VMDetails, wide bool) {
	fmt.Fprint(w, "NAME\tSTATE\tCPUS\tMEMORY\tDISK\tSSH PORT\tACCELERATION\tAGE")
	if wide {
		fmt.Fprint(w, "\tRESTARTS\tTEMPLATE\tPROBLEM")
	}
	fmt.Fprintln(w)
	for i := range list {
		vm := &list[i]
		d := core.Describe(&vm.VM)
		cpus, memory, disk, port := "-", "-", "-", "-"
		if r := vm.Resources; r != nil {
			cpus, memory, disk = fmt.Sprint(r.CPUs), units.BytesSize(float64(r.Memory)), units.BytesSize(float64(r.Disk))
		}
		if vm.Status.SSHPort > 0 {
			port = fmt.Sprint(vm.Status.SSHPort)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s", vm.Name, vmState(vm, d), cpus, memory, disk, port, d.Acceleration, age(vm.CreationTimestamp.Time))
		if wide {
			fmt.Fprintf(w, "\t%d\t%s\t%s", vm.Status.RestartCount, cmp.Or(d.Template, "-"), cmp.Or(oneLine(d.Problem), "-"))
		}
		fmt.Fprintln(w)
	}
}

// vmState is a VM's state, and how much of it doesn't work, or how far it has come while that changes, or that it
// needs a restart.
func vmState(vm *core.VMDetails, d core.Description) string {
	switch {
	case d.Problems == 1:
		return d.State + " (1 problem)"
	case d.Problems > 1:
		return fmt.Sprintf("%s (%d problems)", d.State, d.Problems)
	case d.Phase != "":
		return d.State + " (" + d.Phase + ")"
	case len(vm.RestartNeeded) > 0:
		return d.State + " (restart needed)"
	}
	return d.State
}

func (s *session) vmShow() *cobra.Command {
	cmd := &cobra.Command{Use: "show NAME", Short: "Show a virtual machine", Args: exactArgs("NAME"), ValidArgsFunction: s.completeVM}
	output := addOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		vms, err := s.vms(cmd.Context())
		if err != nil {
			return err
		}
		vm, err := vms.Show(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		shown := vms.Details(cmd.Context(), []core.VM{*vm})[0]
		return s.print(*output, shown, func(w io.Writer) {
			for _, row := range s.vmRows(&shown, vms.LogDir(vm.Name)) {
				if row[1] != "" {
					fmt.Fprintf(w, "%s\t%s\n", row[0], row[1])
				}
			}
		})
	}
	return cmd
}

// vmRows is what is shown of one VM: names and values, some of them empty.
func (s *session) vmRows(vm *core.VMDetails, logs string) [][2]string {
	d := core.Describe(&vm.VM)
	var resources, port, restart string
	if r := vm.Resources; r != nil {
		resources = fmt.Sprintf("%s, %s of memory, %s of disk", count(r.CPUs, "processor"), units.BytesSize(float64(r.Memory)), units.BytesSize(float64(r.Disk)))
	}
	if vm.Status.SSHPort > 0 {
		port = fmt.Sprint(vm.Status.SSHPort)
	}
	if len(vm.RestartNeeded) > 0 {
		restart = s.addressed(strings.Join(vm.RestartNeeded, ", ") + "; apply with: rdd vm restart " + vm.Name)
	}
	return [][2]string{
		{"Name", vm.Name}, {"State", d.State}, {"Resources", resources}, {"SSH port", port}, {"Acceleration", d.Acceleration},
		{"Restarts", fmt.Sprint(vm.Status.RestartCount)}, {"Age", age(vm.CreationTimestamp.Time)}, {"Progress", d.Progress}, {"Problem", d.Problem},
		{"Restart needed", restart}, {"Template", d.Template}, {"Logs", logs},
	}
}

func (s *session) vmShell() *cobra.Command {
	var o core.ShellOptions
	cmd := &cobra.Command{
		Use: "shell NAME [-- COMMAND...]", Short: "Open a shell, or run a command, in a running virtual machine",
		Long: "Opens a login shell in a virtual machine, or runs COMMAND there and exits with its exit code. The -- can be omitted.\n" +
			"The guest gets a terminal if stdin and stdout are terminals; otherwise stdin, stdout and stderr are passed unchanged.\n" +
			"It waits up to 30 s for a virtual machine that is still booting or doesn't answer.",
		ValidArgsFunction: s.completeVM,
		Args:              vmAndMore,
		RunE: func(cmd *cobra.Command, args []string) error {
			vms, err := s.vms(cmd.Context())
			if err != nil {
				return err
			}
			o.Command = args[1:]
			if len(o.Command) > 0 && o.Command[0] == "--" { // behind NAME cobra leaves it to the command
				o.Command = o.Command[1:]
			}
			shell, err := vms.Shell(cmd.Context(), args[0], o)
			if err != nil {
				return err
			}
			return core.Become(shell)
		},
	}
	cmd.Flags().StringVar(&o.Shell, "shell", "", "shell to use in the guest, also for COMMAND, such as zsh (default: the guest user's login shell)")
	cmd.Flags().StringVar(&o.Workdir, "workdir", "", "working directory in the guest (default: the current one if it is mounted there, else the guest user's home)")
	for _, name := range []string{"shell", "workdir"} { // only the guest knows
		_ = cmd.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions)
	}
	cmd.Flags().SetInterspersed(false) // flags after NAME are the command's
	return cmd
}

// completionTimeout bounds what a press of the Tab key waits for.
const completionTimeout = time.Second

// completing is the context of what a press of the Tab key asks.
func completing(cmd *cobra.Command) (context.Context, context.CancelFunc) {
	return context.WithTimeout(cmd.Context(), completionTimeout)
}

func (s *session) completeVM(cmd *cobra.Command, args []string, _ string) (names []string, _ cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := completing(cmd)
	defer cancel()
	vms, err := s.vms(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	list, _ := vms.List(ctx)
	for i := range list {
		names = append(names, list[i].Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

func (s *session) completeNamespace(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := completing(cmd)
	defer cancel()
	vms, err := s.vms(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	names, _ := vms.Namespaces(ctx)
	return names, cobra.ShellCompDirectiveNoFileComp
}

func (s *session) completeOrphan(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := completing(cmd)
	defer cancel()
	vms, err := s.vms(ctx)
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return vms.Orphans(ctx), cobra.ShellCompDirectiveNoFileComp
}

// age is the time since t, in the field's short form: 5s, 3m, 2d.
func age(t time.Time) string { return duration.HumanDuration(time.Since(t)) }
