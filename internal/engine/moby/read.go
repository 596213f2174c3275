package moby

import (
	"context"
	"encoding/json"
	"errors"
	"hash/maphash"
	"sync"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"rancherdesktop.io/rdd/internal/api/containers/v1alpha1"
	"rancherdesktop.io/rdd/internal/engine/mirror"
)

// readAll reads all there is, and makes itself due again.
func (s *session) readAll(ctx context.Context) error {
	changed, err := s.listContainers(ctx)
	if err != nil {
		return err
	}
	if s.Mirror.Filled() {
		for _, id := range changed {
			s.begin(ctx, id, nil)
		}
	} else {
		s.readNow(ctx, changed)
	}
	for _, k := range []mirror.Kind{mirror.Images, mirror.Volumes, mirror.Networks} {
		if err := s.list(ctx, k); err != nil && !answered(err) {
			return err
		} else if err != nil {
			s.Retry(ctx, mirror.Key{Kind: k}, err)
		}
	}
	s.Queue.Add(mirror.Key{Kind: mirror.Everything}, s.Resync)
	return nil
}

// ReadDue reads what a batch names, and takes over what was read before. Its error means that the engine does not answer any
// more.
func (s *session) ReadDue(ctx context.Context, b *mirror.Batch[reading]) error {
	s.events += s.Queue.Busy()
	if s.events > burst {
		s.Queue.Add(mirror.Key{Kind: mirror.Containers}, s.Burst)
	}
	for k, told := range b.Keys {
		if k.Kind == mirror.Containers && k.ID != "" {
			delete(b.Keys, k) // told when it is read
			s.begin(ctx, k.ID, told)
		}
	}
	for _, r := range b.Read {
		b.Keys[mirror.Key{Kind: mirror.Containers, ID: r.id}] = s.finish(ctx, r)
	}
	return s.readLists(ctx, b)
}

// readLists reads the lists that a batch names.
func (s *session) readLists(ctx context.Context, b *mirror.Batch[reading]) error {
	if b.Has(mirror.Key{Kind: mirror.Everything}) {
		return s.readAll(ctx)
	}
	if b.Has(mirror.Key{Kind: mirror.Containers}) {
		changed, err := s.listContainers(ctx)
		if err != nil {
			return err
		}
		for _, id := range changed {
			s.begin(ctx, id, nil)
		}
	}
	for _, k := range []mirror.Kind{mirror.Images, mirror.Volumes, mirror.Networks} {
		if !b.Has(mirror.Key{Kind: k}) {
			continue
		}
		if err := s.list(ctx, k); err != nil {
			s.Retry(ctx, mirror.Key{Kind: k}, err)
			continue
		}
		s.Succeeded(mirror.Key{Kind: k})
	}
	return nil
}

// listContainers lists all containers, forgets those that are gone, and returns those of which something has changed.
func (s *session) listContainers(ctx context.Context) (changed []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	s.events = 0
	list, err := s.reads.ContainerList(ctx, client.ContainerListOptions{All: true})
	if err != nil {
		return nil, err
	}
	there := map[string]bool{}
	for i := range list.Items {
		c := &list.Items[i]
		there[c.ID] = true
		// The line has the container's age in words, which changes with time: often at first, then seldom.
		if hash := s.hash(c); s.lines[c.ID] != hash {
			s.lines[c.ID] = hash
			changed = append(changed, c.ID)
		}
	}
	for id := range s.Mirror.Containers {
		if !there[id] {
			s.remove(id)
		}
	}
	for id, p := range s.reading {
		p.again = p.again || !there[id] // what is just being read may be older than the list
	}
	return changed, nil
}

// remove forgets a container.
func (s *session) remove(id string) {
	s.Mirror.RemoveContainer(id)
	delete(s.lines, id)
}

func (s *session) hash(c *container.Summary) uint64 {
	text, err := json.Marshal(c)
	if err != nil { // it came as JSON
		return 0
	}
	return maphash.Bytes(s.seed, text)
}

// readNow reads containers and returns when that is done.
func (s *session) readNow(ctx context.Context, ids []string) {
	results := make([]reading, len(ids))
	var all sync.WaitGroup
	for i, id := range ids {
		s.free <- struct{}{}
		all.Go(func() {
			defer func() { <-s.free }()
			results[i] = s.readContainer(ctx, id)
		})
	}
	all.Wait()
	for _, r := range results {
		s.keep(ctx, r)
	}
}

// begin reads a container in the background: the engine may let us wait for one that is just being started. told are
// closed when that is done.
func (s *session) begin(ctx context.Context, id string, told []chan struct{}) {
	if p := s.reading[id]; p != nil {
		p.again = true
		p.next = append(p.next, told...)
		return
	}
	s.reading[id] = &pending{told: told}
	go func() {
		s.free <- struct{}{}
		defer func() { <-s.free }()
		s.Queue.Deliver(s.readContainer(ctx, id))
	}()
}

// finish keeps what was read, and returns whom to tell.
func (s *session) finish(ctx context.Context, r reading) []chan struct{} {
	p := s.reading[r.id]
	delete(s.reading, r.id)
	s.keep(ctx, r)
	if p.again {
		s.begin(ctx, r.id, p.next)
	}
	return p.told
}

// keep takes over what was read.
func (s *session) keep(ctx context.Context, r reading) {
	k := mirror.Key{Kind: mirror.Containers, ID: r.id}
	switch {
	case errdefs.IsNotFound(r.err):
		s.remove(r.id)
		s.Succeeded(k)
	case r.err != nil:
		delete(s.lines, r.id)
		s.Retry(ctx, k, r.err)
	default:
		c := s.object(r, s.Mirror.Containers[r.id])
		s.Mirror.SetContainer(c)
		s.Succeeded(k)
		if !s.Mirror.KnowsImage(c.Status.ImageID) {
			s.Queue.Add(mirror.Key{Kind: mirror.Images}, s.List) // older engines tell nothing of a build without a tag
		}
	}
}

// reading is what the engine has said about a container: everything, or only its line in the list.
type reading struct {
	id   string
	all  *container.InspectResponse
	line *container.Summary
	err  error
}

func (s *session) object(r reading, was *v1alpha1.Container) *v1alpha1.Container {
	t := translator{&s.Mirror.Strings}
	if r.all != nil {
		return t.fromInspect(r.all)
	}
	return t.fromList(r.line, was)
}

// readContainer reads all about a container. If somebody holds its lock for long, its line in the list, for which the
// engine needs no lock, must do.
func (s *session) readContainer(ctx context.Context, id string) reading {
	inspectCtx, cancel := context.WithTimeout(ctx, s.Read)
	defer cancel()
	all, err := s.reads.ContainerInspect(inspectCtx, id, client.ContainerInspectOptions{})
	if err == nil {
		return reading{id: id, all: &all.Container}
	}
	if errdefs.IsNotFound(err) || ctx.Err() != nil {
		return reading{id: id, err: err}
	}
	list, listErr := s.reads.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: make(client.Filters).Add("id", id)})
	if listErr != nil {
		return reading{id: id, err: errors.Join(err, listErr)}
	}
	for i := range list.Items {
		if list.Items[i].ID == id {
			s.Queue.Add(mirror.Key{Kind: mirror.Containers, ID: id, Late: true}, s.MaxRetry)
			return reading{id: id, line: &list.Items[i]}
		}
	}
	return reading{id: id, err: errdefs.ErrNotFound}
}

// list reads all images, volumes or networks.
func (s *session) list(ctx context.Context, k mirror.Kind) error {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	m, t := s.Mirror, translator{&s.Mirror.Strings}
	switch k {
	case mirror.Images:
		list, err := s.reads.ImageList(ctx, client.ImageListOptions{})
		if err != nil {
			return err
		}
		var all []*v1alpha1.Image
		for i := range list.Items {
			all = append(all, t.fromImage(&list.Items[i])...)
		}
		m.SetImages(all)
	case mirror.Volumes:
		list, err := s.reads.VolumeList(ctx, client.VolumeListOptions{})
		if err != nil {
			return err
		}
		var all []*v1alpha1.Volume
		for i := range list.Items {
			all = append(all, t.fromVolume(&list.Items[i]))
		}
		m.SetVolumes(all)
	case mirror.Networks:
		list, err := s.reads.NetworkList(ctx, client.NetworkListOptions{})
		if err != nil {
			return err
		}
		var all []*v1alpha1.Network
		for i := range list.Items {
			all = append(all, t.fromNetwork(&list.Items[i].Network))
		}
		m.SetNetworks(all)
	case mirror.Everything, mirror.Containers: // others read these
	}
	return nil
}
