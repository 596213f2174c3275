package hostagent

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/lima-vm/lima/pkg/guestagent/api"
	"github.com/lima-vm/lima/pkg/guestagent/api/server"

	"rancherdesktop.io/rdd/internal/forward/ports"
	"rancherdesktop.io/rdd/internal/testenv"
)

// agent is a guest agent that sends the next of its lists of events to each caller.
type agent struct {
	mu    sync.Mutex
	calls [][]*api.Event
}

func (a *agent) Events(ctx context.Context, ch chan *api.Event) {
	defer close(ch)
	a.mu.Lock()
	var events []*api.Event
	if len(a.calls) > 0 {
		events, a.calls = a.calls[0], a.calls[1:]
	}
	a.mu.Unlock()
	for _, e := range events {
		ch <- e
	}
	<-ctx.Done()
}

func (a *agent) LocalPorts(context.Context) ([]*api.IPPort, error) { return nil, nil }
func (a *agent) Info(context.Context) (*api.Info, error)           { return &api.Info{}, nil }
func (a *agent) HandleInotify(*api.Inotify)                        {}

// After an error the agent leaves out what has ended meanwhile.
func TestListenersAreRightAgainAfterAnErrorOfTheGuestAgent(t *testing.T) {
	port := func(n int32) *api.IPPort { return &api.IPPort{Protocol: "tcp", Ip: "0.0.0.0", Port: n} }
	fake := &agent{calls: [][]*api.Event{
		{{LocalPortsAdded: []*api.IPPort{port(80), port(81)}}, {LocalPortsRemoved: []*api.IPPort{port(81)}, LocalPortsAdded: []*api.IPPort{port(82)}}, {Errors: []string{"too many open files"}}},
		{{LocalPortsAdded: []*api.IPPort{port(82)}}},
	}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() { _ = server.StartServer(l, &server.GuestServer{Agent: fake}) }()
	ctx, cancel := context.WithCancel(t.Context())
	var mu sync.Mutex
	var lists [][]ports.Listener
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		followListeners(ctx, func(ctx context.Context) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", l.Addr().String())
		}, time.Millisecond, func(all []ports.Listener) {
			mu.Lock()
			defer mu.Unlock()
			lists = append(lists, all)
		})
	}()
	testenv.Eventually(t, "three lists", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(lists) == 3
	})
	cancel()
	<-ended
	if len(lists[0]) != 2 || len(lists[1]) != 2 || len(lists[2]) != 1 || lists[2][0].Port != 82 {
		t.Errorf("%v", lists)
	}
}
