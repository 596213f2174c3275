package cli

import (
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
				s.sayf("the previous settings could not be read; they are kept in %s\n", aside)
			}
			if cmd.Flags().Changed("log-level") {
				if err := c.SetLogLevel(s.logLevel); err != nil {
					return err
				}
			}
			s.sayf("instance %q is created; start its service with: rdd svc start\n", c.Instance().Name)
			return nil
		}),
	}
	cmd.Flags().StringSliceVar(&controllers, "controllers", nil, "controllers to run; -NAME leaves one out, * means all others, an empty list means none (default: all of "+strings.Join(core.Controllers(), ", ")+")")
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
	f := addWait(cmd, startTimeout, "rdd svc start")
	cmd.RunE = s.withCore(func(cmd *cobra.Command, _ []string, c *core.Core) error {
		var started bool
		err := s.whileWaiting(cmd, f, func(w core.Wait) (err error) {
			started, err = c.Service().Start(cmd.Context(), w)
			return err
		})
		if err != nil {
			return err
		}
		if !started {
			s.said(f, "the service is already running", "the service is starting or already running")
			if s.logLevel != "" {
				s.sayf("its log level stays as it was; to change it, run: rdd svc restart --log-level %s\n", s.logLevel)
			}
			return nil
		}
		s.said(f, "the service is ready", "the service is starting")
		s.warnSettings(c)
		return nil
	})
	return cmd
}

// warnSettings says when a service was started without what the user chose.
func (s *session) warnSettings(c *core.Core) {
	if _, err := c.Settings(); err != nil {
		s.sayf("warning: %v\n", err)
	}
}

func (s *session) serviceStop() *cobra.Command {
	cmd := &cobra.Command{Use: "stop", Short: "Stop the service and its virtual machines", Args: noArgs}
	f := addWait(cmd, workTimeout, "rdd svc stop")
	force := addServiceForce(cmd)
	hurriedBy(cmd, "rdd svc stop --force")
	cmd.RunE = s.withCore(func(cmd *cobra.Command, _ []string, c *core.Core) error {
		var vms []string
		var was bool
		err := s.whileWaiting(cmd, f, func(w core.Wait) (err error) {
			vms = s.warnServiceForce(c, *force)
			was, err = c.Service().Stop(cmd.Context(), *force, w)
			return err
		})
		if err != nil {
			return err
		}
		switch {
		case !was && len(vms) > 0 && f.wait:
			s.sayf("the service was not running; virtual machines that a crashed service had left have been stopped: %s\n", strings.Join(vms, ", "))
			return nil
		case !was:
			s.sayf("the service was not running\n")
			return nil
		}
		s.said(f, "the service has stopped", "the service is stopping")
		return s.warn(cmd, c)
	})
	return cmd
}

// addServiceForce gives cmd the flag of commands that stop the service. Given while a stop is under way, it
// makes that one faster.
func addServiceForce(cmd *cobra.Command) *bool {
	return cmd.Flags().Bool("force", false, "power off the virtual machines immediately, also in a stop that is in progress; data they have not written to disk is lost")
}

// warnServiceForce says what a forced stop may lose, if there is anything to lose. It names the virtual
// machines that run, whether a service does or not.
func (s *session) warnServiceForce(c *core.Core, force bool) (vms []string) {
	vms = c.LiveVMs()
	if force && len(vms) > 0 {
		s.sayf("powering off the virtual machines immediately (%s); data they have not written to disk is lost\n", strings.Join(vms, ", "))
	}
	return vms
}

// warn tells what a run that has ended failed at without ending.
func (s *session) warn(cmd *cobra.Command, c *core.Core) error {
	st, err := c.Service().Status(cmd.Context())
	if err == nil && st.Warning != "" {
		s.sayf("warning: %s\n", st.Warning)
	}
	return err
}

func (s *session) serviceRestart() *cobra.Command {
	cmd := &cobra.Command{Use: "restart", Short: "Stop the service, then start it", Args: noArgs}
	f := addWait(cmd, workTimeout, "rdd svc start")
	force := addServiceForce(cmd)
	hurriedBy(cmd, "rdd svc restart --force")
	cmd.RunE = s.withCore(func(cmd *cobra.Command, _ []string, c *core.Core) error {
		err := s.whileWaiting(cmd, f, func(w core.Wait) error {
			s.warnServiceForce(c, *force)
			return c.Service().Restart(cmd.Context(), *force, w)
		})
		if err != nil {
			return err
		}
		s.said(f, "the service is ready", "the service is restarting")
		s.warnSettings(c)
		return nil
	})
	return cmd
}

func (s *session) serviceDelete() *cobra.Command {
	cmd := &cobra.Command{
		Use: "delete", Short: "Stop the service and delete the instance with all its data", Args: noArgs,
		Long: "Stops the service and its virtual machines, then deletes the instance's data, backups, virtual disks and logs.\n" +
			"Nothing is deleted before the service process has ended. Set RDD_KEEP_LOGS in the environment to keep the logs.",
	}
	s.removing(cmd, func(cmd *cobra.Command, c *core.Core, w core.Wait) (string, error) {
		was, err := c.Service().Delete(cmd.Context(), w)
		return ifThere(was, "instance %q has been deleted\n"), err
	})
	return cmd
}

func (s *session) serviceReset() *cobra.Command {
	cmd := &cobra.Command{
		Use: "reset", Short: "Stop the service and delete all virtual machines and stored objects", Args: noArgs,
		Long: "Stops the service, then deletes:\n" +
			"  - all virtual machines with their disks, and their logs unless RDD_KEEP_LOGS is set\n" +
			"  - all objects of the control plane, such as ConfigMaps\n\n" +
			"It keeps the settings of rdd svc create, the service's log, the kubeconfig's credentials and the backups: " +
			"rdd svc restore brings the objects back, and virtual machines with new disks.\n" +
			"Nothing is deleted before the service process has ended. Afterwards the service is stopped.",
	}
	s.removing(cmd, func(cmd *cobra.Command, c *core.Core, w core.Wait) (string, error) {
		was, err := c.Service().Reset(cmd.Context(), w)
		return ifThere(was, "instance %q has been reset; start its service with: rdd svc start\n"), err
	})
	return cmd
}

// ifThere is what to say of an instance, or else that there is none.
func ifThere(there bool, format string) string {
	if there {
		return format
	}
	return "there was no instance %q\n"
}

// removing makes cmd one that removes files, which nothing can do after rdd has ended.
func (s *session) removing(cmd *cobra.Command, do func(*cobra.Command, *core.Core, core.Wait) (string, error)) {
	f := addWait(cmd, workTimeout, "rdd svc "+cmd.Name())
	hurriedBy(cmd, "rdd svc stop --force")
	attended(cmd, "a stop of the service that has begun continues; no more files are deleted")
	cmd.RunE = s.withCore(func(cmd *cobra.Command, _ []string, c *core.Core) error {
		if !f.wait {
			return usagef("rdd svc %s can't finish in the background, because files are removed only after the service has ended: leave out --wait=false", cmd.Name())
		}
		var say string
		err := s.whileWaiting(cmd, f, func(w core.Wait) (err error) {
			say, err = do(cmd, c, w)
			return err
		})
		if err == nil {
			s.sayf(say, c.Instance().Name)
		}
		return err
	})
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
			fmt.Fprintf(w, "Instance\t%s\nState\t%s\n", st.Instance, st.State)
			for _, row := range [][2]string{{"Step", st.Step}, {"Error", st.Error}, {"Warning", st.Warning}, {"Version", st.Version}, {"Server", st.Server}, {"Log", st.Log}} {
				if row[1] != "" {
					fmt.Fprintf(w, "%s\t%s\n", row[0], row[1])
				}
			}
		})
		if err != nil {
			return err
		}
		return serviceExit(st.State)
	})
	return cmd
}

func serviceExit(state core.ServiceState) error {
	switch state {
	case core.ServiceRunning:
		return nil
	case core.ServiceStopped:
		return exitStatus(exitStopped)
	case core.ServiceStarting, core.ServiceStopping:
		return exitStatus(exitChanging)
	case core.ServiceNotCreated:
		return exitStatus(exitNotCreated)
	default:
		return exitStatus(exitBroken)
	}
}
