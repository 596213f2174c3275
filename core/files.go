package core

import (
	"context"
	"io"
	"os"
	"os/exec"
	"time"

	"rancherdesktop.io/rdd/internal/daemon"
	"rancherdesktop.io/rdd/internal/instance"
	"rancherdesktop.io/rdd/internal/logs"
	"rancherdesktop.io/rdd/internal/proc"
)

// Path is one of an instance's paths, with its name.
type Path = instance.Path

// DefaultInstance is the instance that is meant when none is named.
const DefaultInstance = instance.Default

// ServiceConfig is what a user chooses for a service now; what is nil stays as it was.
type ServiceConfig = daemon.ConfigChange

// Controllers names every controller that a service can run.
func Controllers() []string { return daemon.Controllers() }

// Instances names the instances that exist on this machine.
func Instances() ([]string, error) {
	names, err := instance.List()
	return names, failed("list instances", "", err)
}

// Log writes the service's log to w; with follow it goes on until ctx ends.
func (s *Service) Log(ctx context.Context, w io.Writer, follow bool) error {
	return failed("read the log of service", s.core.inst.Name, logs.Copy(ctx, w, s.core.inst.ServiceLog(), follow))
}

// Ready says why nobody can use the service now; nil when it says itself that it is ready. It asks no server.
func (s *Service) Ready() error {
	_, err := s.core.ready()
	return failed("connect to service", s.core.inst.Name, err)
}

// Kubectl returns the kubectl command with args for this instance's control plane. It ends with ctx where
// it doesn't replace this program.
func (s *Service) Kubectl(ctx context.Context, args []string) (*exec.Cmd, error) {
	const op = "run kubectl for service"
	inst := s.core.inst
	if _, err := s.Kubeconfig(); err != nil {
		return nil, err
	}
	program, err := inst.Program("rdd-kubectl")
	if err != nil {
		return nil, failed(op, inst.Name, err)
	}
	cmd := exec.CommandContext(ctx, program, args...)
	s.core.running(cmd)
	cmd.Env = append(cmd.Environ(), "KUBECONFIG="+inst.KubeConfig())
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Cancel, cmd.WaitDelay = func() error { return cmd.Process.Signal(os.Interrupt) }, kubectlGrace
	return cmd, nil
}

// kubectlGrace is how long kubectl may take to end after an interrupt.
const kubectlGrace = 2 * time.Second

// Dashboard returns the command that shows the page of this instance in a browser, until it is interrupted.
func (c *Core) Dashboard(open, readOnly bool) (*exec.Cmd, error) {
	program, err := c.inst.Program("rdd-web")
	if err != nil {
		return nil, failed("show the page of instance", c.inst.Name, err)
	}
	args := []string{"--instance", c.inst.Name}
	if !open {
		args = append(args, "--no-open")
	}
	if readOnly {
		args = append(args, "--read-only")
	}
	cmd := exec.Command(program, args...)
	c.running(cmd)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr // where it doesn't replace this program
	return cmd, nil
}

// Become replaces this program by cmd, where the system can; elsewhere it runs cmd to its end.
// The error of a command that ran and failed is an *exec.ExitError.
func Become(cmd *exec.Cmd) error { return proc.Become(cmd) }
