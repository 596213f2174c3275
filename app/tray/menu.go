// Package tray is the icon in the desktop's panel and its menu. Look says, from a snapshot of the core
// alone, what both show; Display draws it; an Operator carries out what is clicked. rdd-tray runs them.
package tray

import (
	"fmt"
	"strings"

	"rancherdesktop.io/rdd/core"
)

// Verb is what an item is about, and what a click on it asks for.
type Verb string

// The verbs of items that can be clicked.
const (
	StartService  Verb = "start-service"
	StopService   Verb = "stop-service"
	CancelService Verb = "cancel-service" // the start under way
	ForceService  Verb = "force-service"  // the stop under way
	StartVM       Verb = "start"
	StopVM        Verb = "stop"
	RestartVM     Verb = "restart"
	CancelVM      Verb = "cancel" // the start under way
	ForceVM       Verb = "force"  // the stop under way
	Shell         Verb = "shell"
	Logs          Verb = "logs"
	Open          Verb = "open"
	Settings      Verb = "settings"
	Diagnostics   Verb = "diagnostics"
	Login         Verb = "login"
	Quit          Verb = "quit"
)

// The verbs of items that nothing happens at.
const (
	said    Verb = "said"    // words
	rule    Verb = "rule"    // a line between others
	machine Verb = "machine" // a VM, with its actions below
	several Verb = "several" // VMs below
)

// ID says which item it is. It stays the same while its title and state change, so that a click is
// never taken for one on what stands in the item's place by now.
type ID struct {
	Verb Verb
	VM   string // the VM it is about; else what tells it from others of its verb
}

// Item is one line of the menu.
type Item struct {
	ID       ID
	Title    string
	Check    bool // it has a box, which may be Checked
	Checked  bool
	Disabled bool
	Hidden   bool
	Items    []Item // its submenu
}

// State is all that icon and menu depend on.
type State struct {
	Instance string
	Seen     bool // Snapshot was given; it is empty before
	Snapshot core.Snapshot
	Findings int  // problems and warnings of the last diagnosis
	AtLogin  bool // RDD starts at login
}

// View is what the tray shows.
type View struct {
	Icon    Icon
	Tooltip string
	Items   []Item
}

// Look says what to show of a state.
func Look(s State) View {
	return View{Icon: iconOf(s), Tooltip: words(s), Items: Menu(s)}
}

// Menu is the menu for a state. The items of its first level are always the same but for the VMs;
// those that make no sense now are hidden.
func Menu(s State) []Item {
	service := s.Snapshot.Service.State
	running := service == core.ServiceRunning
	down := service == core.ServiceStopped || service == core.ServiceNotCreated || service == core.ServiceBroken
	items := []Item{
		{ID: ID{Verb: said}, Title: words(s), Disabled: true},
		{ID: ID{Verb: StartService}, Title: "Start RDD", Hidden: !down && s.Seen, Disabled: !s.Seen},
		{ID: ID{Verb: CancelService}, Title: "Cancel the start", Hidden: service != core.ServiceStarting},
		{ID: ID{Verb: StopService}, Title: "Stop RDD", Hidden: down && service != core.ServiceBroken || service == core.ServiceStarting || !s.Seen, Disabled: service == core.ServiceStopping},
		{ID: ID{Verb: ForceService}, Title: "Force the stop, and lose what guests have not written yet", Hidden: service != core.ServiceStopping},
		{ID: ID{rule, "1"}},
	}
	items = append(items, machines(s.Snapshot.VMs)...)
	noVM := ID{said, "no VM"}
	if len(s.Snapshot.VMs) == 0 {
		items = append(items, Item{ID: noVM, Title: "No virtual machines", Disabled: true, Hidden: !running || s.Snapshot.Err != nil})
	}
	diagnostics := "Diagnostics…"
	if s.Findings > 0 {
		diagnostics = fmt.Sprintf("Diagnostics (%d)…", s.Findings)
	}
	return append(items,
		Item{ID: ID{rule, "2"}},
		Item{ID: ID{Verb: Open}, Title: "Open RDD…"},
		Item{ID: ID{Verb: Settings}, Title: "Settings…"},
		Item{ID: ID{Verb: Diagnostics}, Title: diagnostics},
		Item{ID: ID{Verb: Login}, Title: "Start at login", Check: true, Checked: s.AtLogin},
		Item{ID: ID{rule, "3"}},
		Item{ID: ID{Verb: Quit}, Title: "Quit"},
	)
}

// maxLineLength is the most characters of an error that a menu shows; the window has the rest.
const maxLineLength = 70

// words puts the state into one line.
func words(s State) string {
	name := "RDD"
	if s.Instance != "" && s.Instance != core.DefaultInstance {
		name = fmt.Sprintf("RDD (%s)", s.Instance)
	}
	service := s.Snapshot.Service
	step := func(text string) string {
		if service.Step == "" {
			return name + text
		}
		return name + text + ": " + service.Step
	}
	var line string
	switch {
	case !s.Seen:
		line = name + " is looking for its service"
	case service.State == core.ServiceNotCreated:
		line = name + " is not set up yet"
	case service.State == core.ServiceStopped:
		line = name + " is stopped"
		if service.Error != "" {
			line += ": " + service.Error
		}
	case service.State == core.ServiceStarting:
		line = step(" is starting")
	case service.State == core.ServiceStopping:
		line = step(" is stopping")
	case s.Snapshot.Err != nil:
		line = name + " can't be asked: " + s.Snapshot.Err.Error()
	case service.State == core.ServiceBroken:
		line = name + " has a problem: " + service.Error
	case len(s.Snapshot.VMs) == 0:
		line = name + " is running"
	default:
		up := 0
		for i := range s.Snapshot.VMs {
			if phaseOf(&s.Snapshot.VMs[i]) == phaseUp {
				up++
			}
		}
		line = fmt.Sprintf("%s is running, %s", name, count(up, len(s.Snapshot.VMs)))
	}
	return short(line, maxLineLength)
}

// count says how many of all VMs run.
func count(up, all int) string {
	if all == 1 {
		return map[bool]string{true: "and so is its virtual machine", false: "its virtual machine is not"}[up == 1]
	}
	return fmt.Sprintf("%d of %d virtual machines are up", up, all)
}

// short is the first line of a text, and of it no more than limit characters.
func short(text string, limit int) string {
	text, _, _ = strings.Cut(text, "\n")
	if letters := []rune(text); len(letters) > limit {
		return strings.TrimRight(string(letters[:limit-1]), " ") + "…"
	}
	return text
}
