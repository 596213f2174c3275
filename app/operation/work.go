package operation

import (
	"context"
	"path/filepath"
	"sync/atomic"
	"time"

	"rancherdesktop.io/rdd/core"
)

// What a forced stop loses.
const (
	guestLoses  = "The guest is powered off immediately. Data it has not written to disk is lost."
	guestsLoses = "All guests are powered off immediately. Data they have not written to disk is lost."
)

// OnService is work on the service.
func (e *Engine) OnService(verb Verb, run func(context.Context, *core.Service, core.Wait) error) Work {
	c := e.options.Core
	settings, _ := c.Settings() // usable with an error, too
	return Work{
		Verb: verb, Object: c.Instance().Name, Timeout: time.Duration(settings.ServiceTimeout) * time.Second,
		Log: Log{Source: "service"}, LogPath: c.Instance().ServiceLog(),
		Run: func(ctx context.Context, w core.Wait) error { return run(ctx, c.Service(), w) },
	}
}

// StoppingService is work that stops the service, in which its guests can be ended by force.
func (e *Engine) StoppingService(verb Verb, run func(context.Context, *core.Service, core.Wait) error) Work {
	w := e.OnService(verb, run)
	w.Loses = guestsLoses
	w.Force = func(context.Context) error { return e.options.Core.Service().Force() }
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
	return e.StoppingService(StopService, func(ctx context.Context, s *core.Service, w core.Wait) error {
		_, err := s.Stop(ctx, false, w)
		return err
	})
}

// OnVM is work on a VM of a running service. log is the log that is shown with it, such as core.LogSerial.
func (e *Engine) OnVM(verb Verb, name, log string, run func(context.Context, *core.VMs, core.Wait) error) Work {
	c := e.options.Core
	settings, _ := c.Settings() // usable with an error, too
	return Work{
		Verb: verb, Object: name, Timeout: time.Duration(settings.VMTimeout) * time.Second,
		Log: Log{Source: log, VM: name}, LogPath: filepath.Join(c.Instance().VMLogDir(), name, "hostagent.log"),
		Run: func(ctx context.Context, w core.Wait) error {
			vms, err := e.vms(ctx)
			if err != nil {
				return err
			}
			return run(ctx, vms, w)
		},
	}
}

func (e *Engine) vms(ctx context.Context) (*core.VMs, error) {
	session, err := e.options.Core.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return session.VMs(), nil
}

// StoppingVM is work that stops a VM's guest, which can be forced.
func (e *Engine) StoppingVM(verb Verb, name, log string, run func(context.Context, *core.VMs, core.Wait) error) Work {
	w := e.OnVM(verb, name, log, run)
	w.Loses = guestLoses
	w.Force = func(ctx context.Context) error {
		vms, err := e.vms(ctx)
		if err != nil {
			return err
		}
		return vms.Force(ctx, name)
	}
	return w
}

// BootingVM is work that boots a VM's guest. To force it begins another operation, which stops the VM.
func (e *Engine) BootingVM(verb Verb, name, log string, run func(context.Context, *core.VMs, core.Wait) error) Work {
	w := e.OnVM(verb, name, log, run)
	w.Loses = guestLoses
	w.Force = func(context.Context) error {
		_, err := e.Begin(e.ForceStopVM(name))
		return err
	}
	return w
}

// StartVM starts a VM.
func (e *Engine) StartVM(name string) Work {
	return e.BootingVM(Start, name, core.LogSerial, func(ctx context.Context, vms *core.VMs, w core.Wait) error {
		return vms.Start(ctx, name, w)
	})
}

// StopVM stops a VM in order.
func (e *Engine) StopVM(name string) Work {
	return e.StoppingVM(Stop, name, core.LogHostagent, func(ctx context.Context, vms *core.VMs, w core.Wait) error {
		return vms.Stop(ctx, name, false, w)
	})
}

// ForceStopVM ends a VM's guest at once.
func (e *Engine) ForceStopVM(name string) Work {
	return e.OnVM(ForceStop, name, core.LogHostagent, func(ctx context.Context, vms *core.VMs, w core.Wait) error {
		return vms.Stop(ctx, name, true, w)
	})
}

// RestartVM stops a VM and starts it.
func (e *Engine) RestartVM(name string) Work {
	return e.StoppingVM(Restart, name, core.LogSerial, func(ctx context.Context, vms *core.VMs, w core.Wait) error {
		return vms.Restart(ctx, name, false, w)
	})
}

// CreateVM creates a VM. It starts the service first, if needed.
func (e *Engine) CreateVM(name string, o core.CreateOptions) Work {
	w := e.OnVM(Create, name, core.LogHostagent, nil)
	if o.Start {
		w = e.BootingVM(Create, name, core.LogHostagent, nil)
	}
	var created atomic.Pointer[core.VM]
	o.Created, w.Created = created.Store, created.Load
	w.Run = func(ctx context.Context, wait core.Wait) error {
		began := time.Now()
		session, err := e.options.Core.Ensure(ctx, wait)
		if err != nil {
			return err
		}
		return session.VMs().Create(ctx, name, o, wait.Spent(time.Since(began)))
	}
	return w
}

// undoCreation deletes the VM that a canceled creation has made, or else stops it. It begins when the creation has
// ended: only then is it known whether there is a VM.
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

// deleteNew deletes a VM that has just been made. Its guest has nothing to lose, so nobody waits for it to power off.
func (e *Engine) deleteNew(name string) Work {
	return e.StoppingVM(Delete, name, core.LogHostagent, func(ctx context.Context, vms *core.VMs, w core.Wait) error {
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
