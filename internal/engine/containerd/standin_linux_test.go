package containerd

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	eventtypes "github.com/containerd/containerd/api/events"
	containers "github.com/containerd/containerd/api/services/containers/v1"
	events "github.com/containerd/containerd/api/services/events/v1"
	images "github.com/containerd/containerd/api/services/images/v1"
	namespaces "github.com/containerd/containerd/api/services/namespaces/v1"
	tasks "github.com/containerd/containerd/api/services/tasks/v1"
	version "github.com/containerd/containerd/api/services/version/v1"
	"github.com/containerd/containerd/api/types"
	tasktypes "github.com/containerd/containerd/api/types/task"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/emptypb"

	"rancherdesktop.io/rdd/internal/api/containers/v1alpha1"
	"rancherdesktop.io/rdd/internal/testenv"
	"rancherdesktop.io/rdd/internal/view"
)

// standIn answers as containerd does, with one namespace, and makes mistakes that a real one makes only now and then.
type standIn struct {
	socket string

	mu          sync.Mutex
	containers  map[string]tasktypes.Status // UNKNOWN: without a task
	images      []*images.Image
	stuck       map[string]bool // the tasks of these don't answer
	deaf        int             // so many marks are published before the subscription begins
	refuse      int             // so many lists of images are refused
	lists, gets int             // of containers
	listedDeaf  bool            // a list came before the subscription
	streams     []chan *types.Envelope
}

func newStandIn(t *testing.T) *standIn {
	t.Helper()
	dir, err := os.MkdirTemp("", "ctrd") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s := &standIn{socket: filepath.Join(dir, "s"), containers: map[string]tasktypes.Status{}, stuck: map[string]bool{}}
	listener, err := net.Listen("unix", s.socket)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	version.RegisterVersionServer(server, versionService{})
	namespaces.RegisterNamespacesServer(server, namespaceService{})
	containers.RegisterContainersServer(server, containerService{s: s})
	tasks.RegisterTasksServer(server, taskService{s: s})
	images.RegisterImagesServer(server, imageService{s: s})
	events.RegisterEventsServer(server, eventService{s: s})
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return s
}

type versionService struct {
	version.UnimplementedVersionServer
}

func (versionService) Version(context.Context, *emptypb.Empty) (*version.VersionResponse, error) {
	return &version.VersionResponse{Version: "1.7.24~ds1"}, nil
}

type namespaceService struct {
	namespaces.UnimplementedNamespacesServer
}

func (namespaceService) List(context.Context, *namespaces.ListNamespacesRequest) (*namespaces.ListNamespacesResponse, error) {
	return &namespaces.ListNamespacesResponse{Namespaces: []*namespaces.Namespace{{Name: "default"}}}, nil
}

type containerService struct {
	containers.UnimplementedContainersServer
	s *standIn
}

func (c containerService) Get(_ context.Context, r *containers.GetContainerRequest) (*containers.GetContainerResponse, error) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.s.gets++
	if _, ok := c.s.containers[r.GetID()]; !ok {
		return nil, status.Error(codes.NotFound, "no such container")
	}
	return &containers.GetContainerResponse{Container: &containers.Container{ID: r.GetID(), Image: "img"}}, nil
}

func (c containerService) ListStream(_ *containers.ListContainersRequest, stream containers.Containers_ListStreamServer) error {
	c.s.mu.Lock()
	c.s.lists++
	c.s.listedDeaf = c.s.listedDeaf || c.s.deaf > 0
	var all []string
	for id := range c.s.containers {
		all = append(all, id)
	}
	c.s.mu.Unlock()
	for _, id := range all {
		if err := stream.Send(&containers.ListContainerMessage{Container: &containers.Container{ID: id, Image: "img"}}); err != nil {
			return err
		}
	}
	return nil
}

type taskService struct {
	tasks.UnimplementedTasksServer
	s *standIn
}

func (t taskService) Get(ctx context.Context, r *tasks.GetRequest) (*tasks.GetResponse, error) {
	t.s.mu.Lock()
	state, stuck := t.s.containers[r.GetContainerID()], t.s.stuck[r.GetContainerID()]
	t.s.mu.Unlock()
	if stuck {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if state == tasktypes.Status_UNKNOWN {
		return nil, status.Error(codes.NotFound, "no such task")
	}
	return &tasks.GetResponse{Process: &tasktypes.Process{ID: r.GetContainerID(), Status: state}}, nil
}

func (t taskService) List(context.Context, *tasks.ListTasksRequest) (*tasks.ListTasksResponse, error) {
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	out := &tasks.ListTasksResponse{}
	for id, state := range t.s.containers {
		if state != tasktypes.Status_UNKNOWN && !t.s.stuck[id] {
			out.Tasks = append(out.Tasks, &tasktypes.Process{ID: id, Status: state})
		}
	}
	return out, nil
}

type imageService struct {
	images.UnimplementedImagesServer
	s *standIn
}

func (i imageService) List(context.Context, *images.ListImagesRequest) (*images.ListImagesResponse, error) {
	i.s.mu.Lock()
	defer i.s.mu.Unlock()
	if i.s.refuse > 0 {
		i.s.refuse--
		return nil, status.Error(codes.Unknown, "the store is damaged")
	}
	return &images.ListImagesResponse{Images: slices.Clone(i.s.images)}, nil
}

type eventService struct {
	events.UnimplementedEventsServer
	s *standIn
}

func (e eventService) Publish(_ context.Context, r *events.PublishRequest) (*emptypb.Empty, error) {
	e.s.mu.Lock()
	defer e.s.mu.Unlock()
	if e.s.deaf > 0 {
		e.s.deaf--
	} else {
		e.s.send(&types.Envelope{Topic: r.GetTopic(), Namespace: "rdd", Event: r.GetEvent()})
	}
	return &emptypb.Empty{}, nil
}

func (e eventService) Subscribe(_ *events.SubscribeRequest, stream events.Events_SubscribeServer) error {
	c := make(chan *types.Envelope, 10_000)
	e.s.mu.Lock()
	e.s.streams = append(e.s.streams, c)
	e.s.mu.Unlock()
	for {
		select {
		case envelope, ok := <-c:
			if !ok {
				return errors.New("the subscription has ended")
			}
			if err := stream.Send(envelope); err != nil {
				return err
			}
		case <-stream.Context().Done():
			return nil
		}
	}
}

// send needs the lock.
func (s *standIn) send(e *types.Envelope) {
	for _, c := range s.streams {
		c <- e
	}
}

// set changes a container; without a topic, nobody is told.
func (s *standIn) set(id string, state tasktypes.Status, topic string, event proto.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.containers[id] = state
	s.tell(topic, event)
}

func (s *standIn) tell(topic string, event proto.Message) {
	if topic == "" {
		return
	}
	value, _ := proto.Marshal(event)
	s.send(&types.Envelope{Topic: topic, Namespace: "default", Event: &anypb.Any{Value: value}})
}

func (s *standIn) remove(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.containers, id)
	s.tell("/containers/delete", &eventtypes.ContainerDelete{ID: id})
}

const (
	running = tasktypes.Status_RUNNING
	exited  = tasktypes.Status_STOPPED
	created = tasktypes.Status_UNKNOWN
)

func TestAnEventThatIsLostHealsByTheResync(t *testing.T) {
	s := newStandIn(t)
	s.set("one", running, "", nil)
	s.set("two", running, "", nil)
	e, _ := connectedEngine(t, s.socket, func(e *Engine) { e.Resync = 10 * time.Millisecond })
	eventually(t, e, "default one running", "default two running")
	s.set("one", exited, "", nil)
	s.set("three", created, "", nil)
	s.mu.Lock()
	delete(s.containers, "two")
	s.mu.Unlock()
	eventually(t, e, "default one exited 0", "default three created")
}

func TestAnEventIsEnough(t *testing.T) {
	s := newStandIn(t)
	e, _ := connectedEngine(t, s.socket, patient)
	s.set("one", created, "/containers/create", &eventtypes.ContainerCreate{ID: "one"})
	eventually(t, e, "default one created")
	s.set("one", running, "/tasks/start", &eventtypes.TaskStart{ContainerID: "one"})
	eventually(t, e, "default one running")
	s.set("one", exited, "/tasks/exit", &eventtypes.TaskExit{ContainerID: "one", ID: "one"})
	eventually(t, e, "default one exited 0")
	s.remove("one")
	eventually(t, e)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lists != 1 {
		t.Errorf("containers were listed %d times", s.lists)
	}
}

// containerd does not say when it begins to send events, so what happens before the first one of ours comes back is in the list.
func TestNothingIsListedBeforeTheSubscriptionHasBegun(t *testing.T) {
	s := newStandIn(t)
	s.deaf = 3
	s.set("one", running, "", nil)
	e, _ := connectedEngine(t, s.socket, patient)
	eventually(t, e, "default one running")
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listedDeaf || s.deaf != 0 || s.lists != 1 {
		t.Errorf("listed before: %t, %d marks were not published, %d lists", s.listedDeaf, s.deaf, s.lists)
	}
}

func TestASubscriptionThatEndsIsMadeAgain(t *testing.T) {
	s := newStandIn(t)
	s.set("one", running, "", nil)
	e, _ := connectedEngine(t, s.socket, patient)
	eventually(t, e, "default one running")
	s.mu.Lock()
	s.containers["one"] = exited
	close(s.streams[0])
	s.streams = nil
	s.mu.Unlock()
	eventually(t, e, "default one exited 0")
}

func TestManyEventsAreFollowedByAList(t *testing.T) {
	s := newStandIn(t)
	e, _ := connectedEngine(t, s.socket, patient)
	s.set("lost", running, "", nil)
	for range 2 * burst {
		s.set("loud", running, "/tasks/oom", &eventtypes.TaskOOM{ContainerID: "loud"})
	}
	eventually(t, e, "default lost running", "default loud running")
}

func TestATaskThatDoesNotAnswerKeepsItsLastState(t *testing.T) {
	s := newStandIn(t)
	s.set("stuck", running, "", nil)
	e, _ := connectedEngine(t, s.socket, func(e *Engine) {
		e.Resync, e.Read, e.FirstRetry, e.MaxRetry = 50*time.Millisecond, 10*time.Millisecond, 10*time.Millisecond, 10*time.Millisecond
	})
	eventually(t, e, "default stuck running")
	s.mu.Lock()
	s.stuck["stuck"] = true
	lists, gets := s.lists, s.gets
	s.mu.Unlock()
	s.set("other", running, "/tasks/start", &eventtypes.TaskStart{ContainerID: "other"})
	eventually(t, e, "default other running", "default stuck running")
	testenv.Eventually(t, "it was listed and read meanwhile", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.lists > lists+2 && s.gets > gets+2
	})
	if got := lines(e); !slices.Equal(got, []string{"default other running", "default stuck running"}) {
		t.Errorf("the view shows %q", got)
	}
	s.mu.Lock()
	s.stuck["stuck"], s.containers["stuck"] = false, exited
	s.mu.Unlock()
	eventually(t, e, "default other running", "default stuck exited 0")
}

func TestImagesAreJoinedByTheirDigestAndReadAgain(t *testing.T) {
	s := newStandIn(t)
	target := func(digest string) *types.Descriptor { return &types.Descriptor{Digest: digest, Size: 5} }
	s.images = []*images.Image{
		{Name: "docker.io/library/a:1", Target: target("sha256:1")}, {Name: "docker.io/library/b:1", Target: target("sha256:1")},
		{Name: "docker.io/library/a@sha256:1", Target: target("sha256:1")}, {Name: "sha256:77", Target: target("sha256:1")},
		{Name: "docker.io/library/c@sha256:2", Target: target("sha256:2")},
	}
	e, _ := connectedEngine(t, s.socket, func(e *Engine) { e.Resync, e.FirstRetry = time.Hour, time.Millisecond })
	tags := func() (out []string) {
		list, _ := e.resources.Images.Store.List(view.Selector{})
		for _, o := range list {
			i := o.(*v1alpha1.Image).Status
			out = append(out, i.ID+" "+i.RepoTag+" "+strings.Join(i.RepoDigests, " "))
		}
		slices.Sort(out)
		return out
	}
	want := []string{
		"sha256:1 docker.io/library/a:1 docker.io/library/a@sha256:1", "sha256:1 docker.io/library/b:1 docker.io/library/a@sha256:1",
		"sha256:2  docker.io/library/c@sha256:2",
	}
	if got := tags(); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	s.mu.Lock()
	s.refuse, s.images = 2, s.images[4:]
	s.tell("/images/delete", &eventtypes.ImageDelete{Name: "docker.io/library/a:1"})
	s.mu.Unlock()
	testenv.Eventually(t, "only one image is left", func() bool { return slices.Equal(tags(), want[2:]) })
}
