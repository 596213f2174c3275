package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// diskVMs is how many VMs are made of the image that the first one has brought.
const diskVMs = 5

// measureDisks makes VMs of our guest and doesn't start them.
func (b *bench) measureDisks(ctx context.Context) error {
	template := b.guestTemplate()
	if _, err := os.Stat(template); err != nil {
		return fmt.Errorf("our guest's template: %w: build it with: make guest", err)
	}
	s, err := b.startService(ctx)
	if err != nil {
		return err
	}
	home, err := s.path(ctx, "lima")
	if err != nil {
		return err
	}
	for n := range diskVMs + 1 {
		name := fmt.Sprint("guest", n)
		took, err := s.timed(ctx, "vm", "create", name, template)
		if err != nil {
			return err
		}
		if n == 0 {
			b.add("disk.create-first", took.Seconds())
			continue
		}
		b.add("disk.create", float64(took.Milliseconds()))
		bytes, err := ownBytes(filepath.Join(home, name))
		if err != nil {
			return err
		}
		b.add("disk.size", float64(bytes)/(1<<20))
	}
	return b.remove(ctx, s)
}
