package page

import (
	"context"
	"time"
)

// sample is a measurement with which the next one is compared.
type sample struct {
	cpu time.Duration
	at  time.Time
}

func (a *API) usage(ctx context.Context, _ nothing) ([]Usage, error) {
	view := a.current()
	a.mu.Lock()
	names := make([]string, 0, len(view.vms))
	for _, vm := range view.vms {
		names = append(names, vm.Name)
	}
	a.mu.Unlock()
	stats := view.core.Stats(ctx, names)
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	all := make([]Usage, 0, len(stats))
	used := map[string]sample{}
	for _, s := range stats {
		u := Usage{Stats: s}
		if before, ok := view.used[s.Name]; ok && s.CPU > before.cpu && now.After(before.at) { // less CPU time means that it is another process
			u.CPU = float64(s.CPU-before.cpu) / float64(now.Sub(before.at))
		}
		used[s.Name] = sample{s.CPU, now}
		all = append(all, u)
	}
	view.used = used
	return all, nil
}
