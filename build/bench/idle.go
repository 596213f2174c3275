package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	settleTime   = 30 * time.Second // from ready, or from the last update, to the look at the memory
	idleTime     = 60 * time.Second
	historyCount = 12_000 // updates of one key
	probeCount   = 300    // requests for one p50
)

// measureIdle measures services that do nothing, before and after many updates. All runs go side by
// side, each with a service of its own: what is measured is the process's own memory and CPU time,
// and one after the other they would take half an hour.
func (b *bench) measureIdle(ctx context.Context) error {
	services := make([]*service, b.runs)
	for i := range services {
		b.sayf("idle: starting service %d of %d", i+1, b.runs)
		var err error
		if services[i], err = b.startService(ctx); err != nil {
			return err
		}
	}
	if b.wantsGroup("idle") {
		b.sayf("idle: waiting %s, then watching for %s", settleTime, idleTime)
		if err := each(services, func(s *service) error { return b.watchIdle(ctx, s, "idle") }); err != nil {
			return err
		}
	}
	if b.wantsGroup("history") {
		if err := b.measureHistory(ctx, services); err != nil {
			return err
		}
	}
	for _, s := range services {
		if err := b.discard(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// each calls fn for all services at once.
func each(services []*service, fn func(*service) error) error {
	errs := make([]error, len(services))
	var all sync.WaitGroup
	for i, s := range services {
		all.Go(func() { errs[i] = fn(s) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// watchIdle lets the service settle, looks at its memory, and then at what it does for a while.
func (b *bench) watchIdle(ctx context.Context, s *service, group string) error {
	pid, err := s.pid(ctx)
	if err != nil {
		return err
	}
	if err := pause(ctx, settleTime); err != nil {
		return err
	}
	m, err := readMemory(pid)
	if err != nil {
		return err
	}
	before, err := readActivity(pid)
	if err != nil {
		return err
	}
	if err := pause(ctx, idleTime); err != nil {
		return err
	}
	after, err := readActivity(pid)
	if err != nil {
		return err
	}
	took := after.At.Sub(before.At)
	b.add(group+".rss", float64(m.RSS)/(1<<20))
	b.add(group+".anonymous", float64(m.Anonymous)/(1<<20))
	b.add(group+".cpu", 100*float64(after.CPU-before.CPU)/float64(took))
	b.add(group+".wakeups", float64(after.Wakeups-before.Wakeups)/took.Seconds())
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// measureHistory updates one key of each service many times and measures again.
func (b *bench) measureHistory(ctx context.Context, services []*service) error {
	clients := map[*service]configMaps{}
	before := map[*service]latency{}
	for n, s := range services {
		b.sayf("history: GET and create before, run %d of %d", n+1, len(services))
		client, err := s.configMaps(ctx)
		if err != nil {
			return err
		}
		if err := client.create(ctx, historyKey); err != nil {
			return err
		}
		clients[s] = client
		if before[s], err = client.probe(ctx, "before"); err != nil {
			return err
		}
	}
	b.sayf("history: %d updates of one key in each of %d services", historyCount, len(services))
	err := each(services, func(s *service) error {
		for n := range historyCount {
			if err := clients[s].patch(ctx, historyKey, n); err != nil {
				return fmt.Errorf("update %d: %w", n+1, err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	b.sayf("history: waiting %s, then watching for %s", settleTime, idleTime)
	if err := each(services, func(s *service) error { return b.watchIdle(ctx, s, "history") }); err != nil {
		return err
	}
	for n, s := range services {
		b.sayf("history: GET and create after, status, stop and start, run %d of %d", n+1, len(services))
		after, err := clients[s].probe(ctx, "after")
		if err != nil {
			return err
		}
		b.addRatio("history.get", before[s].get, after.get)
		b.addRatio("history.create", before[s].create, after.create)
		spent, _, err := s.run(ctx, "svc", "status")
		if err != nil {
			return err
		}
		b.add("history.status", spent.milliseconds())
		if err := b.stopAndStart(ctx, s, "history"); err != nil {
			return err
		}
	}
	return nil
}

// historyKey is the object that gets a history.
const historyKey = "history"

// addRatio records two figures in milliseconds and what the one after is of the one before.
func (b *bench) addRatio(key string, before, after float64) {
	b.add(key+"-before", before)
	b.add(key+"-after", after)
	b.add(key+"-ratio", after/before)
}

// latency is the p50 of requests one after the other, in milliseconds.
type latency struct{ get, create float64 }

// probe measures GETs of the key with the history and creates of new keys. It removes those again.
func (c configMaps) probe(ctx context.Context, prefix string) (l latency, err error) {
	gets, err := timed(probeCount, func(int) error { return c.get(ctx, historyKey) })
	if err != nil {
		return l, err
	}
	name := func(n int) string { return fmt.Sprintf("%s-%d", prefix, n) }
	creates, err := timed(probeCount, func(n int) error { return c.create(ctx, name(n)) })
	if err != nil {
		return l, err
	}
	for n := range probeCount {
		if err := c.remove(ctx, name(n)); err != nil {
			return l, err
		}
	}
	return latency{median(gets), median(creates)}, nil
}
