package core

import (
	"slices"
	"testing"

	"rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
)

func TestAddressesOfOnePortShareALine(t *testing.T) {
	got := DescribePorts([]v1alpha1.Port{
		{Protocol: "tcp", HostAddress: "/home/j/web.sock", GuestAddress: "127.0.0.1:81", State: v1alpha1.PortForwarded},
		{Protocol: "udp", HostAddress: "127.0.0.1:53", GuestAddress: "0.0.0.0:53", State: v1alpha1.PortNotPermitted, Message: "use another"},
		{Protocol: "tcp", HostAddress: "0.0.0.0:8080", GuestAddress: "0.0.0.0:8080", Container: "web", State: v1alpha1.PortNotPermitted, Message: "allow it"},
		{Protocol: "tcp", HostAddress: "127.0.0.1:8080", GuestAddress: "0.0.0.0:8080", Container: "web", State: v1alpha1.PortForwarded},
		{Protocol: "tcp", HostAddress: "[::1]:8080", GuestAddress: "0.0.0.0:8080", Container: "web", State: v1alpha1.PortForwarded},
		{Protocol: "tcp", HostAddress: "127.0.0.1:8081", GuestAddress: "0.0.0.0:8080", Container: "web", State: v1alpha1.PortForwarded},
		{Protocol: "tcp", HostAddress: "127.0.0.1:9000", GuestAddress: "0.0.0.0:9000", State: v1alpha1.PortBusy, Message: "nginx has it"},
	})
	want := []string{
		"/home/j/web.sock -> 81/tcp",
		"127.0.0.1:53 -> 53/udp: not permitted: use another",
		"0.0.0.0:8080 -> 8080/tcp (container web): not permitted: allow it",
		"127.0.0.1:8080, [::1]:8080 -> 8080/tcp (container web)",
		"127.0.0.1:8081 -> 8080/tcp (container web)",
		"127.0.0.1:9000 -> 9000/tcp: busy: nginx has it",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}
