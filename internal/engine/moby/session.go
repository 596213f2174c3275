package moby

import (
	"context"
	"fmt"
	"hash/maphash"
	"time"

	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/client"

	"rancherdesktop.io/rdd/internal/engine/mirror"
)

const (
	// burst is how many events make a list of all containers due.
	burst = 200
	// parallelReads is how many containers are read at once.
	parallelReads = 16
)

// session is one connection to the engine: its event stream, and what is read because of it.
type session struct {
	*mirror.Session[reading]
	looks   *looks
	reads   *client.Client
	actions *client.Client
	seed    maphash.Seed

	version, apiVersion string
	skew                time.Duration       // the engine's clock minus ours
	lines               map[string]uint64   // hashes of the containers' lines in the list when they were read last
	events              int                 // since containers were listed
	reading             map[string]*pending // containers that are just being read
	free                chan struct{}       // holds a token for each that is
}

// pending is a read of a container in the background.
type pending struct {
	told  []chan struct{} // to be closed when it is done
	again bool            // once it is done, read again: something has changed since it began
	next  []chan struct{} // to be closed then
}

// open makes a connection.
func (e *Engine) open(common *mirror.Session[reading]) (s *session, err error) {
	s = &session{
		Session: common, looks: &e.looks, seed: maphash.MakeSeed(), lines: map[string]uint64{},
		reading: map[string]*pending{}, free: make(chan struct{}, parallelReads),
	}
	if s.reads, err = newClient(s.Dial, headerTimeout); err != nil {
		return nil, err
	}
	s.actions, err = newClient(s.Dial, 0)
	return s, err
}

// Close tells all who wait for something to be read.
func (s *session) Close() {
	_, _ = s.actions.Close(), s.reads.Close()
	s.Queue.Close()
	for _, p := range s.reading {
		mirror.CloseAll(p.told)
		mirror.CloseAll(p.next)
	}
}

// Versions returns the engine's version, and that of its API.
func (s *session) Versions() (version, apiVersion string) { return s.version, s.apiVersion }

// Start asks for the engine's clock, opens its event stream from there, and reads everything. The channel has the
// stream's end.
func (s *session) Start(ctx context.Context) (lost <-chan error, err error) {
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
		s.Queue.Close()
	}()
	if err := s.readAll(ctx); err != nil {
		return nil, err
	}
	s.Log.Info("connected to the engine", "version", s.version, "api", s.apiVersion, "containers", len(s.Mirror.Containers), "clockSkew", s.skew.Round(time.Millisecond))
	return ended, nil
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
		s.Queue.Add(mirror.Key{Kind: mirror.Containers, ID: m.Actor.ID}, 0)
		if m.Action == events.ActionPause || m.Action == events.ActionUnPause {
			s.Queue.Add(mirror.Key{Kind: mirror.Containers, ID: m.Actor.ID, Late: true}, s.Paused)
		}
		if m.Action == events.ActionPrune {
			s.Queue.Add(mirror.Key{Kind: mirror.Containers}, s.List)
		}
	case events.ImageEventType:
		s.Queue.Add(mirror.Key{Kind: mirror.Images}, s.List)
	case events.VolumeEventType:
		s.Queue.Add(mirror.Key{Kind: mirror.Volumes}, s.List)
	case events.NetworkEventType:
		if id := m.Actor.Attributes["container"]; id != "" {
			s.Queue.Add(mirror.Key{Kind: mirror.Containers, ID: id}, 0)
		}
		if m.Action != events.ActionConnect && m.Action != events.ActionDisconnect {
			s.Queue.Add(mirror.Key{Kind: mirror.Networks}, s.List)
		}
	}
}
