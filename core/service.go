package core

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"rancherdesktop.io/rdd/internal/daemon"
	"rancherdesktop.io/rdd/internal/proc"
)

// Service is the background service of one instance.
type Service struct{ core *Core }

// ServiceState says in a word how the service is.
type ServiceState string

// The states of a service.
const (
	ServiceNotCreated ServiceState = "not-created"
	ServiceStopped    ServiceState = "stopped"
	ServiceStarting   ServiceState = "starting"
	ServiceRunning    ServiceState = "running" // ready: its server answered
	ServiceStopping   ServiceState = "stopping"
	ServiceBroken     ServiceState = "broken" // it lives and does not answer, or its last start failed
)

// ServiceStatus is what is known of the service.
type ServiceStatus struct {
	Instance string       `json:"instance"`
	State    ServiceState `json:"state"`
	Version  string       `json:"version,omitempty"`
	PID      int          `json:"pid,omitempty"`
	Server   string       `json:"server,omitempty"`
	Step     string       `json:"step,omitempty"`  // while it starts or stops
	Error    string       `json:"error,omitempty"` // when broken
	Log      string       `json:"log"`
}

// Status looks at the service. It changes nothing.
func (s *Service) Status(ctx context.Context) (ServiceStatus, error) {
	inst := s.core.inst
	st := ServiceStatus{Instance: inst.Name, State: ServiceNotCreated, Log: inst.ServiceLog()}
	if !inst.Exists() {
		return st, nil
	}
	rec, live, err := daemon.Find(inst)
	if err != nil {
		return st, failed("look at service", inst.Name, err)
	}
	if !live {
		st.State = ServiceStopped
		rec, err := daemon.Last(inst)
		switch {
		case err != nil:
			st.State, st.Error = ServiceBroken, err.Error()
		case rec.Phase == daemon.Failed:
			st.State, st.Error = ServiceBroken, rec.Error
		case rec.Phase != daemon.Stopped && rec.Phase != "":
			st.Error = "the last run ended without having been asked to"
		}
		return st, nil
	}
	st.Version, st.PID, st.Server, st.Step, st.Error = rec.Version, rec.PID, rec.Server, rec.Step, rec.Error
	switch rec.Phase {
	case daemon.Ready:
		st.State = ServiceRunning
		if err := s.core.hello(ctx, rec); KindOf(err) == Incompatible {
			return st, err
		} else if now, _, again := daemon.Find(inst); err != nil && again == nil && now != rec {
			return s.Status(ctx) // it has changed meanwhile
		} else if err != nil {
			st.State, st.Error = ServiceBroken, err.Error()
		}
	case daemon.Stopping:
		st.State = ServiceStopping
	case daemon.Failed, daemon.Stopped: // it has said its last word and is about to exit
		st.State = ServiceStopping
	default:
		st.State = ServiceStarting
	}
	return st, nil
}

// Create makes the instance with the given configuration, or changes that of one whose service
// is stopped.
func (s *Service) Create(config daemon.Config) error {
	const op = "create service"
	inst := s.core.inst
	if err := config.Validate(); err != nil {
		return &Error{Kind: Usage, Op: op, Object: inst.Name, Err: err}
	}
	if err := inst.Create(); err != nil {
		return failed(op, inst.Name, err)
	}
	return failed(op, inst.Name, daemon.Configure(inst, config))
}

// Start brings the service to readiness, and creates the instance when it is missing. It says
// whether this call started it; false means that it ran already.
func (s *Service) Start(ctx context.Context, w Wait) (started bool, err error) {
	const op = "start service"
	inst := s.core.inst
	if err := inst.Create(); err != nil {
		return false, failed(op, inst.Name, err)
	}
	err = w.run(ctx, op, inst.Name, func(ctx context.Context, o *operation) (err error) {
		client := daemon.Client{
			Spawn: s.spawn,
			Hello: s.core.hello,
			Step:  func(step string) { o.report(Event{Phase: "starting", Message: step}) },
		}
		if w.Accepted {
			started, err = daemon.Begin(ctx, inst, client)
		} else {
			started, err = daemon.Ensure(ctx, inst, client)
		}
		return err
	})
	return started, err
}

// spawn starts rddd as a session of its own. What it prints outside its log, such as a crash,
// goes to a file beside the log.
func (s *Service) spawn(nonce string) (<-chan error, error) {
	inst := s.core.inst
	program, err := inst.Program("rddd")
	if err != nil {
		return nil, err
	}
	output, err := os.OpenFile(inst.ServiceOutput(), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	defer output.Close()
	cmd := exec.Command(program, "serve", "--instance", inst.Name, "--nonce", nonce)
	cmd.Dir, cmd.Stdout, cmd.Stderr = inst.DataDir(), output, output
	proc.Detach(cmd)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	exited := make(chan error, 1)
	go func() {
		err := cmd.Wait() // why it failed is in its record or its log
		if cmd.ProcessState.ExitCode() == daemon.ExitRunning {
			err = daemon.ErrRunning
		}
		exited <- err
	}()
	return exited, nil
}

// Stop ends the service in order, with every VM it runs. It says whether there was one to stop.
func (s *Service) Stop(ctx context.Context, w Wait) (was bool, err error) {
	const op = "stop service"
	inst := s.core.inst
	err = w.run(ctx, op, inst.Name, func(ctx context.Context, o *operation) (err error) {
		if w.Accepted {
			was, err = daemon.Request(ctx, inst)
			return err
		}
		step := func(step string) { o.report(Event{Phase: "stopping", Message: step}) }
		if was, err = daemon.Stop(ctx, inst, step); err != nil {
			return err
		}
		return s.reap(ctx, step)
	})
	return was, err
}

// reap stops the hostagents that outlived a crashed service. A run that stopped in order left none.
func (s *Service) reap(ctx context.Context, step func(string)) error {
	inst := s.core.inst
	if last, err := daemon.Last(inst); err == nil && last.Phase == daemon.Stopped {
		return nil
	}
	if _, err := os.Stat(inst.LimaHome()); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	program, err := inst.Program("rddd")
	if err != nil {
		return err
	}
	step("looking for virtual machines that a crashed service left behind")
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, program, "reap", "--instance", inst.Name)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = reapGrace
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("stop virtual machines left by a crashed service: %w: %s", err, strings.TrimSpace(out.String()))
	}
	return nil
}

// reapGrace is how long rddd reap may take to end after an interrupt.
const reapGrace = 2 * time.Second

// Delete stops the service and removes everything the instance owns. It removes files only while
// it holds the instance's lock. It says whether there was anything to delete.
func (s *Service) Delete(ctx context.Context, w Wait) (was bool, err error) {
	const op = "delete service"
	inst := s.core.inst
	if !inst.Exists() {
		return false, nil
	}
	w.Accepted = false // files can go only after the process has
	err = w.run(ctx, op, inst.Name, func(ctx context.Context, o *operation) error {
		step := func(step string) { o.report(Event{Phase: "stopping", Message: step}) }
		if _, err := daemon.Stop(ctx, inst, step); err != nil {
			return err
		}
		if err := s.reap(ctx, step); err != nil {
			return err
		}
		o.report(Event{Phase: "deleting", Message: "removing the instance's files"})
		return daemon.Remove(inst)
	})
	return true, err
}

// Kubeconfig returns the kubeconfig of the instance's control plane. It holds a credential.
func (s *Service) Kubeconfig() ([]byte, error) {
	inst := s.core.inst
	b, err := os.ReadFile(inst.KubeConfig())
	if errors.Is(err, os.ErrNotExist) {
		err = ErrNotRunning
	}
	return b, failed("read kubeconfig", inst.Name, err)
}
