package tray

import (
	"fmt"
	"strings"

	"rancherdesktop.io/rdd/core"
)

// With more VMs than these, the menu or a submenu would be longer than a screen.
const (
	mostInMenu    = 10
	mostInSubmenu = 20
)

// phase is where a VM is on its way to the desired state.
type phase int

const (
	phaseDown phase = iota
	phaseStarting
	phaseUp
	phaseStopping
	phaseFailed // RDD does not retry
	phaseGoing  // the VM is being deleted
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

// vmItems returns the items of all VMs: a few stand in the menu, more in a submenu, many in submenus by name.
func vmItems(vms []core.VM) []Item {
	var all []Item
	for i := range vms {
		all = append(all, itemOf(&vms[i]))
	}
	if len(all) <= mostInMenu {
		return all
	}
	folder := Item{ID: ID{Verb: vmGroup}, Title: fmt.Sprintf("Virtual machines (%d)", len(all)), Items: all}
	if len(all) > mostInSubmenu {
		folder.Items = nil
		for first := 0; first < len(all); first += mostInSubmenu {
			part := all[first:min(first+mostInSubmenu, len(all))]
			title := part[0].ID.VM
			if len(part) > 1 {
				title += " – " + part[len(part)-1].ID.VM
			}
			folder.Items = append(folder.Items, Item{ID: ID{vmGroup, part[0].ID.VM}, Title: title, Items: part})
		}
	}
	return []Item{folder}
}

// itemOf returns the item of a VM, with its actions.
func itemOf(vm *core.VM) Item {
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
	if core.ManagedByApp(vm) { // which can be changed only with the App
		return Item{ID: ID{vmItem, vm.Name}, Title: short(title), Items: []Item{
			{ID: ID{textItem, vm.Name}, Title: short(d.Problem), Disabled: true, Hidden: d.Problem == ""},
			item(Shell, "Shell…", core.CanEnter(vm)),
			item(Logs, "Logs…", true),
		}}
	}
	return Item{ID: ID{vmItem, vm.Name}, Title: short(title), Items: []Item{
		{ID: ID{textItem, vm.Name}, Title: short(d.Problem), Disabled: true, Hidden: d.Problem == ""},
		item(StartVM, "Start", at == phaseDown || at == phaseFailed),
		item(StopVM, "Stop", at == phaseUp || at == phaseFailed && vm.Spec.Running),
		item(RestartVM, "Restart", at == phaseUp),
		only(CancelVM, "Cancel start", at == phaseStarting),
		only(ForceVM, "Force stop (unsaved data is lost)", at == phaseStopping),
		item(Shell, "Shell…", core.CanEnter(vm)),
		item(Logs, "Logs…", true),
	}}
}

// inWords returns a state as text, such as "start failed" for StartFailed.
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
