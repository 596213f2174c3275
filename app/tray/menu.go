// Package tray is the icon in the desktop's panel and its menu. Look computes from a snapshot of the core what both show,
// Display draws it, and Tray runs both and carries out clicks. rdd-tray runs it.
package tray

import (
	"fmt"
	"strings"

	"rancherdesktop.io/rdd/core"
)

// Verb is what a click on an item does, or which kind of item it is.
type Verb string

// The verbs of items that can be clicked.
const (
	StartService  Verb = "start-service"
	StopService   Verb = "stop-service"
	CancelService Verb = "cancel-service" // the start under way
	ForceService  Verb = "force-service"  // the stop under way
	StartApp      Verb = "start-app"
	CancelApp     Verb = "cancel-app" // the start under way
	StopApp       Verb = "stop-app"
	ForceApp      Verb = "force-app" // the stop under way
	OpenPort      Verb = "open-port"
	ContainerLogs Verb = "container-logs"
	StopContainer Verb = "stop-container"
	Containers    Verb = "containers"
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

// The verbs of items that can't be clicked.
const (
	textItem       Verb = "text"
	separator      Verb = "separator"
	containerGroup Verb = "container-group" // a submenu of containers
	containerItem  Verb = "container"       // a container, with its actions in a submenu
	vmItem         Verb = "vm"              // a VM, with its actions in a submenu
	vmGroup        Verb = "vm-group"        // a submenu of VMs
)

// ID identifies an item. It stays the same while the title and state of the item change, so that a click never counts
// for another item that has taken the place.
type ID struct {
	Verb Verb
	VM   string // the VM, or the container's object; without one, what distinguishes items of the same verb
}

// Item is one line of the menu.
type Item struct {
	ID       ID
	Title    string
	Check    bool // it has a check box
	Checked  bool
	Disabled bool
	Hidden   bool
	Items    []Item // its submenu
}

// State is everything that the icon and the menu depend on.
type State struct {
	Instance string
	Seen     bool // there was a snapshot
	Snapshot core.Snapshot
	// Containers are those of the engine, by name.
	Containers []*core.Container
	Findings   int  // problems and warnings of the last diagnosis
	AtLogin    bool // RDD starts at login
}

// View is what the tray shows.
type View struct {
	Icon    Icon
	Tooltip string
	Items   []Item
}

// Look returns what the tray shows for a state.
func Look(s State) View {
	tooltip := summary(s)
	if app := appSummary(s); app != "" {
		tooltip += "\n" + short(app)
	}
	return View{Icon: iconOf(s), Tooltip: tooltip, Items: Menu(s)}
}

// Menu returns the menu for a state. Except for the VMs and containers, its first level always has the same items; items that make no
// sense in this state are hidden.
func Menu(s State) []Item {
	service := s.Snapshot.Service.State
	running := service == core.ServiceRunning
	down := service == core.ServiceStopped || service == core.ServiceNotCreated || service == core.ServiceBroken
	items := []Item{
		{ID: ID{Verb: textItem}, Title: summary(s), Disabled: true},
		{ID: ID{Verb: StartService}, Title: "Start RDD", Hidden: !down && s.Seen, Disabled: !s.Seen},
		{ID: ID{Verb: CancelService}, Title: "Cancel start", Hidden: service != core.ServiceStarting},
		{ID: ID{Verb: StopService}, Title: "Stop RDD", Hidden: down && service != core.ServiceBroken || service == core.ServiceStarting || !s.Seen, Disabled: service == core.ServiceStopping},
		{ID: ID{Verb: ForceService}, Title: "Force stop (unsaved data is lost)", Hidden: service != core.ServiceStopping},
	}
	items = append(items, appItems(s)...)
	items = append(items, Item{ID: ID{separator, "1"}})
	items = append(items, vmItems(s.Snapshot.VMs)...)
	noVM := ID{textItem, "no VM"}
	if len(s.Snapshot.VMs) == 0 {
		items = append(items, Item{ID: noVM, Title: "No virtual machines", Disabled: true, Hidden: !running || s.Snapshot.Err != nil})
	}
	diagnostics := "Diagnostics…"
	if s.Findings > 0 {
		diagnostics = fmt.Sprintf("Diagnostics (%d)…", s.Findings)
	}
	return append(items,
		Item{ID: ID{separator, "2"}},
		Item{ID: ID{Verb: Open}, Title: "Open RDD…"},
		Item{ID: ID{Verb: Settings}, Title: "Settings…"},
		Item{ID: ID{Verb: Diagnostics}, Title: diagnostics},
		Item{ID: ID{Verb: Login}, Title: "Start at login", Check: true, Checked: s.AtLogin},
		Item{ID: ID{separator, "3"}},
		Item{ID: ID{Verb: Quit}, Title: "Quit"},
	)
}

// maxLineLength is how many characters of a text a menu shows. The window shows all.
const maxLineLength = 70

// summary describes the state in one line.
func summary(s State) string {
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
		line = name + " is checking its service"
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
		line = name + " does not respond: " + s.Snapshot.Err.Error()
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
		line = fmt.Sprintf("%s is running, %d of %d virtual machines running", name, up, len(s.Snapshot.VMs))
	}
	return short(line)
}

// short returns the first line of a text, cut to maxLineLength characters.
func short(text string) string {
	text, _, _ = strings.Cut(text, "\n")
	if letters := []rune(text); len(letters) > maxLineLength {
		return strings.TrimRight(string(letters[:maxLineLength-1]), " ") + "…"
	}
	return text
}
