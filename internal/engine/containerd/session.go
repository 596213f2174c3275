package containerd

import (
	"context"
	"strings"
	"sync"
	"time"

	eventtypes "github.com/containerd/containerd/api/events"
	events "github.com/containerd/containerd/api/services/events/v1"
	"github.com/containerd/containerd/api/types"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/emptypb"

	"rancherdesktop.io/rdd/internal/engine/mirror"
)

const (
	// burst is how many events make a list of everything due.
	burst = 200
	// parallelReads is how many containers are read at once.
	parallelReads = 16
	// markInterval is the time between two events of our own that say that the stream has begun.
	markInterval = 50 * time.Millisecond
	// markTopic is those events' topic, and markNamespace their namespace, which doesn't exist.
	markTopic, markNamespace = "/rdd/follow", "rdd"
)

// session is one connection to containerd: its event stream, and what is read because of it. Its methods that read are called
// by one goroutine.
type session struct {
	*mirror.Session[struct{}]
	*client
	starts *starts
	marked chan struct{} // closed when the stream has begun
	mark   sync.Once

	known   string                   // containerd's version
	count   int                      // events since containers were listed
	targets map[string]string        // digests of images, by namespace/name
	details map[string]*imageDetails // of images, by digest
}

// open makes a connection.
func (e *Engine) open(common *mirror.Session[struct{}]) (*session, error) {
	c, err := newClient(common.Dial)
	return &session{
		Session: common, client: c, starts: &e.starts, marked: make(chan struct{}), targets: map[string]string{}, details: map[string]*imageDetails{},
	}, err
}

// Close ends the connection.
func (s *session) Close() { _ = s.conn.Close() }

// Versions returns containerd's version. Its API has none.
func (s *session) Versions() (version, apiVersion string) { return s.known, "" }

// Start opens the event stream, waits until it has begun, and then reads everything. The channel has the stream's end.
//
// containerd keeps no events, and doesn't say when it has begun to send them. An event of our own that comes back does.
func (s *session) Start(ctx context.Context) (lost <-chan error, err error) {
	answer, err := s.version.Version(ctx, &emptypb.Empty{})
	if err != nil {
		return nil, err
	}
	s.known = strings.TrimPrefix(answer.GetVersion(), "v")
	if number, _, ok := strings.Cut(s.known, "~"); ok { // of the distribution
		s.known = number
	}
	stream, err := s.events.Subscribe(ctx, &events.SubscribeRequest{Filters: []string{`topic~=^/(containers|images|namespaces|tasks|rdd)/`}})
	if err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() {
		ended <- s.follow(stream)
		s.Queue.Close()
	}()
	for begun := false; !begun; {
		if _, err := s.events.Publish(in(ctx, markNamespace), &events.PublishRequest{Topic: markTopic, Event: &anypb.Any{TypeUrl: "rdd"}}); err != nil {
			return nil, err
		}
		select {
		case <-s.marked:
			begun = true
		case <-time.After(markInterval):
		case err := <-ended:
			return nil, err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if err := s.readAll(ctx); err != nil {
		return nil, err
	}
	s.Log.Info("connected to containerd", "version", s.known, "containers", len(s.Mirror.Containers))
	return ended, nil
}

// follow reads the event stream to its end. It does nothing else.
func (s *session) follow(stream events.Events_SubscribeClient) error {
	for {
		e, err := stream.Recv()
		if err != nil {
			return err
		}
		s.note(e)
	}
}

// note queues what an event says has changed. What it says of it is not used, but for the time of a start.
func (s *session) note(e *types.Envelope) {
	switch part := strings.SplitN(strings.TrimPrefix(e.GetTopic(), "/"), "/", 2); part[0] {
	case "rdd":
		s.mark.Do(func() { close(s.marked) })
	case "images":
		s.Queue.Add(mirror.Key{Kind: mirror.Images}, s.List)
	case "namespaces":
		s.Queue.Add(mirror.Key{Kind: mirror.Everything}, s.List)
	case "containers", "tasks":
		id := containerOf(e)
		if id == "" {
			s.Queue.Add(mirror.Key{Kind: mirror.Everything}, s.List)
			return
		}
		key := mirror.Key{Kind: mirror.Containers, ID: objectName(e.GetNamespace(), id)}
		if e.GetTopic() == "/tasks/start" {
			s.starts.note(key.ID, e)
		}
		s.Queue.Add(key, 0)
	}
}

// containerOf returns the ID of the container of an event; empty when it is none of a container, or of an unknown type.
func containerOf(e *types.Envelope) string {
	of := func(m interface {
		proto.Message
		GetContainerID() string
	}) string {
		if proto.Unmarshal(e.GetEvent().GetValue(), m) != nil {
			return ""
		}
		return m.GetContainerID()
	}
	switch topic := e.GetTopic(); {
	case strings.HasPrefix(topic, "/containers/"): // all of them have the ID first
		var c eventtypes.ContainerDelete
		if proto.Unmarshal(e.GetEvent().GetValue(), &c) != nil {
			return ""
		}
		return c.GetID()
	case topic == "/tasks/exit": // the others have the ID first
		return of(&eventtypes.TaskExit{})
	default:
		return of(&eventtypes.TaskOOM{})
	}
}
