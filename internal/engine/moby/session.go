package moby

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/client"

	"rancherdesktop.io/rdd/internal/api/containers/v1alpha1"
	"rancherdesktop.io/rdd/internal/engine"
)

const (
	// burst is how many events make a list of all containers due.
	burst = 200
	// manyReads is from how many containers on a list is read first, which tells which of them are still there.
	manyReads = 64
	// parallelReads is how many containers are read at once.
	parallelReads = 8
)

// session is one connection to the engine: its event stream, and what is read because of it.
type session struct {
	ctx     context.Context // ends with the session
	log     logger
	engine  *Engine
	dial    engine.Dial
	mirror  *mirror
	reads   *client.Client
	actions *client.Client
	timing
	queue queue
	seed  maphash.Seed

	version, apiVersion string
	skew                time.Duration // the engine's clock minus ours
	events              int           // since containers were listed
	failures            map[key]int
}

type logger interface {
	Debug(msg string, args ...any)
	Warn(msg string, args ...any)
}

// session connects to the engine and mirrors it until the connection is lost or ctx ends. limit bounds the time until
// all has been read. connected says whether that was done.
func (e *Engine) session(ctx context.Context, dial engine.Dial, limit time.Duration) (connected bool, err error) {
	if dial == nil {
		return false, errors.New("there is no way to reach it yet")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := &session{ctx: ctx, log: e.Log, timing: e.timing, engine: e, dial: dial, mirror: e.mirror, seed: maphash.MakeSeed(), failures: map[key]int{}}
	defer s.queue.close()
	if s.reads, err = newClient(dial, headerTimeout); err != nil {
		return false, err
	}
	defer s.reads.Close()
	if s.actions, err = newClient(dial, 0); err != nil {
		return false, err
	}
	defer s.actions.Close()

	timeout := time.AfterFunc(limit, cancel)
	lost, err := s.start(ctx)
	if !timeout.Stop() {
		err = fmt.Errorf("it has not answered within %s", limit)
	}
	if err != nil {
		return false, plain(err)
	}
	e.Log.Info("connected to the engine", "version", s.version, "api", s.apiVersion, "containers", len(s.mirror.containers), "clockSkew", s.skew.Round(time.Millisecond))
	s.mirror.found()
	e.mu.Lock()
	e.current, e.reason = s, ""
	e.mu.Unlock()
	s.report()
	for {
		b, ok := s.queue.take(ctx)
		if !ok {
			break
		}
		err := s.read(ctx, b.keys)
		s.report()
		b.done()
		if err != nil {
			return true, plain(err)
		}
	}
	cancel()
	return true, plain(<-lost)
}

// start asks for the engine's clock, opens its event stream from there, and reads everything. The channel has the
// stream's end.
func (s *session) start(ctx context.Context) (lost <-chan error, err error) {
	ping, err := s.reads.Ping(ctx, client.PingOptions{NegotiateAPIVersion: true})
	if err != nil {
		return nil, err
	}
	s.apiVersion = ping.APIVersion
	before := time.Now()
	info, err := s.reads.Info(ctx, client.InfoOptions{})
	if err != nil {
		return nil, err
	}
	s.version = info.Info.ServerVersion
	clock, err := time.Parse(time.RFC3339Nano, info.Info.SystemTime)
	if err != nil {
		return nil, fmt.Errorf("its clock says %q: %w", info.Info.SystemTime, err)
	}
	s.skew = clock.Sub(before.Add(time.Since(before) / 2))
	stream := s.reads.Events(ctx, client.EventsListOptions{
		Since: fmt.Sprintf("%d.%09d", clock.Unix(), clock.Nanosecond()), Filters: eventFilters(),
	})
	ended := make(chan error, 1)
	go func() {
		ended <- s.follow(stream)
		s.queue.close()
	}()
	return ended, s.readAll(ctx)
}

// eventFilters chooses the events that change something that is shown. health_status makes the engine match the
// beginnings of names.
func eventFilters() client.Filters {
	f := make(client.Filters)
	f.Add("type", string(events.ContainerEventType), string(events.ImageEventType), string(events.VolumeEventType), string(events.NetworkEventType))
	for _, action := range []events.Action{
		events.ActionCreate, events.ActionStart, events.ActionDie, events.ActionDestroy, events.ActionPause, events.ActionUnPause,
		events.ActionRename, events.ActionUpdate, events.ActionHealthStatus, events.ActionConnect, events.ActionDisconnect,
		events.ActionRemove, events.ActionPull, events.ActionTag, events.ActionUnTag, events.ActionDelete, events.ActionImport,
		events.ActionLoad, events.ActionPrune,
	} {
		f.Add("event", string(action))
	}
	return f
}

// follow reads the event stream to its end. It does nothing else: the engine drops events of a slow reader.
func (s *session) follow(stream client.EventsResult) error {
	for {
		select {
		case m := <-stream.Messages:
			s.note(m)
		case err := <-stream.Err:
			return err
		}
	}
}

// note queues what an event says has changed. What it says of it is not used.
func (s *session) note(m events.Message) {
	switch m.Type {
	case events.ContainerEventType:
		s.queue.add(key{kind: containers, id: m.Actor.ID}, 0)
		if m.Action == events.ActionPause || m.Action == events.ActionUnPause {
			s.queue.add(key{kind: containers, id: m.Actor.ID, late: true}, s.paused)
		}
		if m.Action == events.ActionPrune {
			s.queue.add(key{kind: containers}, s.timing.list)
		}
	case events.ImageEventType:
		s.queue.add(key{kind: images}, s.timing.list)
	case events.VolumeEventType:
		s.queue.add(key{kind: volumes}, s.timing.list)
	case events.NetworkEventType:
		if id := m.Actor.Attributes["container"]; id != "" {
			s.queue.add(key{kind: containers, id: id}, 0)
		}
		if m.Action != events.ActionConnect && m.Action != events.ActionDisconnect {
			s.queue.add(key{kind: networks}, s.timing.list)
		}
	}
}

// readAll reads all there is, and makes itself due again.
func (s *session) readAll(ctx context.Context) error {
	if err := s.listContainers(ctx, nil); err != nil {
		return err
	}
	for _, k := range []kind{images, volumes, networks} {
		if err := s.list(ctx, k); err != nil && !answered(err) {
			return err
		} else if err != nil {
			s.retry(key{kind: k}, err)
		}
	}
	s.queue.add(key{kind: everything}, s.resync)
	return nil
}

// read reads what the keys name and shows it. Its error means that the engine does not answer any more.
func (s *session) read(ctx context.Context, keys map[key]bool) error {
	s.events += s.queue.busy()
	if s.events > burst {
		s.queue.add(key{kind: containers}, s.timing.burst)
	}
	if keys[key{kind: everything}] {
		err := s.readAll(ctx)
		s.mirror.settle()
		return err
	}
	ids := map[string]bool{}
	for k := range keys {
		if k.kind == containers && k.id != "" {
			ids[k.id] = true
		}
	}
	if keys[key{kind: containers}] || len(ids) > manyReads {
		if err := s.listContainers(ctx, ids); err != nil {
			return err
		}
	} else if len(ids) > 0 {
		s.readContainers(ctx, slices.Collect(maps.Keys(ids)))
	}
	for _, k := range []kind{images, volumes, networks} {
		if !keys[key{kind: k}] {
			continue
		}
		if err := s.list(ctx, k); err != nil {
			s.retry(key{kind: k}, err)
			continue
		}
		delete(s.failures, key{kind: k})
	}
	s.mirror.settle()
	return nil
}

// retry reads k again later.
func (s *session) retry(k key, err error) {
	if s.ctx.Err() != nil {
		return
	}
	delay := min(s.firstRetry<<min(s.failures[k], 10), s.maxRetry)
	s.failures[k]++
	s.log.Warn("can't read from the engine; trying again", "what", k.kind.String(), "id", k.id, "in", delay, "err", err)
	s.queue.add(k, delay)
}

// listContainers lists all containers, and reads those of which something has changed, and those that are named.
func (s *session) listContainers(ctx context.Context, named map[string]bool) error {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	s.events = 0
	list, err := s.reads.ContainerList(ctx, client.ContainerListOptions{All: true})
	if err != nil {
		return err
	}
	var changed []string
	there := map[string]bool{}
	for i := range list.Items {
		c := &list.Items[i]
		there[c.ID] = true
		// The line has the container's age in words, which changes with time: often at first, then seldom.
		hash := s.hash(c)
		if s.mirror.lines[c.ID] == hash && !named[c.ID] {
			continue
		}
		s.mirror.lines[c.ID] = hash
		changed = append(changed, c.ID)
	}
	for id := range s.mirror.containers {
		if !there[id] {
			s.mirror.removeContainer(id)
		}
	}
	s.readContainers(ctx, changed)
	return nil
}

func (s *session) hash(c *container.Summary) uint64 {
	text, err := json.Marshal(c)
	if err != nil { // it came as JSON
		return 0
	}
	return maphash.Bytes(s.seed, text)
}

// readContainers reads containers and shows them.
func (s *session) readContainers(ctx context.Context, ids []string) {
	results := make([]reading, len(ids))
	var all sync.WaitGroup
	free := make(chan struct{}, parallelReads)
	for i, id := range ids {
		free <- struct{}{}
		all.Go(func() {
			defer func() { <-free }()
			results[i] = s.readContainer(ctx, id)
		})
	}
	all.Wait()
	for i, id := range ids {
		k := key{kind: containers, id: id}
		switch r := results[i]; {
		case errdefs.IsNotFound(r.err):
			s.mirror.removeContainer(id)
			delete(s.failures, k)
		case r.err != nil:
			delete(s.mirror.lines, id)
			s.retry(k, r.err)
		default:
			c := s.object(r, s.mirror.containers[id])
			s.mirror.setContainer(c)
			delete(s.failures, k)
			if !s.mirror.knowsImage(c.Status.ImageID) {
				s.queue.add(key{kind: images}, s.timing.list) // older engines tell nothing of a build without a tag
			}
		}
	}
}

// reading is what the engine has said about a container: everything, or only its line in the list.
type reading struct {
	all  *container.InspectResponse
	line *container.Summary
	err  error
}

func (s *session) object(r reading, was *v1alpha1.Container) *v1alpha1.Container {
	t := translator{&s.mirror.strings}
	if r.all != nil {
		return t.fromInspect(r.all)
	}
	return t.fromList(r.line, was)
}

// readContainer reads all about a container. If somebody holds its lock for long, its line in the list, for which the
// engine needs no lock, must do.
func (s *session) readContainer(ctx context.Context, id string) reading {
	inspectCtx, cancel := context.WithTimeout(ctx, s.timing.read)
	defer cancel()
	all, err := s.reads.ContainerInspect(inspectCtx, id, client.ContainerInspectOptions{})
	if err == nil {
		return reading{all: &all.Container}
	}
	if errdefs.IsNotFound(err) || ctx.Err() != nil {
		return reading{err: err}
	}
	list, listErr := s.reads.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: make(client.Filters).Add("id", id)})
	if listErr != nil {
		return reading{err: errors.Join(err, listErr)}
	}
	for i := range list.Items {
		if list.Items[i].ID == id {
			s.queue.add(key{kind: containers, id: id, late: true}, s.maxRetry)
			return reading{line: &list.Items[i]}
		}
	}
	return reading{err: errdefs.ErrNotFound}
}

// list reads all images, volumes or networks.
func (s *session) list(ctx context.Context, k kind) error {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	m, t := s.mirror, translator{&s.mirror.strings}
	switch k {
	case images:
		list, err := s.reads.ImageList(ctx, client.ImageListOptions{})
		if err != nil {
			return err
		}
		var all []*v1alpha1.Image
		for i := range list.Items {
			all = append(all, t.fromImage(&list.Items[i])...)
		}
		replaceAll(m.images, m.stores.images, m.complete, all, imageUsers)
	case volumes:
		list, err := s.reads.VolumeList(ctx, client.VolumeListOptions{})
		if err != nil {
			return err
		}
		var all []*v1alpha1.Volume
		for i := range list.Items {
			all = append(all, t.fromVolume(&list.Items[i]))
		}
		replaceAll(m.volumes, m.stores.volumes, m.complete, all, volumeUsers)
	case networks:
		list, err := s.reads.NetworkList(ctx, client.NetworkListOptions{})
		if err != nil {
			return err
		}
		var all []*v1alpha1.Network
		for i := range list.Items {
			all = append(all, t.fromNetwork(&list.Items[i].Network))
		}
		replaceAll(m.networks, m.stores.networks, m.complete, all, networkUsers)
	case everything, containers: // others read these
	}
	return nil
}

// report tells what the Engine's owner wants to know.
func (s *session) report() {
	if bindings, changed := s.mirror.publish(); changed {
		s.engine.Published(bindings)
	}
	s.engine.setState(engine.State{Answers: true, Version: s.version, APIVersion: s.apiVersion, Containers: s.mirror.running()})
}

// answered reports whether err is an answer of the engine, so that there is a connection to it.
func answered(err error) bool {
	return !client.IsErrConnectionFailed(err) && (errdefs.IsInternal(err) || errdefs.IsNotFound(err) || errdefs.IsInvalidArgument(err) ||
		errdefs.IsPermissionDenied(err) || errdefs.IsConflict(err) || errdefs.IsUnavailable(err) || errdefs.IsNotImplemented(err))
}

// plain makes an error one that can be part of a sentence.
func plain(err error) error {
	if err == nil {
		return errors.New("the connection has ended")
	}
	if text := strings.TrimRight(err.Error(), ". \n"); text != err.Error() {
		return fmt.Errorf("%s", text)
	}
	return err
}
