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
	"rancherdesktop.io/rdd/internal/instance"
	"rancherdesktop.io/rdd/internal/lifecycle"
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
	Step     string       `json:"step,omitempty"`    // while it starts or stops
	Error    string       `json:"error,omitempty"`   // when broken
	Problem  string       `json:"problem,omitempty"` // ID of the known problem that the error is, if the service says so
	Warning  string       `json:"warning,omitempty"` // what the run failed at without ending, such as a backup
	Log      string       `json:"log"`

	SearchPath string `json:"searchPath,omitempty"` // of the living process: its PATH
}

// Status looks at the service. It changes nothing.
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
		} else if ctx.Err() != nil { // that nobody waits for the answer says nothing of the service
			return st, Failed("get the status of service", inst.Name, context.Cause(ctx))
		} else if now, _, again := lifecycle.Find(inst); err != nil && again == nil && now != rec {
			return s.Status(ctx) // it has changed meanwhile
		} else if err != nil {
			st.State, st.Error = ServiceBroken, err.Error()
		}
	case lifecycle.Stopping:
		st.State = ServiceStopping
	case lifecycle.Failed, lifecycle.Stopped: // it has said its last word and is about to exit
		st.State = ServiceStopping
	default:
		st.State = ServiceStarting
	}
	return st, nil
}

// Create makes the instance with the given configuration, or changes that of one whose service
// is stopped. A damaged configuration is replaced only if the change says where the objects are kept;
// it is put aside, where aside says.
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

// Start brings the service to readiness, and creates the instance when it is missing. It says
// whether this call started it; false means that it ran already.
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

// client is what package lifecycle needs for an operation that starts the service.
func (s *Service) client(o *operation) lifecycle.Client {
	spawned := &spawn{service: s}
	return lifecycle.Client{
		Spawn:     spawned.run,
		Next:      spawned.next,
		Hello:     s.core.hello,
		Step:      func(step string) { o.report(Event{Phase: phaseStarting, Message: step}) },
		LastWords: spawned.lastWords,
	}
}

// spawn starts rddd as a session of its own. What it prints outside its log, such as a crash, goes to
// a file beside the log; its last words come through a pipe, for which a full disk has room too.
type spawn struct {
	service *Service
	words   bytes.Buffer // complete once the process has ended
}

func (s *spawn) command() (*exec.Cmd, error) {
	inst := s.service.core.inst
	program, err := inst.Program("rddd")
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program, append([]string{"serve", "--instance", inst.Name}, s.logLevel()...)...)
	cmd.Dir = inst.DataDir()
	return cmd, nil
}

// next is the command for a run that starts it for us.
func (s *spawn) next() (lifecycle.Next, error) {
	cmd, err := s.command()
	if err != nil {
		return lifecycle.Next{}, err
	}
	return lifecycle.Next{Program: cmd.Path, Args: cmd.Args[1:], Dir: cmd.Dir, Env: cmd.Environ()}, nil
}

func (s *spawn) run(claim *lifecycle.Claim) (<-chan error, error) {
	cmd, err := s.command()
	if err != nil {
		return nil, err
	}
	return s.service.spawn(cmd, claim, &s.words, os.O_TRUNC)
}

// spawn starts one of rddd's commands, which holds the claim and goes on without us. What an earlier one has printed is kept
// with O_APPEND, and goes with O_TRUNC.
func (s *Service) spawn(cmd *exec.Cmd, claim *lifecycle.Claim, words *bytes.Buffer, how int) (<-chan error, error) {
	output, err := os.OpenFile(s.core.inst.ServiceOutput(), os.O_CREATE|os.O_WRONLY|how, 0o600)
	if err != nil {
		return nil, err
	}
	defer output.Close()
	words.Reset()
	cmd.Stdout, cmd.Stderr = words, output
	s.core.running(cmd)
	if err := claim.Pass(cmd); err != nil {
		return nil, err
	}
	if err := proc.Spawn(cmd); err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }() // why it failed is in its record, its log or its last words
	return exited, nil
}

// logLevel is rddd's flag for the user's choice. Settings that can't be read must not keep a service from starting.
func (s *spawn) logLevel() []string {
	level := s.service.core.logLevel
	if level == "" {
		settings, _ := s.service.core.Settings()
		level = settings.LogLevel
	}
	if level == DefaultSettings().LogLevel {
		return nil
	}
	return []string{"--log-level", level}
}

func (s *spawn) lastWords() string { return strings.TrimSpace(s.words.String()) }

// Stop ends the service in order, with every VM it runs. Force ends the guests at once; what they have not
// written to their disks is lost. It says whether there was one to stop.
func (s *Service) Stop(ctx context.Context, force bool, w Wait) (was bool, err error) {
	err = w.run(ctx, "stop service", s.core.inst.Name, func(ctx context.Context, o *operation) (err error) {
		was, err = s.stop(ctx, force, o)
		return err
	})
	return was, err
}

// Force ends the guests at once in whatever stops the service now: a stop, a restart, a reset or a deletion.
// What they have not written to their disks is lost. It waits for nothing.
func (s *Service) Force() error {
	return Failed("force service to stop", s.core.inst.Name, lifecycle.Force(s.core.inst))
}

func (s *Service) stop(ctx context.Context, force bool, o *operation) (was bool, err error) {
	run, was, err := lifecycle.Request(ctx, s.core.inst, force)
	if err != nil || o.wait.Accepted {
		return was, err
	}
	return was, s.ended(ctx, run, was, force, nil, o)
}

// ended waits for the end of the run, if there was one, and stops what a crash of it left behind. Next
// follows a run that crashes, too; nil: nothing does.
func (s *Service) ended(ctx context.Context, run lifecycle.Record, was, force bool, next func() (lifecycle.Next, error), o *operation) error {
	step := func(step string) { o.report(Event{Phase: phaseStopping, Message: step}) }
	if was {
		if err := lifecycle.AwaitExit(ctx, s.core.inst, run.Nonce, step); err != nil {
			return err
		}
	}
	return s.reap(ctx, force, next, step)
}

// Restart stops the service, as Stop does, and starts it again, within one deadline. One that doesn't run is started.
// Once it has been asked for, it goes on though nobody waits for it.
func (s *Service) Restart(ctx context.Context, force bool, w Wait) error {
	const op = "restart service"
	inst := s.core.inst
	if err := inst.Create(); err != nil {
		return Failed(op, inst.Name, err)
	}
	return w.run(ctx, op, inst.Name, func(ctx context.Context, o *operation) error {
		client := s.client(o)
		run, was, err := lifecycle.Restart(ctx, inst, client, force)
		if err != nil || was && o.wait.Accepted {
			return err
		}
		if err := s.ended(ctx, run, was, force, client.Next, o); err != nil {
			return err
		}
		_, err = s.start(ctx, o)
		return err
	})
}

// reap stops the hostagents that outlived a crashed service, and has next follow, unless it is nil. It goes on though nobody
// waits for it. A run that stopped in order left none.
func (s *Service) reap(ctx context.Context, force bool, next func() (lifecycle.Next, error), step func(string)) error {
	inst := s.core.inst
	if last, err := lifecycle.Last(inst); err == nil && last.Phase == lifecycle.Stopped {
		return nil
	}
	if _, err := os.Stat(inst.LimaHome()); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	var words bytes.Buffer
	exited, err := s.spawnReap(force, next, &words)
	for errors.Is(err, lifecycle.ErrRunning) { // somebody has come between
		step("waiting for another stop of the virtual machines that a crashed service left behind")
		if _, live, err := lifecycle.AwaitKnown(ctx, inst, force); live || err != nil {
			return err // a new run has adopted what the old one left
		}
		exited, err = s.spawnReap(force, next, &words)
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
	if said := strings.TrimSpace(words.String()); err != nil && said != "" {
		err = errors.New(said)
	}
	if err != nil {
		return fmt.Errorf("stop virtual machines left by a crashed service: %w", err)
	}
	return nil
}

// spawnReap returns ErrRunning when somebody else has the instance's lock.
func (s *Service) spawnReap(force bool, next func() (lifecycle.Next, error), words *bytes.Buffer) (<-chan error, error) {
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
	if next != nil {
		follows, err := next()
		if err == nil {
			err = claim.RequestNext(inst, follows)
		}
		if err != nil {
			return nil, err
		}
	}
	cmd := exec.Command(program, "reap", "--instance", inst.Name)
	if force {
		cmd.Args = append(cmd.Args, "--force")
	}
	return s.spawn(cmd, claim, words, os.O_APPEND)
}

// Delete stops the service and removes everything the instance owns. It removes files only while
// it holds the instance's lock. It says whether there was anything to delete.
func (s *Service) Delete(ctx context.Context, w Wait) (was bool, err error) {
	if !s.core.inst.Exists() {
		return false, nil
	}
	return true, s.remove(ctx, "delete service", w, func(inst instance.Instance) error {
		if _, err := s.core.Login().Uninstall(); err != nil { // else the next login creates the instance again
			return err
		}
		return lifecycle.Remove(inst)
	})
}

// Reset stops the service and removes its VMs and all that its datastore holds, in the way of Delete.
// Settings, credentials, backups and the service's log stay. Afterwards the service is stopped.
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
	return true, s.remove(ctx, op, w, lifecycle.Reset)
}

// remove stops the service and then removes files of the instance.
func (s *Service) remove(ctx context.Context, op string, w Wait, files func(instance.Instance) error) error {
	w.Accepted = false // files can go only after the process has
	return w.run(ctx, op, s.core.inst.Name, func(ctx context.Context, o *operation) error {
		if _, err := s.stop(ctx, false, o); err != nil {
			return err
		}
		o.report(Event{Phase: phaseDeleting, Message: "removing the instance's files"})
		return files(s.core.inst)
	})
}

// Kubeconfig returns the kubeconfig of the instance's control plane. It holds a credential.
func (s *Service) Kubeconfig() ([]byte, error) {
	inst := s.core.inst
	b, err := os.ReadFile(inst.KubeConfig())
	if errors.Is(err, os.ErrNotExist) {
		err = ErrNotRunning
	}
	return b, Failed("read kubeconfig", inst.Name, err)
}

// ServiceConfig is what a user chooses for a service now; what is nil stays as it was.
type ServiceConfig = lifecycle.ConfigChange

// Controllers names every controller that a service can run.
func Controllers() []string { return api.Controllers() }
