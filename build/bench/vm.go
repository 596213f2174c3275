package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
)

// vmTimeout is how long one boot or one stop may take; emulation is slow.
const vmTimeout = "30m"

// guestTemplate is the template of our guest.
func (b *bench) guestTemplate() string {
	return filepath.Join(b.dist, "share", "rdd", "guest", "rdd-guest.yaml")
}

// measureVMs boots our guest and the stock guest alternately, so that the machine is the same for both.
func (b *bench) measureVMs(ctx context.Context) error {
	ours := b.guestTemplate()
	stock := filepath.Join(b.dist, "share", "rdd", "guest-stock", "stock.yaml")
	if _, err := os.Stat(ours); err != nil {
		return fmt.Errorf("our guest's template: %w: build it with: make guest", err)
	}
	_, stockErr := os.Stat(stock)
	if stockErr != nil {
		stockErr = fmt.Errorf("there is no stock guest to compare ours with: %w: build it with: make stock-guest", stockErr)
		b.logf("vm: %v", stockErr)
	}
	for n := range b.vmRuns {
		b.logf("vm: our guest, run %d of %d", n+1, b.vmRuns)
		seconds, err := b.bootGuest(ctx, ours, "")
		if err != nil {
			return fmt.Errorf("our guest: %w", err)
		}
		if stockErr != nil {
			continue
		}
		b.logf("vm: stock guest, run %d of %d", n+1, b.vmRuns)
		stockSeconds, err := b.bootGuest(ctx, stock, "-stock")
		if err != nil {
			return fmt.Errorf("stock guest: %w", err)
		}
		b.add("vm.create-ratio", seconds["create"]/stockSeconds["create"])
		b.add("vm.start-ratio", seconds["start"]/stockSeconds["start"])
	}
	return stockErr
}

// bootGuest creates and boots a VM in an instance of its own, stops it and starts it again. It records and returns how
// many seconds each step took.
func (b *bench) bootGuest(ctx context.Context, template, suffix string) (map[string]float64, error) {
	s, err := b.startService(ctx)
	if err != nil {
		return nil, err
	}
	const name = "guest"
	seconds := map[string]float64{}
	for _, args := range [][]string{{"create", name, template, "--start"}, {"stop", name}, {"start", name}} {
		took, err := s.timed(ctx, append(append([]string{"vm"}, args...), "--timeout", vmTimeout)...)
		if err != nil {
			return nil, err
		}
		seconds[args[0]] = took.Seconds()
		b.logf("vm:   %s %.1f s", args[0], took.Seconds())
	}
	if err := b.checkAcceleration(ctx, s, name); err != nil {
		return nil, err
	}
	for step, took := range seconds {
		b.add("vm."+step+suffix, took)
	}
	return seconds, b.remove(ctx, s)
}

// checkAcceleration fails when this guest's code is run by something else than that of the guests before.
func (b *bench) checkAcceleration(ctx context.Context, s *service, name string) error {
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

// emulation begins the description of what runs an emulated VM.
const emulation = "emulation"

// acceleration returns what runs the code of a VM, given as JSON.
func acceleration(text []byte) (string, error) {
	var vm v1alpha1.LimaVM
	if err := json.Unmarshal(text, &vm); err != nil {
		return "", fmt.Errorf("read what rdd vm show printed: %w", err)
	}
	accelerated := meta.FindStatusCondition(vm.Status.Conditions, v1alpha1.ConditionAccelerated)
	switch {
	case accelerated == nil:
		return "", errors.New("the VM has no condition Accelerated")
	case accelerated.Status == metav1.ConditionTrue:
		return "hardware (" + accelerated.Reason + ")", nil
	}
	return emulation + " (" + accelerated.Reason + ")", nil
}
