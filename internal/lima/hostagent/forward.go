package hostagent

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"rancherdesktop.io/rdd/internal/forward"
	"rancherdesktop.io/rdd/internal/forward/relay"
	"rancherdesktop.io/rdd/internal/lima/ssh"
	"rancherdesktop.io/rdd/internal/machine/event"
	"rancherdesktop.io/rdd/internal/machine/layout"
)

// forward serves connections into the guest on the VM's forward socket. It logs in as soon as the guest lets sessions
// last. The connections stay while the guest shuts down, so that Docker's clients see how their containers end; the
// result ends them.
func (h *hostagent) forward(ctx context.Context) (stop func()) {
	serving, cancel := context.WithCancel(context.WithoutCancel(ctx))
	trouble := &forwardTrouble{h: h, stopping: ctx.Done()}
	client := relay.NewClient(relay.Options{
		User: *h.config.User.Name, KeyFile: layout.UserKey(h.vm.Home),
		Address: func() (string, error) { return ssh.Address(h.vm) },
		Problem: trouble.connection,
	})
	ports := h.newForwarder(client)
	server := &relay.Server{Path: h.vm.ForwardSocket(), Problem: trouble.socket, Verbs: map[string]relay.Handler{
		"dial": client.ServeDial, forward.VerbPublish: ports.ServePublisher,
	}}
	lasting := make(chan struct{})
	h.sessions = sync.OnceFunc(func() { close(lasting) })
	var all sync.WaitGroup
	all.Go(func() { server.Run(serving) })
	all.Go(func() {
		select {
		case <-serving.Done():
		case <-lasting:
			client.Run(serving)
		}
	})
	all.Go(func() {
		select {
		case <-serving.Done():
		case <-h.ready:
			h.sessions() // Lima's log may not have said so
			client.Booted()
			h.forwardPorts(serving, ports, client)
		}
	})
	return func() {
		cancel()
		all.Wait()
	}
}

// forwardTrouble reports why connections into the guest don't work.
type forwardTrouble struct {
	h        *hostagent
	stopping <-chan struct{} // closed when the guest is to shut down, which ends its SSH server

	mu              sync.Mutex
	noSocket, noSSH error
}

func (t *forwardTrouble) socket(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.noSocket = err
	t.report()
}

func (t *forwardTrouble) connection(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.noSSH = err
	t.report()
}

// report reports both. The caller holds mu.
func (t *forwardTrouble) report() {
	select {
	case <-t.stopping:
		return
	default:
	}
	trouble := &event.Trouble{Source: event.FromForward}
	if err := errors.Join(t.noSocket, t.noSSH); err != nil {
		trouble.Messages = []string{fmt.Sprintf("Docker and published ports of this VM can't be reached now; retrying. `rdd vm logs %s` tells more\n%v", t.h.vm.Name, err)}
	}
	t.h.report(event.Event{Trouble: trouble})
}
