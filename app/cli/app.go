package cli

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"rancherdesktop.io/rdd/core"
)

// settledAgain waits again for the last change of the App.
const settledAgain = "rdd ctl wait-condition app/app Settled"

func (s *session) appStart() *cobra.Command {
	cmd := &cobra.Command{
		Use: "start", Short: "Start the container engine and wait until it answers", Args: noArgs,
		Long: "Starts the App: a virtual machine with a container engine. It starts the service too, and creates the App at its first start.\n" +
			"It waits until the engine answers, creates a docker context for it, and says how docker reaches it. docker uses that context\n" +
			"at once if the one it has leads to no engine; rdd set containerEngine.dockerContext changes when it does.",
	}
	s.waits(cmd, workTimeout, "rdd start", func(cmd *cobra.Command, _ []string, c *core.Core, w core.Wait) error {
		session, w, err := ensureSession(cmd, c, w)
		if err != nil {
			return err
		}
		ran := s.appRuns(cmd.Context(), session)
		if err := session.App().Start(cmd.Context(), w); err != nil {
			return err
		}
		if ran {
			s.reportDone(w, "the App is already running", "the App is already running")
		} else {
			s.reportDone(w, "the App is running", "the App will start")
		}
		s.afterStart(cmd.Context(), c, session, w)
		return nil
	})
	return cmd
}

// appRuns reports whether the App runs with all its settings.
func (s *session) appRuns(ctx context.Context, session *core.Session) bool {
	a, err := session.App().Show(ctx)
	if err != nil {
		return false
	}
	state, _ := core.DescribeApp(core.ServiceStatus{State: core.ServiceRunning}, a)
	return state == core.AppRunning
}

// afterStart says how to use the App that was waited for, and prints what doesn't work in it.
func (s *session) afterStart(ctx context.Context, c *core.Core, session *core.Session, w core.Wait) {
	if w.Accepted {
		return
	}
	a, err := session.App().Show(ctx)
	if err != nil || !a.Spec.Running {
		return // it was stopped or deleted
	}
	e := a.Status.Engine
	if e != nil && e.Socket != "" {
		s.printf("the engine %s %s listens at %s\n", e.Name, e.Version, e.Socket)
	}
	if a.Spec.ContainerEngine.Name == core.Containerd {
		s.printf("use it with: rdd nerdctl\n")
	} else if e != nil && e.Socket == "" {
		s.printf("docker commands can't use it now: see below\n")
	} else if text := dockerHint(c.DockerContext(), c.Instance().DockerHost()); text != "" {
		s.printf("%s\n", text)
	}
	problems := a.Status.Problems
	if d := core.DiskReportOf(a); d != nil && d.Warning != "" {
		problems = append(problems, d.Warning)
	}
	if len(problems) > 0 {
		s.printf("warning: it is running with problems:\n%s\n", strings.Join(problems, "\n"))
	}
}

// dockerHint says whether docker commands reach the App, and what to do if they don't.
func dockerHint(d core.DockerContext, host string) string {
	switch {
	case d.Used:
		return fmt.Sprintf("docker commands use it (docker context %q)", d.Name)
	case d.Override != "":
		return "docker commands do not use it, except those in rdd run: " + d.Override
	case !d.Exists:
		return fmt.Sprintf("docker commands do not use it, because it has no docker context; use it with: rdd run docker, or set DOCKER_HOST=%s", host)
	}
	return fmt.Sprintf("docker commands use another context; use this one with: rdd run docker, or: docker context use %s", d.Name)
}

func (s *session) appStop() *cobra.Command {
	cmd := &cobra.Command{
		Use: "stop", Short: "Stop the container engine and its virtual machine", Args: noArgs,
		Long: "Stops the App: all containers, the engine and the virtual machine. Images, containers and volumes are kept. With --shutdown,\n" +
			"it then stops the service with all other virtual machines.",
	}
	force := addAppForce(cmd)
	shutdown := cmd.Flags().Bool("shutdown", false, "also stop the service and all other virtual machines")
	s.waits(cmd, workTimeout, "rdd stop", func(cmd *cobra.Command, _ []string, c *core.Core, w core.Wait) error {
		w = w.FromNow()
		if *shutdown {
			waitAgainWith(cmd, "rdd stop --shutdown")
			forcedBy(cmd, "rdd stop --shutdown --force")
		}
		if err := s.stopApp(cmd.Context(), c, *force, *shutdown, w); err != nil || !*shutdown {
			return err
		}
		return s.stopService(cmd.Context(), c, *force, w)
	})
	forcedBy(cmd, "rdd stop --force")
	return cmd
}

var errStoppingAnyway = errors.New("the service is stopping, and the App with it; wait for the end with: rdd svc stop")

// stopApp stops the App. It does nothing when no service runs.
func (s *session) stopApp(ctx context.Context, c *core.Core, force, shutdown bool, w core.Wait) error {
	session, err := c.Connect(ctx)
	changing, changes := errors.AsType[*core.ChangingError](err)
	switch {
	case shutdown && (changes || errors.Is(err, core.ErrNotRunning)): // the stop of the service is enough
		return nil
	case errors.Is(err, core.ErrNotRunning):
		s.printf("the App is not running, because the service is not\n")
		return nil
	case changes && changing.Stopping():
		return errStoppingAnyway
	case err != nil:
		return err
	}
	if _, err := session.App().Show(ctx); core.KindOf(err) == core.NotFound {
		s.printf("there is no App, so nothing was stopped\n")
		return nil
	}
	s.warnAppForce(force)
	if err := session.App().Stop(ctx, force, w); err != nil {
		return err
	}
	s.reportDone(w, "the App has stopped", "the App will stop")
	return nil
}

func addAppForce(cmd *cobra.Command) *bool {
	return cmd.Flags().Bool("force", false, "power off the virtual machine immediately, also in a stop that is in progress; data it has not written to disk is lost")
}

func (s *session) warnAppForce(force bool) {
	if force {
		s.printf("powering off the App's virtual machine immediately; data that containers have not written to disk is lost\n")
	}
}

func (s *session) appRestart() *cobra.Command {
	cmd := &cobra.Command{
		Use: "restart", Short: "Stop the container engine, then start it", Args: noArgs,
		Long: "Stops the App with all containers, starts it again, and waits until the engine answers. Containers with a restart policy\nstart again.",
	}
	force := addAppForce(cmd)
	s.waits(cmd, workTimeout, "rdd start", func(cmd *cobra.Command, _ []string, c *core.Core, w core.Wait) error {
		session, w, err := s.existingApp(cmd, c, w)
		if err != nil {
			return err
		}
		s.warnAppForce(*force)
		if err := session.App().Restart(cmd.Context(), *force, w); err != nil {
			return err
		}
		s.reportDone(w, "the App is running again", "the App will restart")
		s.afterStart(cmd.Context(), c, session, w)
		return nil
	})
	forcedBy(cmd, "rdd restart --force")
	return cmd
}

// existingApp connects to the service, and starts it if need be, for a change of an App that exists. An instance that doesn't
// exist has none, and isn't created.
func (s *session) existingApp(cmd *cobra.Command, c *core.Core, w core.Wait) (*core.Session, core.Wait, error) {
	if !c.Instance().Exists() {
		return nil, w, core.ErrNoApp
	}
	session, w, err := ensureSession(cmd, c, w)
	if err != nil {
		return nil, w, err
	}
	_, err = session.App().Show(cmd.Context())
	return session, w, err
}

func (s *session) appReset() *cobra.Command {
	cmd := &cobra.Command{
		Use: "reset", Short: "Give the virtual machine a new system disk, and keep images, containers and volumes", Args: noArgs,
		Long: "Stops the App, replaces the system disk of its virtual machine by a new one, and starts it again if it was running.\n" +
			"Images, containers, volumes and settings are kept: they are on other disks. What you have installed or changed in\n" +
			"the virtual machine itself, such as in rdd shell, is deleted. It asks before, unless you use --yes.",
	}
	force, yes := addAppForce(cmd), addYes(cmd)
	s.waits(cmd, workTimeout, settledAgain, func(cmd *cobra.Command, _ []string, c *core.Core, w core.Wait) error {
		session, w, err := s.existingApp(cmd, c, w)
		if err == nil {
			w, err = s.confirm(cmd, *yes, w, "This deletes the system disk of the App's virtual machine, with all that was installed in it, and stops all containers.\n"+
				"Images, containers and volumes are kept.")
		}
		if err != nil {
			return err
		}
		s.warnAppForce(*force)
		if err := session.App().Reset(cmd.Context(), *force, w); err != nil {
			return err
		}
		s.reportDone(w, "the App has a new system disk", "the App will be reset")
		s.afterStart(cmd.Context(), c, session, w)
		return nil
	})
	forcedBy(cmd, "rdd reset --force")
	return cmd
}

func (s *session) appDelete() *cobra.Command {
	cmd := &cobra.Command{
		Use: "delete", Short: "Delete the App with all images, containers and volumes", Args: noArgs,
		Long: "Stops the App, then deletes its virtual machine, all images, containers and volumes, its settings and its docker context.\n" +
			"Other virtual machines and the service stay; rdd svc delete deletes all of the instance. It asks before, unless you\nuse --yes.",
	}
	force, yes := addAppForce(cmd), addYes(cmd)
	s.waits(cmd, workTimeout, "rdd ctl wait --for=delete app/app", func(cmd *cobra.Command, _ []string, c *core.Core, w core.Wait) error {
		session, w, err := s.existingApp(cmd, c, w)
		if core.KindOf(err) == core.NotFound {
			s.printf("there is no App, so nothing was deleted\n")
			return nil
		}
		if err == nil {
			w, err = s.confirm(cmd, *yes, w, "This deletes the App: its virtual machine, all images, containers and volumes, its settings and its docker context.")
		}
		if err != nil {
			return err
		}
		s.warnAppForce(*force)
		if err := session.App().Delete(cmd.Context(), *force, w); err != nil {
			return err
		}
		s.reportDone(w, "the App has been deleted", "the App will be deleted")
		return nil
	})
	forcedBy(cmd, "rdd delete --force")
	return cmd
}

func addYes(cmd *cobra.Command) *bool {
	return cmd.Flags().BoolP("yes", "y", false, "don't ask before data is deleted")
}

// confirm asks whether to go on, unless the user has said yes already. The time limit of the returned Wait begins after the
// answer.
func (s *session) confirm(cmd *cobra.Command, yes bool, w core.Wait, what string) (core.Wait, error) {
	if yes {
		s.printf("%s\n", what)
		return w, nil
	}
	if !s.Asks {
		return w, usagef("%s asks before it deletes data, and here is no terminal for the answer; use --yes", cmd.CommandPath())
	}
	s.endProgress()
	fmt.Fprintf(s.Err, "%s\nContinue? [y/N] ", what)
	answer := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(s.In).ReadString('\n')
		answer <- strings.ToLower(strings.TrimSpace(line))
	}()
	ends, always := cmd.Annotations[endsWithUs]
	endsWith(cmd, "nothing was deleted")
	select {
	case <-cmd.Context().Done():
		fmt.Fprintln(s.Err)
		return w, cmp.Or(context.Cause(cmd.Context()), context.Canceled)
	case line := <-answer:
		if line != "y" && line != "yes" {
			fmt.Fprintln(s.Err, "nothing was deleted")
			return w, exitStatus(exitOther)
		}
	}
	delete(cmd.Annotations, endsWithUs)
	if always {
		endsWith(cmd, ends)
	}
	return w.Again(), nil
}
