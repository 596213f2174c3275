package core

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"rancherdesktop.io/rdd/internal/instance"
	"rancherdesktop.io/rdd/internal/proc"
)

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
		return nil, Failed(op, inst.Name, err)
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

// Become replaces this program by cmd, where the system can; elsewhere it runs cmd to its end.
// The error of a command that ran and failed is an *exec.ExitError.
func Become(cmd *exec.Cmd) error { return proc.Become(cmd) }

// Dashboard returns the command that shows the page of this instance in a browser, until it is interrupted.
func (c *Core) Dashboard(open, readOnly bool) (*exec.Cmd, error) {
	program, err := c.inst.Program("rdd-web")
	if err != nil {
		return nil, Failed("open the dashboard of instance", c.inst.Name, err)
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

// limaProgram is the program that reads templates and opens shells. It can't run for a user without a name.
func (c *Core) limaProgram() (string, error) {
	if err := instance.CheckUser(); err != nil {
		return "", err
	}
	return c.inst.Program("rdd-lima")
}

// embedTimeout bounds reading a template, which may come from the network.
const embedTimeout = 30 * time.Second

// exitRefused is how rdd-lima says that it refuses the text, and not that it can't read it.
const exitRefused = 3

// embedTemplate returns the whole text of a template, with all it refers to.
func (c *Core) embedTemplate(ctx context.Context, locator string) (string, error) {
	program, err := c.limaProgram()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, embedTimeout, fmt.Errorf("%w: %s was not read within %s", context.DeadlineExceeded, locator, embedTimeout))
	defer cancel()
	cmd := exec.Command(program, "template", "--share", c.inst.ShareDir(), locator)
	c.running(cmd)
	out, err := proc.Output(ctx, cmd, helperGrace)
	if failure, ok := errors.AsType[*proc.OutputError](err); ok {
		kind := Other
		if cmd.ProcessState != nil && cmd.ProcessState.ExitCode() == exitRefused {
			kind = Rejected
		}
		return "", &Error{Kind: kind, Op: "read template", Object: locator, Err: helperError(program, failure)}
	}
	return string(out), err
}

// rddd runs one of rddd's commands for this instance and returns what it prints. The command ends
// with ctx.
func (s *Service) rddd(ctx context.Context, command string, args ...string) ([]byte, error) {
	program, err := s.core.inst.Program("rddd")
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program, append([]string{command, "--instance", s.core.inst.Name}, args...)...)
	s.core.running(cmd)
	out, err := proc.Output(ctx, cmd, helperGrace)
	if failure, ok := errors.AsType[*proc.OutputError](err); ok {
		err = helperError(program, failure)
	}
	return out, err
}

// helperGrace is how long one of our programs may take to end after an interrupt.
const helperGrace = 2 * time.Second

// helperError is what one of our programs wrote to stderr, without its name in front.
func helperError(program string, failure *proc.OutputError) error {
	name := strings.TrimSuffix(filepath.Base(program), ".exe")
	if message := strings.TrimPrefix(failure.Stderr, name+": "); message != "" {
		return errors.New(message)
	}
	return fmt.Errorf("run %s: %w", program, failure)
}
