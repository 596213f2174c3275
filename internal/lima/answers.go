package lima

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strconv"
	"time"

	guestagent "github.com/lima-vm/lima/pkg/guestagent/api/client"
	"github.com/lima-vm/lima/pkg/limayaml"
	"github.com/lima-vm/lima/pkg/store/filenames"
)

// answers returns what asks the guest whether it answers: its agent, which is cheap, or else its SSH
// server, which is there without an agent.
func (a *agent) answers(y *limayaml.LimaYAML) func(context.Context) error {
	if *y.Plain {
		return a.answersSSH
	}
	var client *guestagent.GuestAgentClient
	return func(ctx context.Context) error {
		if client == nil {
			var err error
			if client, err = guestagent.NewGuestAgentClient(a.dialAgent); err != nil {
				return err
			}
		}
		limited, cancel := context.WithTimeout(ctx, agentLimit)
		defer cancel()
		if _, err := client.Info(limited); err == nil {
			return nil
		}
		return a.answersSSH(ctx)
	}
}

// agentLimit bounds the wait for the agent, so that there is time left to ask the SSH server.
const agentLimit = 5 * time.Second

// dialAgent connects to the guest's agent through the socket that Lima forwards.
func (a *agent) dialAgent(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "unix", filepath.Join(a.vm.Dir(), filenames.GuestAgentSock))
}

var errNoAnswer = errors.New("its SSH server says nothing")

// answersSSH waits for the first byte from the guest's SSH server. That QEMU accepts a connection
// says nothing about the guest.
func (a *agent) answersSSH(ctx context.Context) error {
	return greeted(ctx, net.JoinHostPort("127.0.0.1", strconv.Itoa(int(a.sshPort.Load()))))
}
