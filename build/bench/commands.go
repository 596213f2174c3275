package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// quickFactor is how many times more runs there are of commands that take milliseconds.
const quickFactor = 4

// measureCommands measures whole runs of quick commands while a service runs.
func (b *bench) measureCommands(ctx context.Context) error {
	b.logf("commands: version, status, vm list, get ns")
	s, err := b.startService(ctx)
	if err != nil {
		return err
	}
	for _, c := range []struct {
		key  string
		args []string
	}{
		{"commands.version", []string{"version"}},
		{"commands.status", []string{"svc", "status"}},
		{"commands.vm-list", []string{"vm", "list"}},
		{"commands.get-ns", []string{"ctl", "get", "ns"}},
	} {
		for n := range b.runs*quickFactor + 1 {
			spent, _, err := s.run(ctx, c.args...)
			if err != nil {
				return err
			}
			if n == 0 {
				continue // the first run reads the program from the disk
			}
			b.add(c.key, milliseconds(spent.Wall))
			if spent.Peak > 0 {
				b.add(c.key+"-peak", float64(spent.Peak)/1e6)
			}
		}
	}
	return b.remove(ctx, s)
}

// measureService measures starts and stops, with a new instance for each run.
func (b *bench) measureService(ctx context.Context) error {
	for n := range b.runs {
		b.logf("service: start and stop, run %d of %d", n+1, b.runs)
		s, err := b.newService()
		if err != nil {
			return err
		}
		fresh, err := s.start(ctx)
		if err != nil {
			return err
		}
		if err := b.stopAndStart(ctx, s, "service"); err != nil {
			return err
		}
		b.add("service.start-fresh", milliseconds(fresh))
		if err := b.failStart(ctx, s); err != nil {
			return err
		}
		if err := b.remove(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// failStart stops the service and measures a start that fails, because there is a file where the store's folder should be.
func (b *bench) failStart(ctx context.Context, s *service) error {
	if _, err := s.stop(ctx); err != nil {
		return err
	}
	store := filepath.Join(s.home, ".local", "share", "rdd", s.name, "store")
	aside := store + ".aside"
	if err := os.Rename(store, aside); err != nil {
		return err
	}
	if err := os.WriteFile(store, nil, 0o600); err != nil {
		return err
	}
	failed, _, err := measure(ctx, s.peak, s.env(), "sh", "-c", `"$0" svc start 2>&1 | grep -q "not a directory"`, s.rdd)
	if err != nil {
		return fmt.Errorf("a start that must fail doesn't say why: %w", err)
	}
	b.add("service.start-fails", milliseconds(failed.Wall))
	if err := os.Remove(store); err != nil {
		return err
	}
	return os.Rename(aside, store)
}

// stopAndStart measures a stop with an open watch, and a start with the existing store.
func (b *bench) stopAndStart(ctx context.Context, s *service, group string) error {
	stopped, err := s.stopWatched(ctx)
	if err != nil {
		return fmt.Errorf("stop with an open watch: %w", err)
	}
	started, err := s.start(ctx)
	if err != nil {
		return err
	}
	b.add(group+".stop", milliseconds(stopped))
	b.add(group+".start-existing", milliseconds(started))
	return nil
}
