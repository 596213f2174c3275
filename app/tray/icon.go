package tray

import (
	"fmt"

	"rancherdesktop.io/rdd/core"
)

// Icon is what the panel shows. The icons differ in shape, not only in colour.
type Icon string

// The icons.
const (
	IconStopped  Icon = "stopped"
	IconStarting Icon = "starting" // animated
	IconRunning  Icon = "running"
	IconStopping Icon = "stopping"
	IconError    Icon = "error"
)

// iconFrames is the number of pictures of IconStarting.
const iconFrames = 4

// picture returns the file of an icon, for a light or a dark panel. build/icons draws the files.
func picture(icon Icon, frame int, dark bool) []byte {
	name := string(icon)
	if icon == IconStarting {
		name = fmt.Sprintf("%s-%d", icon, frame%iconFrames)
	}
	panel := "light"
	if dark {
		panel = "dark"
	}
	b, err := iconFiles.ReadFile(fmt.Sprintf("icons/%s-%s.%s", name, panel, iconFormat))
	if err != nil {
		panic(err) // a test reads them all
	}
	return b
}

// iconOf returns the icon for a state. An error has precedence, then a change in progress.
func iconOf(s State) Icon {
	starting, stopping := false, false
	for i := range s.Snapshot.VMs {
		switch phaseOf(&s.Snapshot.VMs[i]) {
		case phaseFailed:
			return IconError
		case phaseStarting:
			starting = true
		case phaseStopping, phaseGoing:
			stopping = true
		case phaseUp, phaseDown:
		}
	}
	switch state, _ := appState(s); state {
	case core.AppBroken:
		return IconError
	case core.AppStarting, core.AppRestarting:
		starting = true
	case core.AppStopping, core.AppDeleting:
		stopping = true
	case core.AppNotCreated, core.AppStopped, core.AppRunning:
	}
	service := s.Snapshot.Service.State
	switch {
	case !s.Seen, service == core.ServiceStopped, service == core.ServiceNotCreated:
		return IconStopped
	case service == core.ServiceStopping:
		return IconStopping
	case s.Snapshot.Err != nil, service == core.ServiceBroken:
		return IconError
	case service == core.ServiceStarting, starting:
		return IconStarting
	case stopping:
		return IconStopping
	}
	return IconRunning
}
