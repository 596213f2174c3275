package tray

import (
	"fmt"
	"strings"

	"rancherdesktop.io/rdd/core"
)

// More VMs than these would make the menu, or one submenu of it, longer than a screen.
const (
	mostInMenu    = 10
	mostInSubmenu = 20
)

// phase is where a VM is between down and up, as was asked of it.
type phase int

const (
	phaseDown phase = iota
	phaseStarting
	phaseUp
	phaseStopping
	phaseFailed // waiting can't help
	phaseGoing  // it is being deleted
)

func phaseOf(vm *core.VM) phase {
	state := core.Describe(vm).State
	up := state == "Running" || state == "Unresponsive" || state == "Paused"
	_, permanent := vm.Failure()
	switch {
	case vm.DeletionTimestamp != nil:
		return phaseGoing
	case permanent:
		return phaseFailed
	case up && vm.Spec.Running:
		return phaseUp
	case vm.Spec.Running:
		return phaseStarting
	case up, state == "Stopping", state == "StopFailed", state == "Starting":
		return phaseStopping
	}
	return phaseDown
}

// machines are the items of all VMs: in the menu while they are few, else in a submenu, else in
// submenus by name.
func machines(vms []core.VM) []Item {
	var all []Item
	for i := range vms {
		all = append(all, machineItem(&vms[i]))
	}
	if len(all) <= mostInMenu {
		return all
	}
	folder := Item{ID: ID{Verb: several}, Title: fmt.Sprintf("Virtual machines (%d)", len(all)), Items: all}
	if len(all) > mostInSubmenu {
		folder.Items = nil
		for first := 0; first < len(all); first += mostInSubmenu {
			part := all[first:min(first+mostInSubmenu, len(all))]
			title := part[0].ID.VM
			if len(part) > 1 {
				title += " – " + part[len(part)-1].ID.VM
			}
			folder.Items = append(folder.Items, Item{ID: ID{several, part[0].ID.VM}, Title: title, Items: part})
		}
	}
	return []Item{folder}
}

// machineItem is one VM with what can be done to it.
func machineItem(vm *core.VM) Item {
	d := core.Describe(vm)
	at := phaseOf(vm)
	title := vm.Name + ": " + inWords(d.State)
	if d.Phase != "" {
		title += ", " + d.Phase
	}
	item := func(verb Verb, title string, enabled bool) Item {
		return Item{ID: ID{verb, vm.Name}, Title: title, Disabled: !enabled}
	}
	only := func(verb Verb, title string, shown bool) Item {
		return Item{ID: ID{verb, vm.Name}, Title: title, Hidden: !shown}
	}
	return Item{ID: ID{machine, vm.Name}, Title: short(title, maxLineLength), Items: []Item{
		{ID: ID{said, vm.Name}, Title: short(d.Problem, maxLineLength), Disabled: true, Hidden: d.Problem == ""},
		item(StartVM, "Start", at == phaseDown || at == phaseFailed),
		item(StopVM, "Stop", at == phaseUp || at == phaseFailed && vm.Spec.Running),
		item(RestartVM, "Restart", at == phaseUp),
		only(CancelVM, "Cancel the start", at == phaseStarting),
		only(ForceVM, "Force stop, and lose what the guest has not written yet", at == phaseStopping),
		item(Shell, "Shell…", core.CanEnter(vm)),
		item(Logs, "Logs…", true),
	}}
}

// inWords makes words of a state, such as "start failed" of StartFailed.
func inWords(state string) string {
	var b strings.Builder
	for i, letter := range state {
		if i > 0 && letter >= 'A' && letter <= 'Z' {
			b.WriteByte(' ')
		}
		b.WriteRune(letter)
	}
	return strings.ToLower(b.String())
}
