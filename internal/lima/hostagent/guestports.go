package hostagent

import (
	"context"
	"errors"
	"maps"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/lima-vm/lima/pkg/guestagent/api"
	guestagent "github.com/lima-vm/lima/pkg/guestagent/api/client"
	"github.com/sirupsen/logrus"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"

	"rancherdesktop.io/rdd/internal/forward/ports"
)

// guestAgentSocket is where Lima's guest agent listens in the guest.
const guestAgentSocket = "/run/lima-guestagent.sock"

// followRetry is the time until the guest agent is asked again after it has failed.
const followRetry = 3 * time.Second

// followListeners calls set with what listens in the guest, whenever that has changed, until ctx ends. While the guest agent
// can't be asked, the last answer stays. The agent looks each 3 s, and sends what has changed: that is cheaper than any
// process that we could start in the guest.
func followListeners(ctx context.Context, dial func(context.Context) (net.Conn, error), retry time.Duration, set func([]ports.Listener)) {
	failing := false
	for ctx.Err() == nil {
		err := askListeners(ctx, dial, func(all []ports.Listener) {
			failing = false
			set(all)
		})
		if ctx.Err() == nil && !failing {
			failing = true
			logrus.WithError(err).Warn("the guest agent doesn't say what listens in the guest; asking again")
		}
		select {
		case <-ctx.Done():
		case <-time.After(retry):
		}
	}
}

// askListeners follows the guest agent's events until they end.
func askListeners(ctx context.Context, dial func(context.Context) (net.Conn, error), set func([]ports.Listener)) error {
	conn, err := grpc.NewClient("passthrough:///guest-agent", grpc.WithTransportCredentials(guestagent.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return dial(ctx) }))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	events, err := api.NewGuestServiceClient(conn).GetEvents(ctx, &emptypb.Empty{})
	if err != nil {
		return err
	}
	all := map[ports.Listener]bool{}
	for {
		e, err := events.Recv()
		if err != nil {
			return err
		}
		if len(e.Errors) > 0 { // what has changed since is unknown: the first event of another call has everything
			return errors.New(e.Errors[0])
		}
		for _, p := range e.LocalPortsRemoved {
			delete(all, listenerOf(p))
		}
		for _, p := range e.LocalPortsAdded {
			all[listenerOf(p)] = true
		}
		set(slices.Collect(maps.Keys(all)))
	}
}

func listenerOf(p *api.IPPort) ports.Listener {
	ip, _ := netip.ParseAddr(p.Ip)
	return ports.Listener{Protocol: p.Protocol, IP: ip.Unmap(), Port: int(p.Port)}
}
