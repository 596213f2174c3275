package tray

import (
	"fmt"
	"net"
	"slices"
	"strings"

	"rancherdesktop.io/rdd/core"
)

// mostContainers is how many running containers the menu shows. The window shows all.
const mostContainers = 15

// appState returns the state of the App, and what it is waiting for or why it is broken; not-created while the service does
// not respond.
func appState(s State) (core.AppState, string) {
	if s.Snapshot.App == nil || s.Snapshot.Err != nil || s.Snapshot.Service.State != core.ServiceRunning {
		return core.AppNotCreated, ""
	}
	return core.DescribeApp(s.Snapshot.Service, s.Snapshot.App)
}

// appSummary describes the App in a few words: the engine and its virtual machine, or the step of a change; empty if there is
// none.
func appSummary(s State) string {
	state, message := appState(s)
	a := s.Snapshot.App
	switch state {
	case core.AppNotCreated:
		return ""
	case core.AppRunning:
		engine := string(a.Spec.ContainerEngine.Name)
		if e := a.Status.Engine; e != nil {
			engine = strings.TrimSpace(string(e.Name) + " " + e.Version)
		}
		return "Running: " + engine + " in " + core.AppVM
	case core.AppStopped:
		return "The container engine is stopped"
	}
	text := map[core.AppState]string{
		core.AppStarting: "Starting", core.AppRestarting: "Restarting", core.AppStopping: "Stopping", core.AppDeleting: "Deleting",
	}[state]
	if text == "" {
		text = "The container engine has a problem"
	}
	text += " " + core.AppVM
	if p := a.Status.Progress; p != nil && state != core.AppBroken {
		return text + stepOf(p)
	}
	if state == core.AppBroken {
		text = strings.TrimSuffix(text, " "+core.AppVM)
	}
	if message != "" {
		text += ": " + message
	}
	return text
}

// stepOf describes a step, such as ", step 2 of 6: image 42 %".
func stepOf(p *core.VMProgress) string {
	text := ""
	if p.Steps > 0 {
		text = fmt.Sprintf(", step %d of %d", p.Step, p.Steps)
	}
	text += ": " + p.Phase
	if p.Total > 0 {
		text += fmt.Sprintf(" %d %%", 100*p.Bytes/p.Total)
	}
	return text
}

// appItems returns the items of the container engine. They are always the same; those that make no sense are hidden.
func appItems(s State) []Item {
	state, _ := appState(s)
	text := appSummary(s)
	is := func(states ...core.AppState) bool { return slices.Contains(states, state) }
	changeable := s.Seen && s.Snapshot.Err == nil && s.Snapshot.Service.State == core.ServiceRunning
	return []Item{
		{ID: ID{textItem, "app"}, Title: short(text), Disabled: true, Hidden: text == ""},
		{ID: ID{Verb: StartApp}, Title: "Start the container engine", Hidden: !changeable || !is(core.AppNotCreated, core.AppStopped, core.AppBroken)},
		{ID: ID{Verb: CancelApp}, Title: "Cancel the start of the container engine", Hidden: !is(core.AppStarting)},
		{ID: ID{Verb: StopApp}, Title: "Stop the container engine", Hidden: !is(core.AppRunning, core.AppRestarting, core.AppBroken)},
		{ID: ID{Verb: ForceApp}, Title: "Force stop the container engine (unsaved data is lost)", Hidden: !is(core.AppStopping)},
		containersItem(s),
	}
}

// containersItem returns the submenu of the containers that run.
func containersItem(s State) Item {
	var running []*core.Container
	for _, c := range s.Containers {
		if c.Status.State == core.ContainerRunning {
			running = append(running, c)
		}
	}
	answers := s.Snapshot.Err == nil && core.EngineAnswers(s.Snapshot.App)
	group := Item{ID: ID{Verb: containerGroup}, Title: fmt.Sprintf("Containers (%d running)", len(running)), Hidden: !answers}
	more := "All containers…"
	if len(running) > mostContainers {
		running, more = running[:mostContainers], "More in the window…"
	}
	var ports []core.Port
	if answers {
		ports = s.Snapshot.App.Status.Ports
	}
	for _, c := range running {
		item := Item{ID: ID{containerItem, c.Name}, Title: short(c.Status.Name)}
		item.Items = append(portItems(ports, c.Status.Name), Item{ID: ID{ContainerLogs, c.Name}, Title: "Logs…"}, Item{ID: ID{StopContainer, c.Name}, Title: "Stop"})
		group.Items = append(group.Items, item)
	}
	group.Items = append(group.Items, Item{ID: ID{Verb: Containers}, Title: more})
	return group
}

// portItems returns a container's ports: those over TCP to open, those over UDP and those that don't work to read.
func portItems(ports []core.Port, container string) (items []Item) {
	text := func(title string) {
		id := fmt.Sprintf("port %s %d", container, len(items))
		items = append(items, Item{ID: ID{textItem, id}, Title: title, Disabled: true})
	}
	for _, p := range forwarded(ports, container, "tcp") {
		items = append(items, Item{ID: ID{OpenPort, p.url}, Title: "Open " + p.address})
	}
	for _, p := range forwarded(ports, container, "udp") {
		text(p.address + " (UDP)")
	}
	for _, sentence := range failedPorts(ports, container) {
		for i, line := range wrap(sentence) {
			text(strings.Repeat(" ", 4*min(i, 1)) + line)
		}
	}
	return items
}

// failedPorts says why ports of a container are not forwarded. Addresses with the same port and reason share a sentence.
func failedPorts(ports []core.Port, container string) (sentences []string) {
	type failure struct{ port, reason string }
	var failures []failure
	addresses := map[failure][]string{}
	for i := range ports {
		p := &ports[i]
		_, port, err := net.SplitHostPort(p.HostAddress)
		if err != nil || p.Container != container || p.State == core.PortForwarded {
			continue
		}
		udp := ""
		if p.Protocol == "udp" {
			udp = " (UDP)"
		}
		f := failure{port + udp, core.PortStateText(p)}
		if addresses[f] == nil {
			failures = append(failures, f)
		}
		addresses[f] = append(addresses[f], p.HostAddress+udp)
	}
	for _, f := range failures {
		subject := f.port
		if len(addresses[f]) == 1 {
			subject = addresses[f][0]
		}
		sentences = append(sentences, subject+": "+f.reason)
	}
	return sentences
}

// wrap breaks a text into lines of at most maxLineLength characters, if its words are shorter.
func wrap(text string) (lines []string) {
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len([]rune(line))+1+len([]rune(word)) > maxLineLength {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimLeft(line+" "+word, " ")
	}
	return append(lines, line)
}

// openPort is a port that is forwarded. A browser can open its URL if it is one of TCP.
type openPort struct{ address, url string }

// forwarded returns the ports of a container that are forwarded over a protocol, each once: on loopback, if it is there.
func forwarded(ports []core.Port, container, protocol string) (all []openPort) {
	seen := map[string]bool{}
	for _, loopback := range []bool{true, false} {
		for i := range ports {
			p := &ports[i]
			host, port, err := net.SplitHostPort(p.HostAddress)
			if err != nil || p.Container != container || p.Protocol != protocol || p.State != core.PortForwarded || seen[port] {
				continue
			}
			ip := net.ParseIP(host)
			if local := ip == nil || ip.IsLoopback() || ip.IsUnspecified(); local != loopback {
				continue
			}
			seen[port] = true
			if loopback {
				host = "localhost"
			}
			address, scheme := net.JoinHostPort(host, port), "http"
			if _, inside, _ := net.SplitHostPort(p.GuestAddress); strings.HasSuffix(inside, "443") { // 443, 8443
				scheme = "https"
			}
			all = append(all, openPort{address, scheme + "://" + address})
		}
	}
	return all
}
