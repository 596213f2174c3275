package ports

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"rancherdesktop.io/rdd/internal/forward"
)

// words writes wants as short words: PROTOCOL HOST -> GUEST, ! when it is refused, and the container.
func words(all []want) (lines []string) {
	for _, w := range all {
		line := fmt.Sprintf("%s %s -> %s", w.protocol, w.host, w.dial())
		if w.refused != "" {
			line = "! " + line
		}
		if w.container != "" {
			line += " " + w.container
		}
		lines = append(lines, line)
	}
	return lines
}

func expect(t *testing.T, name string, s sources, want ...string) {
	t.Helper()
	got := words(s.wanted())
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n got %s\nwant %s", name, strings.Join(got, "\n     "), strings.Join(want, "\n     "))
	}
}

func listener(protocol, at string) Listener {
	a := netip.MustParseAddrPort(at)
	return Listener{Protocol: protocol, IP: a.Addr(), Port: int(a.Port())}
}

func TestPortsOfContainersAreForwardedWhereTheyAskAndMay(t *testing.T) {
	web := func(hostIP string) []forward.Binding {
		return []forward.Binding{{Protocol: TCP, HostIP: hostIP, HostPort: 8080, GuestIP: "0.0.0.0", GuestPort: 8080, Container: "web"}}
	}
	published := func(hostIP string, allowed ...string) sources {
		return sources{ssh: []int{22}, published: forward.Published{Bindings: web(hostIP), Allowed: allowed}}
	}
	const (
		here4 = "tcp 127.0.0.1:8080 -> 127.0.0.1:8080 web"
		here6 = "tcp [::1]:8080 -> 127.0.0.1:8080 web"
		all4  = "tcp 0.0.0.0:8080 -> 127.0.0.1:8080 web"
		all6  = "tcp [::]:8080 -> 127.0.0.1:8080 web"
	)
	expect(t, "no address", published(""), here4, here6)
	expect(t, "no address, all allowed", published("", "0.0.0.0"), here4, here6)
	expect(t, "every address", published("0.0.0.0"), here4, here6, "! "+all4)
	expect(t, "every address, allowed", published("0.0.0.0", "0.0.0.0"), all4, here6)
	expect(t, "every IPv6 address", published("::"), here4, here6, "! "+all6)
	expect(t, "every IPv6 address, allowed", published("::", "::"), all6, here4)
	expect(t, "every address, only IPv6 allowed", published("0.0.0.0", "::"), here4, here6, "! "+all4)
	expect(t, "127.0.0.1", published("127.0.0.1"), here4)
	expect(t, "::1", published("::1"), here6)
	expect(t, "127.0.0.2", published("127.0.0.2"), "tcp 127.0.0.2:8080 -> 127.0.0.1:8080 web")
	expect(t, "another address", published("192.0.2.7"), "! tcp 192.0.2.7:8080 -> 127.0.0.1:8080 web")
	expect(t, "another address, allowed", published("192.0.2.7", "192.0.2.7"), "tcp 192.0.2.7:8080 -> 127.0.0.1:8080 web")
	expect(t, "another address, allowed by family", published("192.0.2.7", "0.0.0.0"), "tcp 192.0.2.7:8080 -> 127.0.0.1:8080 web")

	s := published("0.0.0.0", "192.0.2.7")
	for _, w := range s.wanted() {
		if w.refused != "" && !strings.Contains(w.refused, "rdd set ports.bindAddresses=192.0.2.7,0.0.0.0") {
			t.Error(w.refused)
		}
	}
	s = published("")
	s.listeners = []Listener{listener(TCP, "0.0.0.0:8080"), listener(TCP, "[::]:8080"), listener(TCP, "0.0.0.0:22"), listener(TCP, "[::]:22")}
	expect(t, "docker-proxy listens", s, here4, here6)
	s = published("127.0.0.1")
	s.published.Bindings[0].GuestIP = "127.0.0.1"
	s.listeners = []Listener{listener(TCP, "127.0.0.1:8080"), listener(UDP, "127.0.0.1:8080")}
	expect(t, "docker-proxy listens on 127.0.0.1, and another program on UDP", s, here4, "udp 127.0.0.1:8080 -> 127.0.0.1:8080", "udp [::1]:8080 -> 127.0.0.1:8080")
	s.listeners = []Listener{listener(TCP, "127.0.0.1:8080"), listener(TCP, "[::1]:8080"), listener(TCP, "127.0.0.1:8081")}
	expect(t, "other programs listen beside docker-proxy", s, here4, "tcp [::1]:8080 -> [::1]:8080", "tcp 127.0.0.1:8081 -> 127.0.0.1:8081", "tcp [::1]:8081 -> 127.0.0.1:8081")
	s.listeners = s.listeners[:1]
	s.rules = []Rule{{Protocol: TCP, GuestIP: loopback4, GuestPorts: [2]int{8080, 8080}, HostIP: loopback4, HostPorts: [2]int{9090, 9090}}}
	expect(t, "the template has a rule", s, "tcp 127.0.0.1:9090 -> 127.0.0.1:8080 web")

	expect(t, "no numbers and unknown protocols", sources{published: forward.Published{Bindings: []forward.Binding{
		{Protocol: "sctp", HostPort: 1, GuestPort: 1}, {Protocol: TCP, GuestPort: 80}, {Protocol: TCP, HostPort: 80}, {Protocol: UDP, HostPort: 70000, GuestPort: 80}, {}}}})
}

func TestListenersOfTheGuestAreForwardedToThisHostOnly(t *testing.T) {
	s := sources{ssh: []int{22, 60022}}
	for _, at := range []string{"0.0.0.0:22", "[::]:22", "127.0.0.1:60022", "0.0.0.0:80", "[::]:80", "[::]:81", "127.0.0.1:82", "[::1]:83", "127.0.0.53:53", "172.17.0.1:84"} {
		s.listeners = append(s.listeners, listener(TCP, at))
	}
	for _, at := range []string{"0.0.0.0:22", "0.0.0.0:40000", "[::1]:40001", "127.0.0.1:62000", "192.168.5.15:68"} {
		s.listeners = append(s.listeners, listener(UDP, at))
	}
	expect(t, "defaults", s,
		"tcp 127.0.0.1:80 -> 127.0.0.1:80", "tcp [::1]:80 -> 127.0.0.1:80",
		"tcp 127.0.0.1:81 -> [::1]:81", "tcp [::1]:81 -> [::1]:81",
		"tcp 127.0.0.1:82 -> 127.0.0.1:82", "tcp [::1]:82 -> 127.0.0.1:82",
		"tcp 127.0.0.1:83 -> [::1]:83", "tcp [::1]:83 -> [::1]:83",
		"udp 127.0.0.1:22 -> 127.0.0.1:22", "udp [::1]:22 -> 127.0.0.1:22",
		"udp 127.0.0.1:62000 -> 127.0.0.1:62000", "udp [::1]:62000 -> 127.0.0.1:62000")
}
