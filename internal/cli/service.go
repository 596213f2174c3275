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
		Use: "service", Aliases: []string{"svc"}, Short: "Start, stop and look at the background service",
		Args: noArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(s.serviceCreate(), s.serviceStart(), s.serviceStop(), s.serviceRestart(), s.serviceStatus(),
		s.serviceDelete(), s.serviceLog(), s.servicePaths(), s.serviceConfig())
	return cmd
}

func (s *session) serviceCreate() *cobra.Command {
	var config core.ServiceConfig
	cmd := &cobra.Command{
		Use: "create", Short: "Create the instance, or change the settings of a stopped one", Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			c, err := s.core()
			if err != nil {
				return err
			}
			if err := c.Service().Create(config); err != nil {
				return err
			}
			s.sayf("instance %q is created; start its service with: rdd svc start\n", c.Instance().Name)
			return nil
		},
	}
	cmd.Flags().StringSliceVar(&config.Controllers, "controllers", nil, "controllers to run (default: all of "+strings.Join(core.Controllers(), ", ")+")")
	cmd.Flags().StringVar(&config.DatastoreEndpoint, "datastore-endpoint", "", "postgres:// URL, or http(s):// URLs of an etcd cluster (default: SQLite in the data directory)")
	_ = cmd.RegisterFlagCompletionFunc("controllers", cobra.FixedCompletions(core.Controllers(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (s *session) serviceStart() *cobra.Command {
	cmd := &cobra.Command{Use: "start", Short: "Start the service and wait until it is ready", Args: noArgs}
	f := addWait(cmd, startTimeout, "rdd svc start")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := s.core()
		if err != nil {
			return err
		}
		w, finish, err := s.waiting(cmd, f)
		if err != nil {
			return err
		}
		started, err := c.Service().Start(cmd.Context(), w)
		finish()
		if err != nil {
			return err
		}
		if !started {
			s.said(f, "the service runs already", "the service is starting or runs already")
			return nil
		}
		s.said(f, "the service is ready", "the service is starting")
		return nil
	}
	return cmd
}

func (s *session) serviceStop() *cobra.Command {
	cmd := &cobra.Command{Use: "stop", Short: "Stop the service and its virtual machines", Args: noArgs}
	f := addWait(cmd, workTimeout, "rdd svc stop")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := s.core()
		if err != nil {
			return err
		}
		w, finish, err := s.waiting(cmd, f)
		if err != nil {
			return err
		}
		was, err := c.Service().Stop(cmd.Context(), w)
		finish()
		if err != nil {
			return err
		}
		if !was {
			s.sayf("the service was not running\n")
			return nil
		}
		s.said(f, "the service has stopped", "the service is stopping")
		return nil
	}
	return cmd
}

func (s *session) serviceRestart() *cobra.Command {
	cmd := &cobra.Command{Use: "restart", Short: "Stop the service, then start it", Args: noArgs}
	f := addWait(cmd, workTimeout, "rdd svc start")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := s.core()
		if err != nil {
			return err
		}
		w, finish, err := s.waiting(cmd, f)
		if err != nil {
			return err
		}
		_, err = c.Service().Stop(cmd.Context(), w)
		if err == nil {
			_, err = c.Service().Start(cmd.Context(), w)
		}
		finish()
		if err != nil {
			return err
		}
		s.said(f, "the service is ready", "the service is restarting")
		return nil
	}
	return cmd
}

func (s *session) serviceDelete() *cobra.Command {
	cmd := &cobra.Command{
		Use: "delete", Short: "Stop the service and remove everything the instance owns", Args: noArgs,
		Long: "Stops the service and its virtual machines, then removes the instance's data, virtual disks and logs.\nNothing is removed before the service process has ended.",
	}
	f := addWait(cmd, workTimeout, "rdd svc delete")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if !f.wait {
			return usagef("rdd svc delete can't go on by itself, because files are removed only after the service has ended: leave out --wait=false")
		}
		c, err := s.core()
		if err != nil {
			return err
		}
		w, finish, err := s.waiting(cmd, f)
		if err != nil {
			return err
		}
		was, err := c.Service().Delete(cmd.Context(), w)
		finish()
		if err != nil {
			return err
		}
		if was {
			s.sayf("instance %q has been deleted\n", c.Instance().Name)
		} else {
			s.sayf("there was no instance %q\n", c.Instance().Name)
		}
		return nil
	}
	return cmd
}

func (s *session) serviceStatus() *cobra.Command {
	cmd := &cobra.Command{
		Use: "status", Short: "Say how the service is", Args: noArgs,
		Long: "Says how the service is, and with its exit code: 0 running and ready, 6 stopped, 7 starting or stopping, 8 broken, 9 not created.",
	}
	output := addOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := s.core()
		if err != nil {
			return err
		}
		st, err := c.Service().Status(cmd.Context())
		if err != nil {
			return err
		}
		err = s.print(*output, st, func(w io.Writer) {
			fmt.Fprintf(w, "Instance\t%s\nState\t%s\n", st.Instance, st.State)
			for _, row := range [][2]string{{"Step", st.Step}, {"Error", st.Error}, {"Version", st.Version}, {"Server", st.Server}, {"Log", st.Log}} {
				if row[1] != "" {
					fmt.Fprintf(w, "%s\t%s\n", row[0], row[1])
				}
			}
		})
		if err != nil {
			return err
		}
		return serviceExit(st.State)
	}
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

func (s *session) serviceLog() *cobra.Command {
	var follow bool
	cmd := &cobra.Command{
		Use: "log", Short: "Print the service's log", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := s.core()
			if err != nil {
				return err
			}
			return followed(cmd, c.Service().Log(cmd.Context(), s.Out, follow))
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what is added, until Ctrl-C")
	return cmd
}

func (s *session) servicePaths() *cobra.Command {
	cmd := &cobra.Command{Use: "paths [KEY]", Short: "Print where the instance keeps its files"}
	output := addOutput(cmd)
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		c, err := s.core()
		if err != nil {
			return err
		}
		paths := c.Instance().Paths()
		if len(args) == 0 {
			return s.print(*output, paths, func(w io.Writer) {
				for _, p := range paths {
					fmt.Fprintf(w, "%s\t%s\n", p.Key, p.Path)
				}
			})
		}
		var keys []string
		for _, p := range paths {
			if p.Key == args[0] {
				return s.print(*output, p, func(w io.Writer) { fmt.Fprintln(w, p.Path) })
			}
			keys = append(keys, p.Key)
		}
		return usagef("there is no path %q; known: %s", args[0], strings.Join(keys, ", "))
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) > 1 {
			return usagef("%s takes at most one KEY; got %q", cmd.CommandPath(), args)
		}
		return nil
	}
	cmd.ValidArgsFunction = func(_ *cobra.Command, args []string, _ string) (keys []string, _ cobra.ShellCompDirective) {
		if c, err := s.core(); err == nil && len(args) == 0 {
			for _, p := range c.Instance().Paths() {
				keys = append(keys, p.Key)
			}
		}
		return keys, cobra.ShellCompDirectiveNoFileComp
	}
	return cmd
}

func (s *session) serviceConfig() *cobra.Command {
	return &cobra.Command{
		Use: "config", Short: "Print the kubeconfig of the instance's control plane", Args: noArgs,
		Long: "Prints the kubeconfig of the instance's control plane. It holds a credential: keep it to yourself.",
		RunE: func(*cobra.Command, []string) error {
			c, err := s.core()
			if err != nil {
				return err
			}
			b, err := c.Service().Kubeconfig()
			if err == nil {
				_, err = s.Out.Write(b)
			}
			return err
		},
	}
}
