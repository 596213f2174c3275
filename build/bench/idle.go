package main

import (
	"context"
	"fmt"
	"time"
)

const (
	settleTime   = 30 * time.Second // from ready, or from the last update, until the memory is read
	idleTime     = 60 * time.Second
	historyCount = 12_000 // updates of one key
	historyKey   = "history"
	probeCount   = 300 // requests for one p50
)

// memory is what a process has resident, in bytes.
type memory struct{ RSS, Anonymous int64 }

// activity is what a process has done since it began.
type activity struct {
	At      time.Time
	CPU     time.Duration // of all its threads, also of those that have ended
	Wakeups int64         // voluntary context switches of its current threads
}

// measureIdle measures services that do nothing, before and after many updates. All runs happen at the same
// time, each with a service of its own: the memory and CPU time of one process don't depend on the others, and
// one after the other they would take half an hour.
func (b *bench) measureIdle(ctx context.Context) error {
	services := make([]*service, b.runs)
	for i := range services {
		b.logf("idle: starting service %d of %d", i+1, b.runs)
		var err error
		if services[i], err = b.startService(ctx); err != nil {
			return err
		}
	}
	if b.wantsGroup("idle") {
		if err := b.watchIdle(ctx, services, "idle"); err != nil {
			return err
		}
	}
	if b.wantsGroup("history") {
		if err := b.measureHistory(ctx, services); err != nil {
			return err
		}
	}
	for _, s := range services {
		if err := b.remove(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// watchIdle waits until the services have settled, reads their memory, and then measures what they do for a while.
func (b *bench) watchIdle(ctx context.Context, services []*service, group string) error {
	b.logf("%s: waiting %s, then watching for %s", group, settleTime, idleTime)
	return each(services, func(s *service) error {
		pid, err := s.pid(ctx)
		if err != nil {
			return err
		}
		m, err := settledMemory(ctx, pid)
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
	})
}

// settledMemory reads the memory of a process after it had time to settle.
func settledMemory(ctx context.Context, pid int) (memory, error) {
	if err := pause(ctx, settleTime); err != nil {
		return memory{}, err
	}
	return readMemory(pid)
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// historyRun is a service in which one key is updated many times.
type historyRun struct {
	*service
	client configMaps
	before requestTimes
}

// measureHistory updates one key of each service many times, and measures before and after.
func (b *bench) measureHistory(ctx context.Context, services []*service) error {
	runs := make([]historyRun, len(services))
	for n, s := range services {
		b.logf("history: GET and create before, run %d of %d", n+1, len(services))
		client, err := s.configMaps(ctx)
		if err != nil {
			return err
		}
		if err := client.create(ctx, historyKey); err != nil {
			return err
		}
		before, err := client.probe(ctx, "before")
		if err != nil {
			return err
		}
		runs[n] = historyRun{s, client, before}
	}
	b.logf("history: %d updates of one key in each of %d services", historyCount, len(services))
	err := each(runs, func(r historyRun) error {
		for n := range historyCount {
			if err := r.client.patch(ctx, historyKey, n); err != nil {
				return fmt.Errorf("update %d: %w", n+1, err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := b.watchIdle(ctx, services, "history"); err != nil {
		return err
	}
	for n, r := range runs {
		b.logf("history: GET and create after, status, stop and start, run %d of %d", n+1, len(services))
		after, err := r.client.probe(ctx, "after")
		if err != nil {
			return err
		}
		b.addRatio("history.get", r.before.get, after.get)
		b.addRatio("history.create", r.before.create, after.create)
		status, err := r.timed(ctx, "svc", "status")
		if err != nil {
			return err
		}
		b.add("history.status", milliseconds(status))
		if err := b.stopAndStart(ctx, r.service, "history"); err != nil {
			return err
		}
	}
	return nil
}

// addRatio records two values in milliseconds, and the second divided by the first.
func (b *bench) addRatio(key string, before, after float64) {
	b.add(key+"-before", before)
	b.add(key+"-after", after)
	b.add(key+"-ratio", after/before)
}

// requestTimes are the p50 of each kind of request, sent one after the other, in milliseconds.
type requestTimes struct{ get, create float64 }

// probe measures GETs of the key with the history and creates of new keys, which it removes again.
func (c configMaps) probe(ctx context.Context, prefix string) (p50 requestTimes, err error) {
	gets, err := latencies(probeCount, func(int) error { return c.get(ctx, historyKey) })
	if err != nil {
		return p50, err
	}
	name := func(n int) string { return fmt.Sprintf("%s-%d", prefix, n) }
	creates, err := latencies(probeCount, func(n int) error { return c.create(ctx, name(n)) })
	if err != nil {
		return p50, err
	}
	for n := range probeCount {
		if err := c.remove(ctx, name(n)); err != nil {
			return p50, err
		}
	}
	return requestTimes{median(gets), median(creates)}, nil
}
