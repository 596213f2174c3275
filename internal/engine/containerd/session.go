package containerd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	eventtypes "github.com/containerd/containerd/api/events"
	containers "github.com/containerd/containerd/api/services/containers/v1"
	events "github.com/containerd/containerd/api/services/events/v1"
	images "github.com/containerd/containerd/api/services/images/v1"
	namespaces "github.com/containerd/containerd/api/services/namespaces/v1"
	tasks "github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/containerd/api/types"
	tasktypes "github.com/containerd/containerd/api/types/task"
	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/emptypb"

	"rancherdesktop.io/rdd/internal/api/containers/v1alpha1"
	"rancherdesktop.io/rdd/internal/engine"
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
	*client
	mirror.Timing
	target context.Context //nolint:containedctx // ends with the engine that is followed
	engine *Engine
	dial   engine.Dial
	mirror *mirror.Mirror
	queue  mirror.Queue[struct{}]
	marked chan struct{} // closed when the stream has begun
	mark   sync.Once

	known    string                   // containerd's version
	count    int                      // events since containers were listed
	failures map[mirror.Key]int       // in a row
	targets  map[string]string        // digests of images, by namespace/name
	details  map[string]*imageDetails // of images, by digest
}

// session connects to containerd and mirrors it until the connection is lost or ctx ends.
func (e *Engine) session(ctx context.Context, dial engine.Dial, limit time.Duration) (connected bool, err error) {
	if dial == nil {
		return false, errors.New("there is no way to reach it yet")
	}
	target := ctx
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := &session{
		target: target, engine: e, Timing: e.Timing, dial: dial, mirror: e.Mirror, marked: make(chan struct{}),
		failures: map[mirror.Key]int{}, targets: map[string]string{}, details: map[string]*imageDetails{},
	}
	defer s.queue.Close()
	if s.client, err = newClient(dial); err != nil {
		return false, err
	}
	defer func() { _ = s.conn.Close() }()

	timeout := time.AfterFunc(limit, cancel)
	lost, err := s.start(ctx)
	if !timeout.Stop() {
		err = fmt.Errorf("it has not answered within %s", limit)
	}
	if err != nil {
		return false, plain(err)
	}
	e.Log.Info("connected to containerd", "version", s.known, "containers", len(s.mirror.Containers))
	e.Connected(s)
	s.report()
	for {
		b, ok := s.queue.Take(ctx)
		if !ok {
			break
		}
		if err := s.read(ctx, b); err != nil {
			return true, plain(err)
		}
	}
	cancel()
	return true, plain(<-lost)
}

// start opens the event stream, waits until it has begun, and then reads everything. The channel has the stream's end.
//
// containerd keeps no events, and doesn't say when it has begun to send them. An event of our own that comes back does.
func (s *session) start(ctx context.Context) (lost <-chan error, err error) {
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
		s.queue.Close()
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
	return ended, s.readAll(ctx)
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
		s.queue.Add(mirror.Key{Kind: mirror.Images}, s.List)
	case "namespaces":
		s.queue.Add(mirror.Key{Kind: mirror.Everything}, s.List)
	case "containers", "tasks":
		id := containerOf(e)
		if id == "" {
			s.queue.Add(mirror.Key{Kind: mirror.Everything}, s.List)
			return
		}
		key := mirror.Key{Kind: mirror.Containers, ID: objectName(e.GetNamespace(), id)}
		if e.GetTopic() == "/tasks/start" {
			s.engine.starts.note(key.ID, e)
		}
		s.queue.Add(key, 0)
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

// readAll reads all there is, and makes itself due again.
func (s *session) readAll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	s.count = 0
	list, err := s.listNamespaces(ctx)
	if err != nil {
		return err
	}
	if err := s.readImages(ctx, list); err != nil {
		return err
	}
	there := map[string]bool{}
	for _, namespace := range list {
		if err := s.listContainers(ctx, namespace, there); err != nil {
			return err
		}
	}
	for name := range s.mirror.Containers {
		if !there[name] {
			s.remove(name)
		}
	}
	s.queue.Add(mirror.Key{Kind: mirror.Everything}, s.Resync)
	return nil
}

func (s *session) listNamespaces(ctx context.Context) (names []string, err error) {
	list, err := s.namespaces.List(ctx, &namespaces.ListNamespacesRequest{})
	if err != nil {
		return nil, err
	}
	for _, n := range list.GetNamespaces() {
		names = append(names, n.GetName())
	}
	return names, nil
}

// listContainers reads all containers of a namespace, and adds the names of their objects to there.
func (s *session) listContainers(ctx context.Context, namespace string, there map[string]bool) error {
	ctx = in(ctx, namespace)
	running, err := s.tasks.List(ctx, &tasks.ListTasksRequest{})
	if err != nil {
		return err
	}
	processes := map[string]*tasktypes.Process{}
	for _, p := range running.GetTasks() {
		processes[p.GetID()] = p // containerd's lists have the ID here, and not in ContainerID
	}
	stream, err := s.containers.ListStream(ctx, &containers.ListContainersRequest{})
	if err != nil {
		return err
	}
	for {
		message, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		c := message.GetContainer()
		name, p := objectName(namespace, c.GetID()), processes[c.GetID()]
		there[name] = true
		if was := s.mirror.Containers[name]; p == nil && was != nil && was.Status.State != v1alpha1.ContainerCreated {
			s.queue.Add(mirror.Key{Kind: mirror.Containers, ID: name}, 0) // the list leaves out tasks that don't answer
			continue
		}
		s.keep(namespace, c, p)
	}
}

// read reads what a batch names, and shows it. Its error means that containerd does not answer any more.
func (s *session) read(ctx context.Context, b *mirror.Batch[struct{}]) error {
	defer func() {
		for _, told := range b.Keys {
			mirror.CloseAll(told)
		}
	}()
	s.count += s.queue.Busy()
	if s.count > burst {
		s.queue.Add(mirror.Key{Kind: mirror.Everything}, s.Burst)
	}
	err := s.readKeys(ctx, b)
	s.mirror.Settle()
	s.report()
	return err
}

func (s *session) readKeys(ctx context.Context, b *mirror.Batch[struct{}]) error {
	if everything := (mirror.Key{Kind: mirror.Everything}); b.Has(everything) {
		return s.again(ctx, everything, s.readAll(ctx))
	}
	if all := (mirror.Key{Kind: mirror.Images}); b.Has(all) {
		if err := s.again(ctx, all, s.readNamedImages(ctx)); err != nil {
			return err
		}
	}
	var mu sync.Mutex
	var read []reading
	var readers sync.WaitGroup
	free := make(chan struct{}, parallelReads)
	for k := range b.Keys {
		if k.Kind != mirror.Containers {
			continue
		}
		free <- struct{}{}
		readers.Go(func() {
			defer func() { <-free }()
			r := s.readContainer(ctx, k)
			mu.Lock()
			defer mu.Unlock()
			read = append(read, r)
		})
	}
	readers.Wait()
	for _, r := range read {
		switch {
		case r.err != nil:
			if err := s.again(ctx, r.key, r.err); err != nil {
				return err
			}
		case r.container == nil:
			s.remove(r.key.ID)
		default:
			s.keep(r.namespace, r.container, r.process)
		}
		if r.err == nil {
			delete(s.failures, r.key)
		}
	}
	return nil
}

// again reads k again later if err says that it could not be read. It returns the error if there is no connection any more.
func (s *session) again(ctx context.Context, k mirror.Key, err error) error {
	if err == nil {
		delete(s.failures, k)
		return nil
	}
	if ctx.Err() != nil || !answered(err) {
		return err
	}
	delay := min(s.FirstRetry<<min(s.failures[k], 10), s.MaxRetry)
	s.failures[k]++
	s.engine.Log.Warn("can't read from containerd; trying again", "what", k.Kind.String(), "id", k.ID, "in", delay, "err", err)
	s.queue.Add(k, delay)
	return nil
}

// reading is what containerd has said about a container; container is nil when there is none.
type reading struct {
	key       mirror.Key
	namespace string
	container *containers.Container
	process   *tasktypes.Process
	err       error
}

func (s *session) readContainer(ctx context.Context, k mirror.Key) reading {
	r := reading{key: k}
	var id string
	r.namespace, id = parseName(k.ID)
	ctx, cancel := context.WithTimeout(in(ctx, r.namespace), s.Read)
	defer cancel()
	answer, err := s.containers.Get(ctx, &containers.GetContainerRequest{ID: id})
	if isNotFound(err) {
		return r
	}
	if err != nil {
		r.err = err
		return r
	}
	task, err := s.tasks.Get(ctx, &tasks.GetRequest{ContainerID: id})
	if err != nil && !isNotFound(err) {
		r.err = err
		return r
	}
	r.container, r.process = answer.GetContainer(), task.GetProcess()
	return r
}

// keep shows a container.
func (s *session) keep(namespace string, c *containers.Container, p *tasktypes.Process) {
	t := translator{&s.mirror.Strings}
	o := t.container(namespace, c, p)
	o.Status.ImageID = t.Shared(s.targets[namespace+"/"+c.GetImage()])
	o.Status.StartedAt = s.engine.starts.of(o.Name, p)
	s.mirror.SetContainer(o)
	if c.GetImage() != "" && o.Status.ImageID == "" {
		s.queue.Add(mirror.Key{Kind: mirror.Images}, s.List)
	}
}

// remove forgets a container.
func (s *session) remove(name string) {
	s.mirror.RemoveContainer(name)
	s.engine.starts.forget(name)
}

func (s *session) readNamedImages(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	list, err := s.listNamespaces(ctx)
	if err != nil {
		return err
	}
	return s.readImages(ctx, list)
}

// readImages reads the images of all namespaces.
func (s *session) readImages(ctx context.Context, namespaces []string) error {
	t := translator{&s.mirror.Strings}
	var all []*v1alpha1.Image
	targets, used := map[string]string{}, map[string]*imageDetails{}
	for _, namespace := range namespaces {
		ctx := in(ctx, namespace)
		list, err := s.images.List(ctx, &images.ListImagesRequest{})
		if err != nil {
			return err
		}
		for _, i := range list.GetImages() {
			digest := i.GetTarget().GetDigest()
			targets[namespace+"/"+i.GetName()] = digest
			if used[digest] == nil {
				if used[digest] = s.details[digest]; used[digest] == nil {
					used[digest] = s.describe(ctx, i.GetTarget())
				}
			}
		}
		all = append(all, t.images(namespace, list.GetImages(), used)...)
	}
	s.details = map[string]*imageDetails{}
	for digest, d := range used {
		if d.complete { // else its parts may come yet
			s.details[digest] = d
		}
	}
	s.mirror.SetImages(all)
	s.settleImages(targets)
	return nil
}

// settleImages gives containers the IDs of their images, which may have changed.
func (s *session) settleImages(targets map[string]string) {
	s.targets = targets
	for _, c := range s.mirror.Containers {
		if id := targets[c.Status.Namespace+"/"+c.Status.Image]; id != "" && id != c.Status.ImageID {
			changed := c.DeepCopy()
			changed.ResourceVersion, changed.Status.ImageID = "", id
			s.mirror.SetContainer(changed)
		}
	}
}

// report tells the Engine's owner what it wants to know.
func (s *session) report() { s.engine.Report(s.known, "") }

// isNotFound reports whether containerd says that there is no such thing.
func isNotFound(err error) bool { return err != nil && errdefs.IsNotFound(errgrpc.ToNative(err)) }

// answered reports whether err is an answer of containerd, so that there is a connection to it.
func answered(err error) bool {
	native := errgrpc.ToNative(err)
	return !errdefs.IsUnavailable(native) && !errdefs.IsCanceled(native) && !errors.Is(err, io.EOF)
}

// plain makes an error one that can be part of a sentence.
func plain(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return errors.New("the connection has ended")
	}
	text := err.Error()
	if s, ok := status.FromError(err); ok {
		text = s.Message()
	}
	// What gRPC says around the cause is for programmers.
	text = strings.TrimPrefix(text, "connection error: desc = ")
	text = strings.Trim(strings.TrimPrefix(text, `"transport: Error while dialing: `), `"`)
	return errors.New(strings.TrimRight(text, ". \n"))
}
