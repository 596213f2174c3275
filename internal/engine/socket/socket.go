// Package socket serves a container engine's socket on this host for as long as the service lives. While the engine runs, each
// connection is passed on to the guest as it is; while it starts, clients wait; while it is stopped or can't start, they get an
// error that says why and what to do: of HTTP for docker, of gRPC for clients of containerd. internal/server runs it.
package socket

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"rancherdesktop.io/rdd/internal/engine"
)

// Server serves the socket at Path. The Link says where to.
type Server struct {
	Path   string
	Engine string // the engine whose socket it is: engine.Moby or engine.Containerd
	Link   *engine.Link
	Log    *slog.Logger
	// Command returns a command of rdd for this instance, as a user types it; nil: for the default instance.
	Command func(command string) string
	// Failed says with which last words the guest has given up starting the engine; empty while it may still come up. It may be nil.
	Failed func() string
	// Changed is called when what Problem returns has changed. It may be nil.
	Changed func()

	mu      sync.Mutex
	problem string
	refusal string        // see Refuse
	refused chan struct{} // closed by Refuse; see refusing
}

// retryListen is the time between two attempts to listen, and between two looks at a socket that can't be watched.
const retryListen = 2 * time.Second

// Run serves the socket until ctx ends, and then ends all connections. It doesn't end when something else uses the path: it says
// so, and tries again.
func (s *Server) Run(ctx context.Context) error {
	var connections sync.WaitGroup
	defer connections.Wait()
	for {
		l, err := listen(ctx, s.Path)
		if err == nil {
			s.report("")
			err = s.accept(ctx, l, &connections)
		}
		if ctx.Err() != nil {
			return nil
		}
		if err == nil {
			continue // the path is no longer ours
		}
		s.report(fmt.Sprintf("%s: %v. RDD tries again every %s.", s.kind().listen, err, retryListen))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(retryListen):
		}
	}
}

// Refuse refuses all requests from now on, also those that wait, with the reason. Connections to the engine go on.
func (s *Server) Refuse(reason string) {
	refused, _ := s.refusing()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refusal == "" {
		s.refusal = reason
		close(refused)
	}
}

// refusing returns a channel that is closed by Refuse, and then why.
func (s *Server) refusing() (chan struct{}, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refused == nil {
		s.refused = make(chan struct{})
	}
	return s.refused, s.refusal
}

// Problem is a sentence that says why no client can connect to the socket. It is empty while they can.
func (s *Server) Problem() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.problem
}

func (s *Server) report(problem string) {
	s.mu.Lock()
	before := s.problem
	s.problem = problem
	s.mu.Unlock()
	switch problem {
	case before:
		return
	case "":
		s.Log.Info("the engine's socket is served again", "socket", s.Path)
	default:
		s.Log.Warn("the engine's socket is not served", "problem", problem)
	}
	if s.Changed != nil {
		s.Changed()
	}
}

// accept serves connections until ctx ends, or until something has removed or replaced the socket, which is no error.
func (s *Server) accept(ctx context.Context, l *listener, connections *sync.WaitGroup) error {
	watching, stop := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		if err := l.watch(watching); err != nil {
			s.Log.Warn("watch the engine's socket", "err", err)
		}
		_ = l.Close()
	}()
	defer func() {
		stop()
		<-watched
	}()
	for {
		conn, err := l.Accept()
		switch {
		case errors.Is(err, net.ErrClosed), err != nil && watching.Err() != nil:
			return nil
		case err != nil: // there are too many open files, for example
			s.Log.Warn("accept a connection to the engine's socket", "err", err)
			select {
			case <-watched:
			case <-time.After(time.Second):
			}
			continue
		}
		connections.Go(func() { s.serve(ctx, newClient(conn)) })
	}
}

// Timing of a request.
const (
	waitBound = 2 * time.Minute        // for docker's engine
	grpcBound = 8 * time.Second        // for containerd, whose clients give up after 10 s
	retryDial = 250 * time.Millisecond // between two attempts to reach it
)

// kind is what differs between the engines.
type kind struct {
	engine string
	socket string        // in the guest
	bound  time.Duration // for a request to wait
	wrong  string        // the answer while another engine is chosen; the command follows
	listen string        // the problem when the socket can't be served
}

func (s *Server) kind() kind {
	if s.Engine == engine.Containerd {
		return kind{
			engine.Containerd, engine.ContainerdSocket, grpcBound,
			"The container engine of RDD is moby, and this is the socket of containerd. Use docker, or switch with: ", "clients of containerd can't reach it",
		}
	}
	return kind{
		engine.Moby, "/run/docker.sock", waitBound,
		"The container engine of RDD is containerd, which docker can't use. Use rdd nerdctl, or switch with: ", "docker can't reach the container engine",
	}
}

// serve connects a client with the engine, or tells it why that doesn't work.
func (s *Server) serve(ctx context.Context, c *client) {
	defer c.Close()
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	guest, refusal := s.connect(ctx, c)
	rest := c.resume()
	switch {
	case guest != nil:
		defer context.AfterFunc(ctx, func() { _ = guest.Close() })()
		splice(c, rest, guest)
	case refusal != "" && s.Engine == engine.Containerd:
		ctx, cancel := s.unchanged(ctx)
		defer cancel()
		answerGRPC(ctx, c, rest, refusal)
	case refusal != "":
		answer(c, rest, refusal)
	}
}

// unchanged returns a context that ends when the target changes.
func (s *Server) unchanged(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	_, changed := s.Link.Get()
	go func() {
		defer cancel()
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// errLate means that the request has waited for as long as it may.
var errLate = errors.New("no answer in time")

// connect returns a connection to the engine. If there can't be one in time it returns why; if the client has gone, neither. No
// byte of the client is passed on before, so whatever fails here can be tried again.
func (s *Server) connect(ctx context.Context, c *client) (guest net.Conn, refusal string) {
	kind := s.kind()
	ctx, cancel := context.WithTimeoutCause(ctx, kind.bound, errLate)
	defer cancel()
	for {
		target, changed := s.Link.Get()
		refused, refusal := s.refusing()
		var err error
		var again <-chan time.Time
		switch {
		case refusal != "":
			return nil, refusal
		case target.Engine != "" && target.Engine != kind.engine:
			return nil, kind.wrong + s.command("set containerEngine.name="+kind.engine)
		case target.Phase == engine.Stopped:
			return nil, cmp.Or(target.Reason, "The container engine of RDD is stopped. Start it with: "+s.command("start"))
		case target.Phase == engine.Running:
			if guest, err = dial(ctx, target.Dial, kind.socket, changed, refused); err == nil {
				if c.waited() && hungUp(c.Conn, false) {
					_ = guest.Close()
					return nil, ""
				}
				return guest, ""
			}
			s.Log.Debug("the engine can't be reached yet", "err", err)
			if s.Failed != nil {
				if failed := s.Failed(); failed != "" {
					return nil, fmt.Sprintf("RDD's container engine can't start. %s What to do says: %s", failed, s.command("status"))
				}
			}
			again = time.After(retryDial)
		}
		select {
		case <-changed:
		case <-refused:
		case <-again:
		case <-c.gone():
			return nil, ""
		case <-ctx.Done():
			if !errors.Is(context.Cause(ctx), errLate) { // the service ends
				return nil, ""
			}
			return nil, s.tooLate(target, err)
		}
	}
}

// dial connects to the engine. It gives up when the target has changed, and when all requests are refused.
func dial(ctx context.Context, to engine.Dial, socket string, changed, refused <-chan struct{}) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-changed:
			cancel()
		case <-refused:
			cancel()
		case <-ctx.Done():
		}
	}()
	return to(ctx, "unix", socket)
}

// tooLate says that a request has waited in vain. err is why the engine can't be reached; nil: its VM still starts.
func (s *Server) tooLate(target engine.Target, err error) string {
	if err == nil {
		reason := cmp.Or(target.Reason, "The container engine of RDD is still starting.")
		return fmt.Sprintf("%s This request has waited for %s. See how far it is with: %s", reason, s.kind().bound, s.command("status"))
	}
	return fmt.Sprintf("The container engine of RDD has not answered for %s: %v. See what is wrong with: %s", s.kind().bound, err, s.command("status"))
}

func (s *Server) command(command string) string {
	if s.Command == nil {
		return "rdd " + command
	}
	return s.Command(command)
}
