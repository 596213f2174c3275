package machine

import (
	"slices"
	"strings"
	"testing"
	"time"

	"rancherdesktop.io/rdd/internal/machine/event"
)

func TestBootWithoutProgressSaysWhyAndSinceWhen(t *testing.T) {
	w := &worker{config: Config{Changed: func(string) {}}}
	began := time.Unix(1000, 0)
	boot := event.Event{Time: began, Phase: event.Boot, Step: 3, Steps: 5, Message: "booting"}
	w.apply(&hostagent{}, boot)
	boot.Time, boot.Said = began.Add(time.Minute), "Permissions 0644 for '/l/_config/user' are too open."
	w.apply(&hostagent{}, boot)
	p := w.snapshot().Progress
	if !p.StartedAt.Equal(began) || !strings.Contains(p.Message, boot.Said) || !strings.Contains(p.Message, "known problem ssh-key-open") {
		t.Errorf("%+v", p)
	}
	w.apply(&hostagent{}, event.Event{Phase: event.Guest, Step: 4, Steps: 5, Message: "waiting", Said: "no space left on device"})
	if p := w.snapshot().Progress; strings.Contains(p.Message, "known problem") {
		t.Error("the guest's words are taken for the host's:", p.Message)
	}
}

func TestProblemsOfARunningVMAreThoseOfAllSources(t *testing.T) {
	w := &worker{config: Config{Changed: func(string) {}}}
	a := &hostagent{}
	says := func(e event.Event, want ...string) {
		t.Helper()
		w.apply(a, e)
		if got := w.snapshot().Problems; !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	says(event.Event{Running: true, Degraded: []string{"provision[0] failed"}}, "provision[0] failed")
	says(event.Event{Trouble: &event.Trouble{Source: event.FromPorts, Messages: []string{"8080 is\x1b[0m taken"}}}, "provision[0] failed", "8080 is[0m taken")
	says(event.Event{Trouble: &event.Trouble{Source: event.FromConnection, Messages: []string{"no docker"}}}, "provision[0] failed", "no docker", "8080 is[0m taken")
	says(event.Event{Trouble: &event.Trouble{Source: event.FromPorts}}, "provision[0] failed", "no docker")
	says(event.Event{Health: &event.Health{}}, "provision[0] failed", "no docker")
	w.stopped(Stopped)
	if got := w.snapshot().Problems; len(got) > 0 {
		t.Error(got)
	}
}

func TestForwardedPortsOfARunningVMAreKnown(t *testing.T) {
	w := &worker{config: Config{Changed: func(string) {}}}
	a := &hostagent{}
	web := event.Port{Protocol: "tcp", HostAddress: "127.0.0.1:8080", GuestAddress: "0.0.0.0:8080", State: event.PortForwarded}
	dns := event.Port{Protocol: "udp", HostAddress: "127.0.0.1:53", GuestAddress: "0.0.0.0:53", State: event.PortBusy, Message: "dns\x1b[0m has it"}
	has := func(want ...event.Port) {
		t.Helper()
		if got := w.snapshot().Ports; !slices.Equal(got, want) {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	w.apply(a, event.Event{Running: true})
	w.apply(a, event.Event{Ports: &event.Ports{Set: []event.Port{web, dns}}})
	dns.Message = "dns[0m has it"
	has(dns, web)
	w.apply(a, event.Event{Health: &event.Health{}})
	has(dns, web)
	web.Container = "web"
	w.apply(a, event.Event{Ports: &event.Ports{Set: []event.Port{web}, Removed: []event.PortKey{dns.Key()}}})
	has(web)
	w.stopped(Stopped)
	has()
}
