package operation

import (
	"context"
	"sync/atomic"
	"time"

	"rancherdesktop.io/rdd/core"
)

// OnService returns work on the service.
func (e *Engine) OnService(verb Verb, run func(context.Context, *core.Service, core.Wait) error) Work {
	c := e.options.Core
	settings, _ := c.Settings() // usable even with an error
	w := Work{
		Verb: verb, Object: c.Instance().Name, Timeout: time.Duration(settings.ServiceTimeout) * time.Second, Log: Log{Source: "service"},
		Run: func(ctx context.Context, w core.Wait) error { return run(ctx, c.Service(), w) },
	}
	if verbs[verb].stops {
		w.Loses = "All guests are powered off immediately. Data they have not written to disk is lost."
		w.Force = func(context.Context) error { return c.Service().Force() }
	}
	return w
}

// StartService starts the service.
func (e *Engine) StartService() Work {
	return e.OnService(StartService, func(ctx context.Context, s *core.Service, w core.Wait) error {
		_, err := s.Start(ctx, w)
		return err
	})
}

// StopService stops the service.
func (e *Engine) StopService() Work {
	return e.OnService(StopService, func(ctx context.Context, s *core.Service, w core.Wait) error {
		_, err := s.Stop(ctx, false, w)
		return err
	})
}

// machine is what differs between work on the App and on a VM.
type machine struct {
	object, vm string
	connect    func(context.Context) (*core.Session, error)
	force      func(context.Context, *core.Session) error // powers it off
	forceStop  func() Work
	loses      string
}

// onMachine returns work for OnApp and OnVM.
func (e *Engine) onMachine(verb Verb, m machine, run func(context.Context, *core.Session, core.Wait) error) Work {
	settings, _ := e.options.Core.Settings() // usable even with an error
	w := Work{
		Verb: verb, Object: m.object, Timeout: time.Duration(settings.VMTimeout) * time.Second, Log: Log{Source: verbs[verb].log, VM: m.vm},
		Run: func(ctx context.Context, w core.Wait) error {
			session, err := m.connect(ctx)
			if err != nil {
				return err
			}
			return run(ctx, session, w)
		},
	}
	switch {
	case verbs[verb].stops:
		w.Loses, w.Force = m.loses, func(ctx context.Context) error {
			session, err := m.connect(ctx)
			if err != nil {
				return err
			}
			return m.force(ctx, session)
		}
	case verbs[verb].boots:
		w.Loses, w.Force = m.loses, func(context.Context) error {
			_, err := e.Begin(m.forceStop())
			return err
		}
	}
	return w
}

// ensuring makes work start the service first, if it is not running.
func (e *Engine) ensuring(w Work, run func(context.Context, *core.Session, core.Wait) error) Work {
	w.Run = func(ctx context.Context, wait core.Wait) error {
		wait = wait.FromNow()
		session, err := e.options.Core.Ensure(ctx, wait)
		if err != nil {
			return err
		}
		return run(ctx, session, wait)
	}
	return w
}

// OnVM returns work on a VM of the running service. Forcing it powers off the guest: work that stops the guest goes on, and
// work that boots it is replaced by another operation.
func (e *Engine) OnVM(verb Verb, name string, run func(context.Context, *core.VMs, core.Wait) error) Work {
	return e.onMachine(verb, machine{
		object: name, vm: name, connect: e.options.Core.Connect,
		force:     func(ctx context.Context, s *core.Session) error { return s.VMs().Force(ctx, name) },
		forceStop: func() Work { return e.ForceStopVM(name) },
		loses:     "The guest is powered off immediately. Data it has not written to disk is lost.",
	}, func(ctx context.Context, s *core.Session, w core.Wait) error { return run(ctx, s.VMs(), w) })
}

// StartVM starts a VM.
func (e *Engine) StartVM(name string) Work {
	return e.OnVM(Start, name, func(ctx context.Context, vms *core.VMs, w core.Wait) error {
		return vms.Start(ctx, name, w)
	})
}

// StopVM shuts down a VM.
func (e *Engine) StopVM(name string) Work {
	return e.OnVM(Stop, name, func(ctx context.Context, vms *core.VMs, w core.Wait) error {
		return vms.Stop(ctx, name, false, w)
	})
}

// ForceStopVM powers off a VM.
func (e *Engine) ForceStopVM(name string) Work {
	return e.OnVM(ForceStop, name, func(ctx context.Context, vms *core.VMs, w core.Wait) error {
		return vms.Stop(ctx, name, true, w)
	})
}

// RestartVM shuts down a VM and starts it again.
func (e *Engine) RestartVM(name string) Work {
	return e.OnVM(Restart, name, func(ctx context.Context, vms *core.VMs, w core.Wait) error {
		return vms.Restart(ctx, name, false, w)
	})
}

// CreateVM creates a VM. It starts the service first if it is not running.
func (e *Engine) CreateVM(name string, o core.CreateOptions) Work {
	w := e.OnVM(Create, name, nil)
	if !o.Start {
		w.Loses, w.Force = "", nil
	}
	var created atomic.Pointer[core.VM]
	o.Created, w.Created = created.Store, created.Load
	return e.ensuring(w, func(ctx context.Context, s *core.Session, wait core.Wait) error {
		return s.VMs().Create(ctx, name, o, wait)
	})
}

// undoCreation stops the VM that a canceled creation has made or, if remove is set, deletes it. It waits for the end of
// the creation first, because only then it is known whether there is a VM.
func (e *Engine) undoCreation(name string, p *pending, remove bool) Work {
	w := e.StopVM(name)
	if remove {
		w = e.deleteNew(name)
	}
	undo := w.Run
	w.Run = func(ctx context.Context, wait core.Wait) error {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-p.ended:
		}
		vm := p.created()
		if vm == nil || !remove && !vm.Spec.Running {
			return nil
		}
		return undo(ctx, wait)
	}
	return w
}

// deleteNew deletes a VM that was just created. It powers off the guest, which has no data to lose yet.
func (e *Engine) deleteNew(name string) Work {
	return e.OnVM(Delete, name, func(ctx context.Context, vms *core.VMs, w core.Wait) error {
		err := vms.Force(ctx, name)
		if err == nil {
			err = vms.Delete(ctx, name, w)
		}
		if core.KindOf(err) == core.NotFound {
			return nil
		}
		return err
	})
}
