package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"rancherdesktop.io/rdd/core"
)

func (s *session) serviceCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "service", Aliases: []string{"svc"}, Short: "Manage the background service",
		Args: noArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(s.serviceCreate(), s.serviceStart(), s.serviceStop(), s.serviceRestart(), s.serviceStatus(),
		s.serviceReset(), s.serviceRestore(), s.serviceDelete(), s.serviceLog(), s.servicePaths(), s.serviceConfig(),
		s.serviceInstall(), s.serviceUninstall())
	return cmd
}

func (s *session) serviceCreate() *cobra.Command {
	var controllers []string
	var endpoint string
	var port int
	cmd := &cobra.Command{
		Use: "create", Short: "Create the instance, or change the settings of a stopped one", Args: noArgs,
		Long: "Creates the instance, or changes the settings of one whose service is stopped. Settings without a flag are kept.\n" +
			"If the settings can't be read, they are moved aside and replaced, but only with --datastore-endpoint, which says where the objects are.\n" +
			"--log-level is stored for the instance: each start of the service uses it, unless that start has its own --log-level.",
		RunE: s.withCore(func(cmd *cobra.Command, _ []string, c *core.Core) error {
			var change core.ServiceConfig
			if cmd.Flags().Changed("controllers") {
				change.Controllers = &controllers
			}
			if cmd.Flags().Changed("datastore-endpoint") {
				change.DatastoreEndpoint = &endpoint
			}
			if cmd.Flags().Changed("port") {
				change.Port = &port
			}
			aside, err := c.Service().Create(change)
			if err != nil {
				return err
			}
			if aside != "" {
				s.printf("the previous settings could not be read; they are kept in %s\n", aside)
			}
			if cmd.Flags().Changed("log-level") {
				if err := c.SetLogLevel(s.logLevel); err != nil {
					return err
				}
			}
			s.printf("instance %q is created; start its service with: rdd svc start\n", c.Instance().Name)
			return nil
		}),
	}
	cmd.Flags().StringSliceVar(&controllers, "controllers", nil, "controllers to run; -NAME excludes one, * means all others, an empty list means none (default: all of "+strings.Join(core.Controllers(), ", ")+")")
	cmd.Flags().StringVar(&endpoint, "datastore-endpoint", "", "postgres:// URL, or http(s):// URLs of an etcd cluster; '' for SQLite in the data directory (default: SQLite)")
	cmd.Flags().IntVar(&port, "port", 0, "port of the API on the loopback interface; 0 chooses a free one and keeps it")
	_ = cmd.RegisterFlagCompletionFunc("port", cobra.NoFileCompletions)
	_ = cmd.RegisterFlagCompletionFunc("controllers", cobra.FixedCompletions(core.Controllers(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (s *session) serviceStart() *cobra.Command {
	cmd := &cobra.Command{
		Use: "start", Short: "Start the service and wait until it is ready", Args: noArgs,
		Long: "Starts the service and waits until it is ready. --log-level and RDD_LOG_LEVEL apply to this run only;\n" +
			"rdd svc create --log-level stores the level for all runs.",
	}
	s.waits(cmd, startTimeout, "rdd svc start", func(cmd *cobra.Command, _ []string, c *core.Core, w core.Wait) error {
		started, err := c.Service().Start(cmd.Context(), w)
		switch {
		case err != nil:
			return err
		case started:
			s.reportDone(w, "the service is ready", "the service is starting")
			s.warnSettings(c)
			return nil
		}
		s.reportDone(w, "the service is already running", "the service is starting or already running")
		if s.logLevel != "" {
			s.printf("its log level is unchanged; to change it, run: rdd svc restart --log-level %s\n", s.logLevel)
		}
		return nil
	})
	return cmd
}

// warnSettings warns when the service was started without the user's settings.
func (s *session) warnSettings(c *core.Core) {
	if _, err := c.Settings(); err != nil {
		s.printf("warning: %v\n", err)
	}
}

func (s *session) serviceStop() *cobra.Command {
	cmd := &cobra.Command{Use: "stop", Short: "Stop the service and its virtual machines", Args: noArgs}
	force := addServiceForce(cmd)
	s.waits(cmd, workTimeout, "rdd svc stop", func(cmd *cobra.Command, _ []string, c *core.Core, w core.Wait) error {
		return s.stopService(cmd.Context(), c, *force, w)
	})
	forcedBy(cmd, "rdd svc stop --force")
	return cmd
}

// stopService stops the service, or what a crashed one has left running.
func (s *session) stopService(ctx context.Context, c *core.Core, force bool, w core.Wait) error {
	vms := s.warnServiceForce(c, force)
	was, err := c.Service().Stop(ctx, force, w)
	switch {
	case err != nil:
		return err
	case !was && len(vms) > 0 && !w.Accepted:
		s.printf("the service was not running; stopped the virtual machines that a crashed service had left running: %s\n", strings.Join(vms, ", "))
		return nil
	case !was:
		s.printf("the service was not running\n")
		return nil
	}
	s.reportDone(w, "the service has stopped", "the service is stopping")
	st, err := c.Service().Status(ctx)
	if err == nil && st.Warning != "" {
		s.printf("warning: %s\n", st.Warning)
	}
	return err
}

// addServiceForce adds --force to a command that stops the service.
func addServiceForce(cmd *cobra.Command) *bool {
	return cmd.Flags().Bool("force", false, "power off the virtual machines immediately, also in a stop that is in progress; data they have not written to disk is lost")
}

// warnServiceForce says what a forced stop may lose if virtual machines are running. It returns these, whether the
// service is running or not.
func (s *session) warnServiceForce(c *core.Core, force bool) (vms []string) {
	vms = c.LiveVMs()
	if force && len(vms) > 0 {
		s.printf("powering off the virtual machines immediately (%s); data they have not written to disk is lost\n", strings.Join(vms, ", "))
	}
	return vms
}

func (s *session) serviceRestart() *cobra.Command {
	cmd := &cobra.Command{Use: "restart", Short: "Stop the service, then start it", Args: noArgs}
	force := addServiceForce(cmd)
	s.waits(cmd, workTimeout, "rdd svc start", func(cmd *cobra.Command, _ []string, c *core.Core, w core.Wait) error {
		s.warnServiceForce(c, *force)
		if err := c.Service().Restart(cmd.Context(), *force, w); err != nil {
			return err
		}
		s.reportDone(w, "the service is ready", "the service is restarting")
		s.warnSettings(c)
		return nil
	})
	forcedBy(cmd, "rdd svc restart --force")
	return cmd
}

func (s *session) serviceDelete() *cobra.Command {
	return s.removal(&cobra.Command{
		Use: "delete", Short: "Stop the service and delete the instance with all its data", Args: noArgs,
		Long: "Stops the service and its virtual machines, then deletes the instance's data, backups, virtual disks and logs.\n" +
			"Nothing is deleted before the service process has ended. Set RDD_KEEP_LOGS in the environment to keep the logs.\n" + asksOnTerminal,
	}, (*core.Service).Delete, deletesInstance, "instance %q has been deleted\n")
}

func (s *session) serviceReset() *cobra.Command {
	return s.removal(&cobra.Command{
		Use: "reset", Short: "Stop the service and delete all virtual machines and stored objects", Args: noArgs,
		Long: "Stops the service, then deletes:\n" +
			"  - all virtual machines with their disks, and their logs unless RDD_KEEP_LOGS is set\n" +
			"  - all objects of the control plane, such as ConfigMaps\n\n" +
			"It keeps the settings of rdd svc create, the service's log, the kubeconfig's credentials and the backups: " +
			"rdd svc restore brings the objects back, and virtual machines with new disks.\n" +
			"Nothing is deleted before the service process has ended. Afterwards the service is stopped.\n" + asksOnTerminal,
	}, (*core.Service).Reset, resetsInstance, "instance %q has been reset; start its service with: rdd svc start\n")
}

// asksOnTerminal is the end of the help of a removal.
const asksOnTerminal = "On a terminal it asks before, unless you use --yes. Without a terminal, as in a script, it says what it deletes, and goes on."

// These say what a removal deletes: the argument is the name of the instance, and what describes its virtual machines.
const (
	deletesInstance = "This deletes instance %q: %sits data, settings and backups."
	resetsInstance  = "This resets instance %q. It deletes: %sits stored objects. Settings and backups are kept."
)

// removal completes a command that stops the service and then removes files. what says what it deletes, and done is the
// message at its end.
func (s *session) removal(cmd *cobra.Command, remove func(*core.Service, context.Context, core.Wait) (bool, error), what, done string) *cobra.Command {
	yes := addYes(cmd)
	s.waits(cmd, workTimeout, "rdd svc "+cmd.Name(), func(cmd *cobra.Command, _ []string, c *core.Core, w core.Wait) (err error) {
		if c.Instance().Exists() {
			vms := ""
			if names := c.VMsOnDisk(); len(names) > 0 {
				vms = fmt.Sprintf("its virtual machines (%s) with all that is on their disks, such as images, containers and volumes; ", strings.Join(names, ", "))
			}
			if w, err = s.confirm(cmd, *yes || !s.Asks, w, fmt.Sprintf(what, c.Instance().Name, vms)); err != nil {
				return err
			}
		}
		was, err := remove(c.Service(), cmd.Context(), w)
		if err != nil {
			return err
		}
		message := done
		if !was {
			message = "instance %q does not exist\n"
		}
		s.printf(message, c.Instance().Name)
		return nil
	})
	forcedBy(cmd, "rdd svc stop --force")
	endsWith(cmd, "a stop of the service that has begun continues; no more files are deleted")
	return cmd
}

func (s *session) serviceStatus() *cobra.Command {
	cmd := &cobra.Command{
		Use: "status", Short: "Show the service's status", Args: noArgs,
		Long: "Shows the service's status. The exit code says the same: 0 running and ready, 6 stopped, 7 starting or stopping, 8 broken, 9 not created.",
	}
	output := addOutput(cmd)
	cmd.RunE = s.withCore(func(cmd *cobra.Command, _ []string, c *core.Core) error {
		st, err := c.Service().Status(cmd.Context())
		if err != nil {
			return err
		}
		err = s.print(*output, st, func(w io.Writer) {
			printRows(w, "Instance", st.Instance, "State", string(st.State), "Step", st.Step, "Error", st.Error,
				"Warning", st.Warning, "Version", st.Version, "Server", st.Server, "Log", st.Log)
		})
		if err != nil {
			return err
		}
		return statusExits[st.State]
	})
	return cmd
}

// statusExits has the exit codes of rdd svc status.
var statusExits = map[core.ServiceState]error{
	core.ServiceStopped:    exitStatus(exitStopped),
	core.ServiceStarting:   exitStatus(exitChanging),
	core.ServiceStopping:   exitStatus(exitChanging),
	core.ServiceBroken:     exitStatus(exitBroken),
	core.ServiceNotCreated: exitStatus(exitNotCreated),
}
