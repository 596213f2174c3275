package hostagent

import (
	"bufio"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/sirupsen/logrus"

	"rancherdesktop.io/rdd/internal/host"
	"rancherdesktop.io/rdd/internal/lima/ssh"
	"rancherdesktop.io/rdd/internal/lima/template"
	"rancherdesktop.io/rdd/internal/machine/event"
	"rancherdesktop.io/rdd/internal/machine/layout"
)

// diskUse watches how full the VM's disks are.
type diskUse struct {
	vm     layout.VM
	report func(event.Event)
	ask    func(context.Context) (string, error)  // runs askDisks in the guest
	host   func() (host.Disk, error)              // the disk of this computer that holds the VM's
	after  func(d time.Duration) <-chan time.Time // time.After
	disks  func() []event.DiskUse                 // as this computer sees them

	last     []event.DiskUse // reported
	warnings []string        // reported
}

func newDiskUse(vm layout.VM, report func(event.Event)) *diskUse {
	return &diskUse{
		vm: vm, report: report, after: time.After, disks: vm.Disks,
		host: func() (host.Disk, error) { return host.DiskOf(vm.Home) },
		ask: func(ctx context.Context) (string, error) {
			ctx, cancel := context.WithTimeout(ctx, disksTimeout)
			defer cancel()
			out, err := ssh.Command(ctx, vm, askDisks).Output()
			return string(out), err
		},
	}
}

// askDisks prints how full the guest's file systems are, in KiB. The second one is not there in every guest.
const askDisks = "df -P -k /; df -P -k " + template.DataMount + " 2>/dev/null || true"

const (
	disksTimeout  = 30 * time.Second // for the guest's answer
	disksInterval = time.Minute
	nearInterval  = 30 * time.Second // while a disk is nearly full
)

// How full a disk is, in percent.
const (
	nearlyFull = 80 // it is looked at more often
	warnFull   = 85
)

// minHostFree is what must be free on this computer's disk; less may pause the guest soon.
const minHostFree = 2 << 30

// run reports the use of the disks until ctx ends, whenever it has changed by more than a little.
func (d *diskUse) run(ctx context.Context) {
	for {
		now, err := d.look(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			logrus.WithError(err).Warn("the guest could not be asked how full its disks are")
		}
		d.tell(now)
		pause := disksInterval
		if len(d.warnings) > 0 || slices.ContainsFunc(now, func(disk event.DiskUse) bool { return percent(disk) >= nearlyFull }) {
			pause = nearInterval
		}
		select {
		case <-ctx.Done():
			return
		case <-d.after(pause):
		}
	}
}

// look returns the disks. If the guest doesn't answer, its part is what it said before.
func (d *diskUse) look(ctx context.Context) ([]event.DiskUse, error) {
	said, err := d.ask(ctx)
	all := d.disks()
	for i := range all {
		mount := map[string]string{event.SystemDisk: "/", event.DataDisk: template.DataMount}[all[i].Name]
		used, capacity, ok := dfOf(said, mount)
		if j := slices.IndexFunc(d.last, func(disk event.DiskUse) bool { return disk.Name == all[i].Name }); !ok && err != nil && j >= 0 {
			used, capacity = d.last[j].Used, d.last[j].Capacity
		}
		all[i].Used, all[i].Capacity = used, capacity
	}
	return all, err
}

// dfOf finds the file system of a mount point in the output of df -P -k. What is kept for the guest's services counts as used, as it
// does for everybody else.
func dfOf(said, mount string) (used, capacity int64, ok bool) {
	for s := bufio.NewScanner(strings.NewReader(said)); s.Scan(); {
		fields := strings.Fields(s.Text()) // file system, blocks, used, available, capacity, mount point
		if len(fields) != 6 || fields[5] != mount {
			continue
		}
		inUse, err := strconv.ParseInt(fields[2], 10, 64)
		free, e := strconv.ParseInt(fields[3], 10, 64)
		if err == nil && e == nil {
			return inUse << 10, (inUse + free) << 10, true
		}
	}
	return 0, 0, false
}

// tell reports what has changed.
func (d *diskUse) tell(now []event.DiskUse) {
	if differ(d.last, now) {
		d.report(event.Event{Disks: now})
		d.last = now
	}
	if warnings := d.warn(now); !slices.Equal(warnings, d.warnings) {
		d.report(event.Event{Trouble: &event.Trouble{Source: event.FromDisks, Messages: warnings}})
		d.warnings = warnings
	}
}

// differ reports whether the use of disks differs by more than a little.
func differ(a, b []event.DiskUse) bool {
	return !slices.EqualFunc(a, b, func(a, b event.DiskUse) bool {
		little := max(32<<20, a.Capacity/200)
		near := func(a, b int64) bool { return max(a-b, b-a) < little }
		return a.Name == b.Name && (a.Used == 0) == (b.Used == 0) && near(a.Used, b.Used) && near(a.Capacity, b.Capacity) &&
			near(a.Allocated, b.Allocated) && a.Maximum == b.Maximum
	})
}

// percent is how full the guest's file system is.
func percent(disk event.DiskUse) int {
	if disk.Capacity == 0 {
		return 0
	}
	return int(100 * float64(disk.Used) / float64(disk.Capacity))
}

// warn says which disks are nearly full; of the data disk, whoever shows its use says so. The numbers are rounded so that a message
// stays the same for a while.
func (d *diskUse) warn(now []event.DiskUse) (all []string) {
	for _, disk := range now {
		if full := percent(disk); disk.Name == event.SystemDisk && full >= warnFull {
			all = append(all, fmt.Sprintf("the guest's system disk is %d %% full (of %s). Remove what you don't need (rdd vm shell %s), or make it larger with rdd vm edit %[3]s and restart the VM", full, units.BytesSize(float64(disk.Capacity)), d.vm.Name))
		}
	}
	if disk, err := d.host(); err == nil && disk.Free < minHostFree {
		all = append(all, fmt.Sprintf("the disk of this computer that holds %s is nearly full: less than %s are free. The guest is paused when nothing is left: free some space", d.vm.Home, units.BytesSize(minHostFree)))
	}
	return all
}
