package hostagent

import (
	"context"
	"net"
	"path/filepath"
	"strconv"
	"time"

	guestagent "github.com/lima-vm/lima/pkg/guestagent/api/client"
	"github.com/lima-vm/lima/pkg/limayaml"
	"github.com/lima-vm/lima/pkg/store/filenames"

	"rancherdesktop.io/rdd/internal/lima/ssh"
)

// pingFunc returns a function that checks whether the guest answers: it asks the guest agent, which is cheap, or else
// the SSH server, which exists without an agent.
func (h *hostagent) pingFunc(y *limayaml.LimaYAML) func(context.Context) error {
	if *y.Plain {
		return h.pingSSH
	}
	var client *guestagent.GuestAgentClient
	return func(ctx context.Context) error {
		if client == nil {
			var err error
			// Lima forwards the guest agent's socket.
			dial := func(ctx context.Context) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(h.vm.Dir(), filenames.GuestAgentSock))
			}
			if client, err = guestagent.NewGuestAgentClient(dial); err != nil {
				return err
			}
		}
		limited, cancel := context.WithTimeout(ctx, guestAgentTimeout)
		defer cancel()
		if _, err := client.Info(limited); err == nil {
			return nil
		}
		return h.pingSSH(ctx)
	}
}

// guestAgentTimeout bounds the wait for the guest agent, so that there is time left to ask the SSH server.
const guestAgentTimeout = 5 * time.Second

// pingSSH waits for the first byte from the guest's SSH server. QEMU accepts a connection
// whatever the guest does, so a connection alone proves nothing.
func (h *hostagent) pingSSH(ctx context.Context) error {
	return ssh.Ping(ctx, net.JoinHostPort("127.0.0.1", strconv.Itoa(int(h.sshPort.Load()))))
}
