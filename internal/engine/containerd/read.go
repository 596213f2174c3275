package containerd

import (
	"context"
	"errors"
	"io"
	"sync"

	containers "github.com/containerd/containerd/api/services/containers/v1"
	images "github.com/containerd/containerd/api/services/images/v1"
	namespaces "github.com/containerd/containerd/api/services/namespaces/v1"
	tasks "github.com/containerd/containerd/api/services/tasks/v1"
	tasktypes "github.com/containerd/containerd/api/types/task"

	"rancherdesktop.io/rdd/internal/api/containers/v1alpha1"
	"rancherdesktop.io/rdd/internal/engine/mirror"
)

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
	for name := range s.Mirror.Containers {
		if !there[name] {
			s.remove(name)
		}
	}
	s.Queue.Add(mirror.Key{Kind: mirror.Everything}, s.Resync)
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
		if was := s.Mirror.Containers[name]; p == nil && was != nil && was.Status.State != v1alpha1.ContainerCreated {
			s.Queue.Add(mirror.Key{Kind: mirror.Containers, ID: name}, 0) // the list leaves out tasks that don't answer
			continue
		}
		s.keep(namespace, c, p)
	}
}

// ReadDue reads what a batch names. Its error means that containerd does not answer any more.
func (s *session) ReadDue(ctx context.Context, b *mirror.Batch[struct{}]) error {
	s.count += s.Queue.Busy()
	if s.count > burst {
		s.Queue.Add(mirror.Key{Kind: mirror.Everything}, s.Burst)
	}
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
			s.Succeeded(r.key)
		}
	}
	return nil
}

// again reads k again later if err says that it could not be read. It returns the error if there is no connection any more.
func (s *session) again(ctx context.Context, k mirror.Key, err error) error {
	switch {
	case err == nil:
		s.Succeeded(k)
	case ctx.Err() != nil || !answered(err):
		return err
	default:
		s.Retry(ctx, k, err)
	}
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
	t := translator{&s.Mirror.Strings}
	o := t.container(namespace, c, p)
	o.Status.ImageID = t.Shared(s.targets[namespace+"/"+c.GetImage()])
	o.Status.StartedAt = s.starts.of(o.Name, p)
	s.Mirror.SetContainer(o)
	if c.GetImage() != "" && o.Status.ImageID == "" {
		s.Queue.Add(mirror.Key{Kind: mirror.Images}, s.List)
	}
}

// remove forgets a container.
func (s *session) remove(name string) {
	s.Mirror.RemoveContainer(name)
	s.starts.forget(name)
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
	t := translator{&s.Mirror.Strings}
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
	s.Mirror.SetImages(all)
	s.settleImages(targets)
	return nil
}

// settleImages gives containers the IDs of their images, which may have changed.
func (s *session) settleImages(targets map[string]string) {
	s.targets = targets
	for _, c := range s.Mirror.Containers {
		if id := targets[c.Status.Namespace+"/"+c.Status.Image]; id != "" && id != c.Status.ImageID {
			changed := c.DeepCopy()
			changed.ResourceVersion, changed.Status.ImageID = "", id
			s.Mirror.SetContainer(changed)
		}
	}
}
