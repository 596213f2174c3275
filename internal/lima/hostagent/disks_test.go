package hostagent

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"rancherdesktop.io/rdd/internal/host"
	"rancherdesktop.io/rdd/internal/machine/event"
	"rancherdesktop.io/rdd/internal/machine/layout"
)

const gib = 1 << 30

// said is what a guest prints whose system disk has so many GiB in use of 10, and whose data disk so many of 20.
func said(system, data int64) string {
	return fmt.Sprintf(`Filesystem     1024-blocks    Used Available Capacity Mounted on
/dev/root         20466256 %d   %d      10%% /
Filesystem     1024-blocks    Used Available Capacity Mounted on
/dev/vdb          20971520 %d %d      42%% /mnt/rdd-data
`, system<<20, (10-system)<<20, data<<20, (20-data)<<20)
}

// watched runs a diskUse while the guest gives these answers, one after another; an empty one is an error. It returns what was
// reported.
func watched(t *testing.T, free uint64, answers ...string) (events []event.Event, pauses []time.Duration) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := -1
	d := &diskUse{
		vm: layout.VM{Home: "/lima", Name: "rd"}, report: func(e event.Event) { events = append(events, e) },
		disks: func() []event.DiskUse {
			return []event.DiskUse{{Name: event.SystemDisk, Allocated: gib, Maximum: 20 * gib}, {Name: event.DataDisk, Allocated: 2 * gib, Maximum: 21 * gib}}
		},
		host: func() (host.Disk, error) { return host.Disk{Free: free}, nil },
		ask: func(context.Context) (string, error) {
			if n++; answers[n] == "" {
				return "", errors.New("no answer")
			}
			return answers[n], nil
		},
	}
	d.after = func(pause time.Duration) <-chan time.Time {
		pauses = append(pauses, pause)
		if n == len(answers)-1 {
			cancel()
			return nil
		}
		now := make(chan time.Time, 1)
		now <- time.Time{}
		return now
	}
	d.run(ctx)
	return events, pauses
}

func TestDiskThatIsNearlyFullIsAProblemUntilSpaceIsFreed(t *testing.T) {
	events, pauses := watched(t, 100*gib, said(1, 5), said(1, 5), said(9, 18), said(1, 4))
	use := func(system, data int64) []event.DiskUse {
		return []event.DiskUse{
			{Name: "system", Used: system * gib, Capacity: 10 * gib, Allocated: gib, Maximum: 20 * gib},
			{Name: "data", Used: data * gib, Capacity: 20 * gib, Allocated: 2 * gib, Maximum: 21 * gib},
		}
	}
	if len(events) != 5 {
		t.Fatalf("%+v", events)
	}
	for i, want := range map[int][]event.DiskUse{0: use(1, 5), 1: use(9, 18), 3: use(1, 4)} {
		if !reflect.DeepEqual(events[i].Disks, want) {
			t.Errorf("%+v, want %+v", events[i].Disks, want)
		}
	}
	warning := events[2].Trouble
	if warning == nil || len(warning.Messages) != 1 || !strings.Contains(warning.Messages[0], "the guest's system disk is 90 % full (of 10GiB)") {
		t.Errorf("%+v", warning)
	}
	if gone := events[4].Trouble; gone == nil || len(gone.Messages) != 0 || gone.Source != event.FromDisks {
		t.Errorf("%+v", gone)
	}
	if !reflect.DeepEqual(pauses, []time.Duration{disksInterval, disksInterval, nearInterval, disksInterval}) {
		t.Error(pauses)
	}
}

// A guest that is busy for a while doesn't answer, and its disks are as full as before.
func TestDisksStayKnownWhileTheGuestDoesNotAnswer(t *testing.T) {
	if events, _ := watched(t, 100*gib, said(9, 18), "", said(9, 18)); len(events) != 2 {
		t.Errorf("%+v", events)
	}
}

func TestFullDiskOfThisComputerIsAProblem(t *testing.T) {
	events, _ := watched(t, gib, said(1, 1))
	if len(events) != 2 || events[1].Trouble == nil || !strings.Contains(strings.Join(events[1].Trouble.Messages, ""), "the disk of this computer that holds /lima is nearly full") {
		t.Errorf("%+v", events)
	}
}

// A guest without a data disk mounts nothing there, and df shows the root file system instead.
func TestSystemDiskIsNotTakenForTheDataDisk(t *testing.T) {
	one := strings.Split(said(1, 1), "\n")
	events, _ := watched(t, 100*gib, strings.Join([]string{one[0], one[1], one[0], one[1]}, "\n"))
	if len(events) != 1 || events[0].Disks[1].Used != 0 || events[0].Disks[0].Used != gib {
		t.Errorf("%+v", events)
	}
}
