package core

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"rancherdesktop.io/rdd/internal/api"
	"rancherdesktop.io/rdd/internal/diag"
	"rancherdesktop.io/rdd/internal/dockerconfig"
	"rancherdesktop.io/rdd/internal/instance"
	"rancherdesktop.io/rdd/internal/lifecycle"
	"rancherdesktop.io/rdd/internal/proc"
)

// Service is the background service of an instance.
type Service struct{ core *Core }

// ServiceState is the state of a service.
type ServiceState string

// The states of a service.
const (
	ServiceNotCreated ServiceState = "not-created"
	ServiceStopped    ServiceState = "stopped"
	ServiceStarting   ServiceState = "starting"
	ServiceRunning    ServiceState = "running" // ready: its server has responded
	ServiceStopping   ServiceState = "stopping"
	ServiceBroken     ServiceState = "broken" // it runs but doesn't respond, or its last start failed
)

// ServiceStatus is the status of the service.
type ServiceStatus struct {
	Instance string       `json:"instance"`
	State    ServiceState `json:"state"`
	Version  string       `json:"version,omitempty"`
	PID      int          `json:"pid,omitempty"`
	Server   string       `json:"server,omitempty"`
	Step     string       `json:"step,omitempty"`    // while it starts or stops
	Error    string       `json:"error,omitempty"`   // when broken
	Problem  string       `json:"problem,omitempty"` // ID of the known problem, if the service has identified it
	Warning  string       `json:"warning,omitempty"` // a failure that the run survived, such as that of a backup
	Log      string       `json:"log"`

	SearchPath string `json:"searchPath,omitempty"` // PATH of the running process
}

// Status returns the status of the service. It changes nothing.
func (s *Service) Status(ctx context.Context) (ServiceStatus, error) {
	inst := s.core.inst
	st := ServiceStatus{Instance: inst.Name, State: ServiceNotCreated, Log: inst.ServiceLog()}
	if !inst.Exists() {
		return st, nil
	}
	rec, live, err := lifecycle.Find(inst)
	if err != nil {
		return st, Failed("get the status of service", inst.Name, err)
	}
	if !live {
		st.State = ServiceStopped
		rec, err := lifecycle.Last(inst)
		st.Warning = rec.Warning
		switch {
		case err != nil:
			st.State, st.Error = ServiceBroken, err.Error()
		case rec.Phase == lifecycle.Failed:
			st.State, st.Error, st.Problem = ServiceBroken, rec.Error, rec.Problem
		case rec.Phase != lifecycle.Stopped && rec.Phase != "":
			st.Error, st.Problem = "the last run ended unexpectedly", string(diag.ServiceCrashed)
		}
		return st, nil
	}
	st.Version, st.PID, st.Server, st.Step = rec.Version, rec.PID, rec.Server, rec.Step
	st.Error, st.Warning, st.SearchPath = rec.Error, rec.Warning, rec.SearchPath
	switch rec.Phase {
	case lifecycle.Ready:
		st.State = ServiceRunning
		if err := s.core.hello(ctx, rec); KindOf(err) == Incompatible {
			return st, err
		} else if ctx.Err() != nil { // a canceled request says nothing about the service
			return st, Failed("get the status of service", inst.Name, context.Cause(ctx))
		} else if now, _, again := lifecycle.Find(inst); err != nil && again == nil && now != rec {
			return s.Status(ctx) // it has changed in the meantime
		} else if err != nil {
			st.State, st.Error = ServiceBroken, err.Error()
		}
	case lifecycle.Stopping, lifecycle.Failed, lifecycle.Stopped: // the process is about to exit
		st.State = ServiceStopping
	default:
		st.State = ServiceStarting
	}
	return st, nil
}

// Create creates the instance with a configuration, or changes the configuration of a stopped service. It replaces a damaged
// configuration only if the change has the location of the datastore. It then keeps the damaged file at the path aside.
func (s *Service) Create(change ServiceConfig) (aside string, err error) {
	const op = "create service"
	inst := s.core.inst
	if err := change.Apply(lifecycle.Config{}).Validate(); err != nil {
		return "", &Error{Kind: Usage, Op: op, Object: inst.Name, Err: err}
	}
	if err := inst.Create(); err != nil {
		return "", Failed(op, inst.Name, err)
	}
	aside, err = lifecycle.Configure(inst, change)
	return aside, Failed(op, inst.Name, err)
}

// Start starts the service and waits until it is ready. It creates the instance if it is missing. started is false if the
// service ran already.
func (s *Service) Start(ctx context.Context, w Wait) (started bool, err error) {
	const op = "start service"
	inst := s.core.inst
	if err := inst.Create(); err != nil {
		return false, Failed(op, inst.Name, err)
	}
	err = w.run(ctx, op, inst.Name, func(ctx context.Context, o *operation) (err error) {
		started, err = s.start(ctx, o)
		return err
	})
	return started, err
}

func (s *Service) start(ctx context.Context, o *operation) (started bool, err error) {
	if o.wait.Accepted {
		return lifecycle.Begin(ctx, s.core.inst, s.client(o))
	}
	return lifecycle.Ensure(ctx, s.core.inst, s.client(o))
}

// client returns the functions that package lifecycle needs to start the service.
func (s *Service) client(o *operation) lifecycle.Client {
	var lastWords bytes.Buffer // complete when the process has ended
	return lifecycle.Client{
		Spawn: func(claim *lifecycle.Claim) (<-chan error, error) {
			cmd, err := s.serveCommand()
			if err != nil {
				return nil, err
			}
			return s.spawn(cmd, claim, &lastWords, os.O_TRUNC)
		},
		Next:      s.next,
		Hello:     s.core.hello,
		Step:      func(step string) { o.report(Event{Phase: phaseStarting, Message: step}) },
		LastWords: func() string { return strings.TrimSpace(lastWords.String()) },
	}
}

// serveCommand returns the command that runs the service.
func (s *Service) serveCommand() (*exec.Cmd, error) {
	program, err := s.core.inst.Program("rddd")
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program, "serve", "--instance", s.core.inst.Name)
	level := s.core.logLevel
	if level == "" {
		settings, _ := s.core.Settings() // damaged settings must not keep the service from starting
		level = settings.LogLevel
	}
	if level != DefaultSettings().LogLevel {
		cmd.Args = append(cmd.Args, "--log-level", level)
	}
	cmd.Dir = s.core.inst.DataDir()
	return cmd, nil
}

// next returns the command with which the current run starts the next one after it has ended.
func (s *Service) next() (lifecycle.Next, error) {
	cmd, err := s.serveCommand()
	if err != nil {
		return lifecycle.Next{}, err
	}
	return lifecycle.Next{Program: cmd.Path, Args: cmd.Args[1:], Dir: cmd.Dir, Env: cmd.Environ()}, nil
}

// spawn starts a command of rddd in a session of its own. The command takes over the claim. Its output outside of the log,
// such as a crash, goes to a file beside the log: O_APPEND keeps the output of earlier commands there, and O_TRUNC deletes
// it. Its last words come through a pipe, which works even when the disk is full.
func (s *Service) spawn(cmd *exec.Cmd, claim *lifecycle.Claim, lastWords *bytes.Buffer, flag int) (<-chan error, error) {
	output, err := os.OpenFile(s.core.inst.ServiceOutput(), os.O_CREATE|os.O_WRONLY|flag, 0o600)
	if err != nil {
		return nil, err
	}
	defer output.Close()
	lastWords.Reset()
	cmd.Stdout, cmd.Stderr = lastWords, output
	s.core.running(cmd)
	if err := claim.Pass(cmd); err != nil {
		return nil, err
	}
	if err := proc.Spawn(cmd); err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }() // the record, the log or the last words have the reason of a failure
	return exited, nil
}

// Stop shuts down the service and its VMs. With force, it powers off the VMs: the guests lose data that they have not written
// to their disks. was reports whether the service ran.
func (s *Service) Stop(ctx context.Context, force bool, w Wait) (was bool, err error) {
	err = w.run(ctx, "stop service", s.core.inst.Name, func(ctx context.Context, o *operation) (err error) {
		was, err = s.stop(ctx, force, o)
		return err
	})
	return was, err
}

// Force powers off the VMs of a service that is being stopped, restarted, reset or deleted. The guests lose data that they
// have not written to their disks. Force doesn't wait.
func (s *Service) Force() error {
	return Failed("force service to stop", s.core.inst.Name, lifecycle.Force(s.core.inst))
}

func (s *Service) stop(ctx context.Context, force bool, o *operation) (was bool, err error) {
	run, was, err := lifecycle.Request(ctx, s.core.inst, force)
	if err != nil || o.wait.Accepted {
		return was, err
	}
	return was, s.ended(ctx, run, was, force, false, o)
}

// ended waits for the end of the run, if there was one, and stops the VMs that a crash has left behind. With restart, the
// service starts again even after a crash.
func (s *Service) ended(ctx context.Context, run lifecycle.Record, was, force, restart bool, o *operation) error {
	step := func(step string) { o.report(Event{Phase: phaseStopping, Message: step}) }
	if was {
		if err := lifecycle.AwaitExit(ctx, s.core.inst, run.Nonce, step); err != nil {
			return err
		}
	}
	return s.reap(ctx, force, restart, step)
}

// Restart stops the service, as Stop does, and starts it again, within one deadline. It starts a service that doesn't run.
// Once the service has accepted the request, the restart continues even if the caller stops waiting.
func (s *Service) Restart(ctx context.Context, force bool, w Wait) error {
	const op = "restart service"
	inst := s.core.inst
	if err := inst.Create(); err != nil {
		return Failed(op, inst.Name, err)
	}
	return w.run(ctx, op, inst.Name, func(ctx context.Context, o *operation) error {
		run, was, err := lifecycle.Restart(ctx, inst, s.client(o), force)
		if err != nil || was && o.wait.Accepted {
			return err
		}
		if err := s.ended(ctx, run, was, force, true, o); err != nil {
			return err
		}
		_, err = s.start(ctx, o)
		return err
	})
}

// reap stops the hostagents that a crashed service has left behind, and then starts the service with restart. It continues
// even if the caller stops waiting. After a clean shutdown there is nothing to do, unless the run ended before it had adopted
// the hostagents that an earlier one left.
func (s *Service) reap(ctx context.Context, force, restart bool, step func(string)) error {
	inst := s.core.inst
	if last, err := lifecycle.Last(inst); err == nil && last.Phase == lifecycle.Stopped && len(s.core.LiveVMs()) == 0 {
		return nil
	}
	if _, err := os.Stat(inst.LimaHome()); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	var lastWords bytes.Buffer
	exited, err := s.spawnReap(force, restart, &lastWords)
	for errors.Is(err, lifecycle.ErrRunning) { // another process has the lock
		step("waiting for another stop of the virtual machines that a crashed service left behind")
		if _, live, err := lifecycle.AwaitKnown(ctx, inst, force); live || err != nil {
			return err // a new run has adopted them
		}
		exited, err = s.spawnReap(force, restart, &lastWords)
	}
	if err != nil {
		return err
	}
	step("looking for virtual machines that a crashed service left behind")
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case err = <-exited:
	}
	if message := strings.TrimSpace(lastWords.String()); err != nil && message != "" {
		err = errors.New(message)
	}
	if err != nil {
		return fmt.Errorf("stop virtual machines left by a crashed service: %w", err)
	}
	return nil
}

// spawnReap returns ErrRunning when another process has the instance's lock.
func (s *Service) spawnReap(force, restart bool, lastWords *bytes.Buffer) (<-chan error, error) {
	inst := s.core.inst
	program, err := inst.Program("rddd")
	if err != nil {
		return nil, err
	}
	claim, err := lifecycle.Take(inst, lifecycle.Leftovers)
	if err != nil {
		return nil, err
	}
	defer func() { _ = claim.Release() }()
	if restart {
		next, err := s.next()
		if err == nil {
			err = claim.RequestNext(inst, next)
		}
		if err != nil {
			return nil, err
		}
	}
	cmd := exec.Command(program, "reap", "--instance", inst.Name)
	if force {
		cmd.Args = append(cmd.Args, "--force")
	}
	return s.spawn(cmd, claim, lastWords, os.O_APPEND)
}

// Delete stops the service and deletes all files of the instance. It holds the instance's lock while it deletes them. was
// reports whether the instance existed. Settings are also deleted without an instance.
func (s *Service) Delete(ctx context.Context, w Wait) (was bool, err error) {
	was = s.core.inst.Exists()
	if _, err := os.Stat(s.core.inst.DataDir()); !was && errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return was, s.remove(ctx, "delete service", w, func(inst instance.Instance) error {
		if _, err := s.core.Login().Uninstall(); err != nil { // otherwise, the next login would create the instance again
			return err
		}
		if err := leaveDocker(ctx, inst); err != nil {
			return err
		}
		return lifecycle.Remove(inst)
	})
}

// leaveDocker removes the App's docker context, as the deletion of the App does. With the instance, the App goes too.
func leaveDocker(ctx context.Context, inst instance.Instance) error {
	if err := dockerconfig.Of(inst).Remove(ctx); err != nil {
		return fmt.Errorf("remove the docker context: %w", err)
	}
	return nil
}

// Reset stops the service and deletes its VMs and the content of its datastore, in the same way as Delete. Settings,
// credentials, backups and the service's log stay. Afterwards the service is stopped.
func (s *Service) Reset(ctx context.Context, w Wait) (was bool, err error) {
	const op = "reset service"
	inst := s.core.inst
	if !inst.Exists() {
		return false, nil
	}
	config, err := lifecycle.LoadConfig(inst)
	if err == nil && config.DatastoreEndpoint != "" {
		err = errors.New("its objects are in an external datastore, which other hosts may share: delete its VMs with rdd vm delete, and the rest with the tools of that database")
	}
	if err != nil {
		return true, Failed(op, inst.Name, err)
	}
	return true, s.remove(ctx, op, w, func(inst instance.Instance) error {
		if err := leaveDocker(ctx, inst); err != nil {
			return err
		}
		return lifecycle.Reset(inst)
	})
}

// remove stops the service and then deletes files of the instance.
func (s *Service) remove(ctx context.Context, op string, w Wait, files func(instance.Instance) error) error {
	w.Accepted = false // the files can be deleted only after the process has ended
	return w.run(ctx, op, s.core.inst.Name, func(ctx context.Context, o *operation) error {
		if _, err := s.stop(ctx, false, o); err != nil {
			return err
		}
		o.report(Event{Phase: phaseDeleting, Message: "deleting the instance's files"})
		return files(s.core.inst)
	})
}

// Kubeconfig returns the kubeconfig of the instance's control plane. It contains a credential.
func (s *Service) Kubeconfig() ([]byte, error) {
	inst := s.core.inst
	b, err := os.ReadFile(inst.KubeConfig())
	if errors.Is(err, os.ErrNotExist) { // the first start writes it
		if _, unready := s.core.ready(); unready != nil {
			err = unready
		}
	}
	return b, Failed("read kubeconfig", inst.Name, err)
}

// ServiceConfig is a change of the service's configuration. Fields that are nil stay the same.
type ServiceConfig = lifecycle.ConfigChange

// Controllers names the controllers that a service can run.
func Controllers() []string { return api.Controllers() }
