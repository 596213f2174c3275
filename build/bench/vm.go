package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
)

// vmTimeout is how long one boot or one stop may take; emulation is slow.
const vmTimeout = "30m"

// boots is what one guest took, in seconds.
type boots struct{ create, stop, start float64 }

// measureVMs boots our guest and the stock guest by turns, so that both meet the same machine.
func (b *bench) measureVMs(ctx context.Context) error {
	if _, err := os.Stat(b.guest); err != nil {
		return fmt.Errorf("our guest's template: %w: build it with: make guest", err)
	}
	_, stockErr := os.Stat(b.stock)
	if stockErr != nil {
		stockErr = fmt.Errorf("the stock guest's template, so ours has nothing to be compared with: %w", stockErr)
		b.sayf("vm: %v", stockErr)
	}
	for n := range b.vmRuns {
		b.sayf("vm: our guest, run %d of %d", n+1, b.vmRuns)
		ours, err := b.bootGuest(ctx, b.guest)
		if err != nil {
			return fmt.Errorf("our guest: %w", err)
		}
		b.add("vm.create", ours.create)
		b.add("vm.stop", ours.stop)
		b.add("vm.start", ours.start)
		if stockErr != nil {
			continue
		}
		b.sayf("vm: stock guest, run %d of %d", n+1, b.vmRuns)
		stock, err := b.bootGuest(ctx, b.stock)
		if err != nil {
			return fmt.Errorf("stock guest: %w", err)
		}
		b.add("vm.create-stock", stock.create)
		b.add("vm.stop-stock", stock.stop)
		b.add("vm.start-stock", stock.start)
		b.add("vm.create-ratio", ours.create/stock.create)
		b.add("vm.start-ratio", ours.start/stock.start)
	}
	return stockErr
}

// bootGuest creates a VM, stops it and starts it again, in an instance of its own.
func (b *bench) bootGuest(ctx context.Context, template string) (took boots, err error) {
	s, err := b.startService(ctx)
	if err != nil {
		return took, err
	}
	const name = "guest"
	for _, step := range []struct {
		what    string
		seconds *float64
		args    []string
	}{
		{"create to ready", &took.create, []string{"create", name, template, "--start"}},
		{"stop", &took.stop, []string{"stop", name}},
		{"start to ready", &took.start, []string{"start", name}},
	} {
		spent, _, err := s.run(ctx, append(append([]string{"vm"}, step.args...), "--timeout", vmTimeout)...)
		if err != nil {
			return took, err
		}
		*step.seconds = spent.seconds()
		b.sayf("vm:   %s %.1f s", step.what, spent.seconds())
	}
	if err := b.noteAcceleration(ctx, s, name); err != nil {
		return took, err
	}
	return took, b.discard(ctx, s)
}

// noteAcceleration remembers what ran the guest's code. It must be the same for every guest.
func (b *bench) noteAcceleration(ctx context.Context, s *service, name string) error {
	_, out, err := s.run(ctx, "vm", "show", name, "--output", "json")
	if err != nil {
		return err
	}
	how, err := acceleration(out)
	if err != nil {
		return err
	}
	if b.guests != "" && b.guests != how {
		return fmt.Errorf("guests can't be compared: one was run by %s, another by %s", b.guests, how)
	}
	b.guests = how
	return nil
}

// acceleration says what runs the code of a VM, given as JSON.
func acceleration(vm []byte) (string, error) {
	var v struct {
		Status struct {
			Conditions []struct{ Type, Status, Reason string }
		}
	}
	if err := json.Unmarshal(vm, &v); err != nil {
		return "", fmt.Errorf("read what rdd vm show printed: %w", err)
	}
	for _, c := range v.Status.Conditions {
		if c.Type != "Accelerated" {
			continue
		}
		if c.Status == "True" {
			return "hardware (" + c.Reason + ")", nil
		}
		return "emulation (" + c.Reason + ")", nil
	}
	return "", errors.New("the VM has no condition Accelerated")
}
