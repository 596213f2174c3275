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

// Kubectl returns the command kubectl with args for this instance's control plane. It ends with ctx, unless Become replaces
// this program by it.
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
	// In the user's own cache, each control plane would leave what it can do for good.
	cmd.Env = append(cmd.Environ(), "KUBECONFIG="+inst.KubeConfig(), "KUBECACHEDIR="+inst.KubectlCacheDir())
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Cancel, cmd.WaitDelay = func() error { return cmd.Process.Signal(os.Interrupt) }, helperGrace
	return cmd, nil
}

// Become replaces this program by cmd. Where the system can't do that, it runs cmd.
// The error of a command that ran and failed is an *exec.ExitError.
func Become(cmd *exec.Cmd) error { return proc.Become(cmd) }

// Dashboard returns the command that serves the page of this instance to a browser until it is interrupted.
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
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr // used unless Become replaces this program
	return cmd, nil
}

// limaProgram returns the path of rdd-lima, which reads templates and opens shells. It doesn't run for a user without a name.
func (c *Core) limaProgram() (string, error) {
	if err := instance.CheckUser(); err != nil {
		return "", err
	}
	return c.inst.Program("rdd-lima")
}

// embedTimeout limits the reading of a template, which may be downloaded.
const embedTimeout = 30 * time.Second

// exitRefused is the exit code of rdd-lima for a template that it has read and refuses.
const exitRefused = 3

// ReadTemplate returns the text of the template in a file or at a URL, with the content of all files that it refers to.
func (c *Core) ReadTemplate(ctx context.Context, locator string) (string, error) {
	program, err := c.limaProgram()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, embedTimeout, fmt.Errorf("%w: %s was not read within %s", context.DeadlineExceeded, locator, embedTimeout))
	defer cancel()
	out, code, err := c.output(ctx, program, "template", "--share", c.inst.ShareDir(), locator)
	if code != 0 {
		kind := Other
		if code == exitRefused {
			kind = Rejected
		}
		return "", &Error{Kind: kind, Op: "read template", Object: locator, Err: err}
	}
	return string(out), err
}

// rddd runs one of rddd's commands for this instance and returns its output. The command ends with ctx.
func (s *Service) rddd(ctx context.Context, command string, args ...string) ([]byte, error) {
	program, err := s.core.inst.Program("rddd")
	if err != nil {
		return nil, err
	}
	out, _, err := s.core.output(ctx, program, append([]string{command, "--instance", s.core.inst.Name}, args...)...)
	return out, err
}

// helperGrace is how long one of RDD's programs may take to end after an interrupt.
const helperGrace = 2 * time.Second

// output runs one of RDD's programs and returns its output. If the program fails, the error is the message that it wrote to
// stderr, and code is its exit code, or -1 if it has none.
func (c *Core) output(ctx context.Context, program string, args ...string) (out []byte, code int, err error) {
	cmd := exec.Command(program, args...)
	c.running(cmd)
	out, err = proc.Output(ctx, cmd, helperGrace)
	failure, failed := errors.AsType[*proc.OutputError](err)
	if !failed {
		return out, 0, err
	}
	err = fmt.Errorf("run %s: %w", program, failure)
	name := strings.TrimSuffix(filepath.Base(program), ".exe")
	if message := strings.TrimPrefix(failure.Stderr, name+": "); message != "" {
		err = errors.New(message)
	}
	return out, cmd.ProcessState.ExitCode(), err // -1 without a process
}
