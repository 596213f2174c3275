package moby

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rancherdesktop.io/rdd/internal/api/containers/v1alpha1"
	"rancherdesktop.io/rdd/internal/engine/answers"
	"rancherdesktop.io/rdd/internal/view"
)

const (
	// minLook is how old a measurement must be for the use of processors since it to mean something.
	minLook = 200 * time.Millisecond
	// maxLook is how long a measurement is kept for the next look.
	maxLook = time.Minute
)

// looks remembers the last measurement of each container that somebody looks at.
type looks struct {
	mu   sync.Mutex
	last map[string]*look
}

type look struct {
	at     time.Time // by our clock
	raw    container.StatsResponse
	answer *v1alpha1.ContainerStats // nil: there was none before it
}

// before returns the last measurement of a container, if it is not too old.
func (l *looks) before(id string, now time.Time) *look {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, old := range l.last {
		if now.Sub(old.at) > maxLook {
			delete(l.last, id)
		}
	}
	return l.last[id]
}

func (l *looks) keep(id string, now *look) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last == nil {
		l.last = map[string]*look{}
	}
	l.last[id] = now
}

// serveStats answers with what a container uses: once, or, with stream, each second as a line of JSON.
func (s *session) serveStats(w http.ResponseWriter, r *http.Request, o view.Object) error {
	streams, err := answers.Boolean(r.URL.Query(), "stream")
	if err != nil {
		return err
	}
	if streams {
		return s.streamStats(w, r, o.GetName())
	}
	stats, err := s.stats(r.Context(), o.GetName())
	if err != nil {
		return err
	}
	answers.JSON(w, http.StatusOK, stats)
	return nil
}

// stats measures once, and a second time a moment later if nobody has looked before.
func (s *session) stats(ctx context.Context, id string) (*v1alpha1.ContainerStats, error) {
	last := s.looks.before(id, time.Now())
	if last != nil && last.answer != nil && time.Since(last.at) < minLook {
		return last.answer, nil
	}
	for {
		if last != nil {
			select {
			case <-time.After(minLook - time.Since(last.at)):
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
		}
		now, err := s.measure(ctx, id)
		if err != nil {
			return nil, err
		}
		first := last == nil
		if !first {
			now.answer = statsOf(&now.raw, &last.raw)
		}
		if now.raw.CPUStats.CPUUsage.TotalUsage == 0 && now.raw.MemoryStats.Usage == 0 { // it does not run
			first, now.answer = false, statsOf(&now.raw, &now.raw)
		}
		s.looks.keep(id, now)
		if !first {
			return now.answer, nil
		}
		last = now
	}
}

func (s *session) measure(ctx context.Context, id string) (*look, error) {
	ctx, cancel := context.WithTimeout(ctx, headerTimeout)
	defer cancel()
	answer, err := s.actions.ContainerStats(ctx, id, client.ContainerStatsOptions{})
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	now := &look{at: time.Now()}
	return now, json.NewDecoder(answer.Body).Decode(&now.raw)
}

// streamStats answers with a line for each measurement of the engine, until the client or the container ends.
func (s *session) streamStats(w http.ResponseWriter, r *http.Request, id string) error {
	answer, err := s.actions.ContainerStats(r.Context(), id, client.ContainerStatsOptions{Stream: true})
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	w.Header().Set("Content-Type", "application/json")
	out := json.NewEncoder(w)
	control := http.NewResponseController(w)
	for in := json.NewDecoder(answer.Body); ; {
		var now container.StatsResponse
		if err := in.Decode(&now); err != nil {
			if !errors.Is(err, io.EOF) {
				s.Log.Debug("a stream of stats has ended", "container", id, "err", err)
			}
			return nil
		}
		before := now
		before.CPUStats, before.Read = now.PreCPUStats, now.PreRead
		if out.Encode(statsOf(&now, &before)) != nil || control.Flush() != nil {
			return nil
		}
	}
}

// statsOf computes what docker stats shows from two measurements.
func statsOf(now, before *container.StatsResponse) *v1alpha1.ContainerStats {
	s := &v1alpha1.ContainerStats{
		Time: metav1.NewMicroTime(now.Read), CPUPercent: cpuPercent(now, before), Processors: int32(processors(now)),
		Memory: memory(&now.MemoryStats), MemoryLimit: whole(now.MemoryStats.Limit), Processes: whole(now.PidsStats.Current),
	}
	for _, n := range now.Networks {
		s.NetworkReceived += whole(n.RxBytes)
		s.NetworkSent += whole(n.TxBytes)
	}
	for _, b := range now.BlkioStats.IoServiceBytesRecursive {
		switch b.Op {
		case "read", "Read":
			s.DiskRead += whole(b.Value)
		case "write", "Write":
			s.DiskWritten += whole(b.Value)
		}
	}
	return s
}

// cpuPercent is the processors' time used between two measurements, divided by the time that has passed.
func cpuPercent(now, before *container.StatsResponse) float64 {
	used, usedBefore := now.CPUStats.CPUUsage.TotalUsage, before.CPUStats.CPUUsage.TotalUsage
	passed := now.Read.Sub(before.Read)
	if before.Read.IsZero() || passed <= 0 || used <= usedBefore { // a container that was restarted starts at 0
		return 0
	}
	return float64(used-usedBefore) / float64(passed) * 100
}

func processors(now *container.StatsResponse) int {
	if n := int(now.CPUStats.OnlineCPUs); n > 0 {
		return n
	}
	return len(now.CPUStats.CPUUsage.PercpuUsage)
}

// memory is the memory in use without the cache of files that nobody needs, as docker stats shows it.
func memory(m *container.MemoryStats) int64 {
	for _, name := range []string{"total_inactive_file", "inactive_file"} { // cgroup 1, cgroup 2
		if cache, ok := m.Stats[name]; ok && cache < m.Usage {
			return whole(m.Usage - cache)
		}
	}
	return whole(m.Usage)
}

// whole is a count of the engine. It writes the greatest number there is for "no limit".
func whole(n uint64) int64 { return int64(min(n, 1<<62)) }
