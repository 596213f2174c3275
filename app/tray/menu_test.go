package tray

import (
	"bytes"
	"errors"
	"fmt"
	"image/png"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
)

// testVM returns a VM with this desired state, and with this status and reason of its condition Running.
func testVM(name string, run bool, status metav1.ConditionStatus, reason string) core.VM {
	vm := core.VM{ObjectMeta: metav1.ObjectMeta{Name: name, Generation: 1}}
	vm.Spec.Running = run
	vm.Status.ObservedGeneration = 1
	vm.Status.Conditions = []metav1.Condition{{Type: "Running", Status: status, Reason: reason, Message: "because", ObservedGeneration: 1}}
	return vm
}

func deleted(vm core.VM) core.VM {
	vm.DeletionTimestamp = &metav1.Time{Time: time.Unix(0, 0)}
	return vm
}

// outline returns a menu as text: hidden items are left out, disabled ones have parentheses.
func outline(items []Item, indent string) string {
	var b strings.Builder
	for _, i := range items {
		title := i.Title
		switch {
		case i.Hidden:
			continue
		case i.ID.Verb == separator:
			title = "--"
		case i.Check && i.Checked:
			title = "[x] " + title
		case i.Check:
			title = "[ ] " + title
		case i.Disabled:
			title = "(" + title + ")"
		}
		b.WriteString(indent + title + "\n" + outline(i.Items, indent+"\t"))
	}
	return b.String()
}

const tail = "--\nOpen RDD…\nSettings…\nDiagnostics…\n[ ] Start at login\n--\nQuit\n"

func TestMenuOfTheService(t *testing.T) {
	service := func(state core.ServiceState, step, problem string) State {
		return State{Instance: "default", Seen: true, Snapshot: core.Snapshot{Service: core.ServiceStatus{State: state, Step: step, Error: problem}}}
	}
	running := service(core.ServiceRunning, "ready", "")
	other := running
	other.Instance = "work"
	silent := running
	silent.Snapshot.Err = errors.New("no answer\nat all")
	atLogin := service(core.ServiceStopped, "", "")
	atLogin.AtLogin, atLogin.Findings = true, 3
	for _, tc := range []struct {
		what  string
		state State
		icon  Icon
		want  string
	}{
		{"before the first snapshot", State{Instance: "default"}, IconStopped, "(RDD is checking its service)\n(Start RDD)\n--\n" + tail},
		{"never created", service(core.ServiceNotCreated, "", ""), IconStopped, "(RDD is not set up yet)\nStart RDD\n--\n" + tail},
		{"stopped", service(core.ServiceStopped, "", ""), IconStopped, "(RDD is stopped)\nStart RDD\n--\n" + tail},
		{"crashed", service(core.ServiceStopped, "", "the last run ended"), IconStopped, "(RDD is stopped: the last run ended)\nStart RDD\n--\n" + tail},
		{"starting", service(core.ServiceStarting, "opening the datastore", ""), IconStarting, "(RDD is starting: opening the datastore)\nCancel start\n--\n" + tail},
		{"starting, no step yet", service(core.ServiceStarting, "", ""), IconStarting, "(RDD is starting)\nCancel start\n--\n" + tail},
		{"running", running, IconRunning, "(RDD is running)\nStop RDD\nStart the container engine\n--\n(No virtual machines)\n" + tail},
		{"another instance", other, IconRunning, "(RDD (work) is running)\nStop RDD\nStart the container engine\n--\n(No virtual machines)\n" + tail},
		{"the service does not respond", silent, IconError, "(RDD does not respond: no answer)\nStop RDD\n--\n" + tail},
		{"stopping", service(core.ServiceStopping, "stopping demo", ""), IconStopping, "(RDD is stopping: stopping demo)\n(Stop RDD)\nForce stop (unsaved data is lost)\n--\n" + tail},
		{"broken", service(core.ServiceBroken, "", strings.Repeat("long ", 30)), IconError,
			"(RDD has a problem: long long long long long long long long long long…)\nStart RDD\nStop RDD\n--\n" + tail},
		{"findings, at login", atLogin, IconStopped, "(RDD is stopped)\nStart RDD\n--\n" +
			strings.NewReplacer("Diagnostics", "Diagnostics (3)", "[ ]", "[x]").Replace(tail)},
	} {
		v := Look(tc.state)
		if got := outline(v.Items, ""); got != tc.want || v.Icon != tc.icon {
			t.Errorf("%s: icon %s, want %s; menu\n%swant\n%s", tc.what, v.Icon, tc.icon, got, tc.want)
		}
		if v.Tooltip != v.Items[0].Title {
			t.Errorf("%s: the tooltip says %q", tc.what, v.Tooltip)
		}
	}
}

func TestMenuOfAVM(t *testing.T) {
	const up, unknown, down = metav1.ConditionTrue, metav1.ConditionUnknown, metav1.ConditionFalse
	booting := testVM("demo", true, unknown, "Starting")
	booting.Status.Progress = &v1alpha1.Progress{Phase: "image", Bytes: 42, Total: 100}
	for _, tc := range []struct {
		vm   core.VM
		icon Icon
		want string // title, then what can be clicked
	}{
		{testVM("demo", true, up, "Started"), IconRunning, "demo: running|Stop|Restart|Shell…|Logs…"},
		{testVM("demo", false, down, "Stopped"), IconRunning, "demo: stopped|Start|Logs…"},
		{testVM("demo", false, unknown, "Pending"), IconRunning, "demo: pending|Start|Logs…"},
		{testVM("demo", true, down, "Stopped"), IconStarting, "demo: stopped|Cancel start|Logs…"},
		{booting, IconStarting, "demo: starting, image 42 %|Cancel start|Shell…|Logs…"},
		{testVM("demo", true, unknown, "StartFailed"), IconStarting, "demo: start failed|(because)|Cancel start|Logs…"},
		{testVM("demo", true, down, "StartFailed"), IconError, "demo: start failed|(because)|Start|Stop|Logs…"},
		{testVM("demo", false, down, "CreateFailed"), IconError, "demo: create failed|(because)|Start|Logs…"},
		{testVM("demo", false, up, "Started"), IconStopping, "demo: running|Force stop (unsaved data is lost)|Shell…|Logs…"},
		{testVM("demo", false, unknown, "Stopping"), IconStopping, "demo: stopping|Force stop (unsaved data is lost)|Shell…|Logs…"},
		{testVM("demo", true, unknown, "Stopping"), IconStarting, "demo: stopping|Cancel start|Shell…|Logs…"}, // a restart
		{testVM("demo", true, unknown, "Unresponsive"), IconRunning, "demo: unresponsive|Stop|Restart|Shell…|Logs…"},
		{testVM("demo", true, unknown, "Paused"), IconRunning, "demo: paused|Stop|Restart|Shell…|Logs…"},
		{deleted(testVM("demo", true, up, "Started")), IconStopping, "demo: deleting|Shell…|Logs…"},
	} {
		item := itemOf(&tc.vm)
		got := []string{item.Title}
		for _, i := range item.Items {
			switch {
			case i.ID.VM != "demo":
				t.Errorf("%q is about %q", i.Title, i.ID.VM)
			case i.Hidden, i.Disabled && i.ID.Verb != textItem:
			case i.Disabled:
				got = append(got, "("+i.Title+")")
			default:
				got = append(got, i.Title)
			}
		}
		s := State{Seen: true, Snapshot: core.Snapshot{Service: core.ServiceStatus{State: core.ServiceRunning}, VMs: []core.VM{tc.vm}}}
		if strings.Join(got, "|") != tc.want || iconOf(s) != tc.icon {
			t.Errorf("%s, run %t: icon %s, want %s\n%s\nwant\n%s", tc.vm.Status.Conditions[0].Reason, tc.vm.Spec.Running, iconOf(s), tc.icon, strings.Join(got, "|"), tc.want)
		}
	}
}

func manyVMs(n int) (vms []core.VM) {
	for i := range n {
		vms = append(vms, testVM(fmt.Sprintf("vm-%02d", i), i%2 == 0, map[bool]metav1.ConditionStatus{true: "True", false: "False"}[i%2 == 0], map[bool]string{true: "Started", false: "Stopped"}[i%2 == 0]))
	}
	return vms
}

// longest returns the length of the longest list in a menu, and how many VMs the menu has.
func longest(items []Item) (n, vms int) {
	for _, i := range items {
		if !i.Hidden {
			n++
		}
		if i.ID.Verb == vmItem {
			vms++
		}
	}
	for _, i := range items {
		below, more := longest(i.Items)
		n, vms = max(n, below), vms+more
	}
	return n, vms
}

func TestManyVMsFitOnAScreen(t *testing.T) {
	for _, n := range []int{0, 1, 10, 11, 20, 21, 50, 200} {
		menu := Menu(State{Seen: true, Snapshot: core.Snapshot{Service: core.ServiceStatus{State: core.ServiceRunning}, VMs: manyVMs(n)}})
		if lines, vms := longest(menu); lines > 22 || vms != n {
			t.Errorf("%d VMs: a list of %d lines, %d VMs in all", n, lines, vms)
		}
	}
	if got := vmItems(manyVMs(50))[0].Items[1].Title; got != "vm-20 – vm-39" {
		t.Errorf("second submenu: %q", got)
	}
}

// The display distinguishes items by their IDs, and can't remove a separator from a submenu.
func TestItemsHaveUniqueIDs(t *testing.T) {
	for _, n := range []int{0, 3, 15, 50} {
		seen := map[ID]bool{}
		var walk func(items []Item, top bool)
		walk = func(items []Item, top bool) {
			for _, i := range items {
				if seen[i.ID] || i.ID.Verb == separator && !top {
					t.Errorf("%d VMs: %v twice, or a separator in a submenu", n, i.ID)
				}
				seen[i.ID] = true
				walk(i.Items, false)
			}
		}
		walk(Menu(State{Seen: true, Snapshot: core.Snapshot{VMs: manyVMs(n)}}), true)
	}
}

// Only a change of the list of VMs may change which items there are, because the display rebuilds the menu for it.
func TestAStateChangesOnlyTheItemsOfVMs(t *testing.T) {
	ids := func(s State) (all []ID) {
		for _, i := range Menu(s) {
			all = append(all, i.ID)
		}
		return all
	}
	first := ids(State{})
	for _, state := range []core.ServiceState{core.ServiceNotCreated, core.ServiceStopped, core.ServiceStarting, core.ServiceRunning, core.ServiceStopping, core.ServiceBroken} {
		if got := ids(State{Seen: true, Findings: 2, Snapshot: core.Snapshot{Service: core.ServiceStatus{State: state}}}); !slices.Equal(got, first) {
			t.Errorf("%s: %v, want %v", state, got, first)
		}
	}
}

// Icons must differ in shape and not only in colour: each sets other pixels.
func TestIconsDifferInShape(t *testing.T) {
	for _, dark := range []bool{true, false} {
		shapes := map[string]string{}
		for _, icon := range []Icon{IconStopped, IconStarting, IconRunning, IconStopping, IconError} {
			for frame := range iconFrames {
				img, err := png.Decode(bytes.NewReader(picture(icon, frame, dark)))
				if err != nil {
					t.Fatal(err)
				}
				var drawn strings.Builder
				for y := range img.Bounds().Dy() {
					for x := range img.Bounds().Dx() {
						_, _, _, a := img.At(x, y).RGBA()
						drawn.WriteByte(map[bool]byte{true: '#', false: '.'}[a > 0xc000])
					}
				}
				name := fmt.Sprint(icon, frame)
				if icon != IconStarting {
					name = string(icon)
				}
				if other, same := shapes[drawn.String()]; same && other != name {
					t.Errorf("%s looks as %s", name, other)
				}
				shapes[drawn.String()] = name
			}
		}
		if len(shapes) != 4+iconFrames {
			t.Errorf("%d shapes", len(shapes))
		}
	}
}
