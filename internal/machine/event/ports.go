package event

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
)

// The states of a Port.
const (
	PortForwarded    = "Forwarded"    // connections to the host's address reach the guest
	PortBusy         = "Busy"         // another program has the host's address; it is tried again each few seconds
	PortNotPermitted = "NotPermitted" // this host or the App's settings don't allow it
)

// Port is a port of the guest that is forwarded to the host, or should be. Its fields are those of the API's Port.
type Port struct {
	Protocol     string `json:"protocol"`
	HostAddress  string `json:"hostAddress"`
	GuestAddress string `json:"guestAddress"`
	Container    string `json:"container,omitempty"`
	State        string `json:"state"`
	Message      string `json:"message,omitempty"`
}

// PortKey identifies a Port.
type PortKey struct {
	Protocol    string `json:"protocol"`
	HostAddress string `json:"hostAddress"`
}

// Key returns the port's key.
func (p Port) Key() PortKey { return PortKey{p.Protocol, p.HostAddress} }

// Ports are changes of the list of ports, which is empty at the start of a hostagent. The events of a VM are kept while it
// runs, so the whole list is not repeated.
type Ports struct {
	Set     []Port    `json:"set,omitempty"` // new or changed
	Removed []PortKey `json:"removed,omitempty"`
}

// maxPorts is how many ports are in one event, so that a line is not too long.
const maxPorts = 500

// PortChanges returns the changes from one list to another, in as many parts as there have to be.
func PortChanges(from, to []Port) (all []Ports) {
	now := make(map[PortKey]Port, len(to))
	for _, p := range to {
		now[p.Key()] = p
	}
	before := make(map[PortKey]Port, len(from))
	var removed []PortKey
	for _, p := range from {
		before[p.Key()] = p
		if _, ok := now[p.Key()]; !ok {
			removed = append(removed, p.Key())
		}
	}
	var set []Port
	for _, p := range to {
		if before[p.Key()] != p {
			set = append(set, p)
		}
	}
	for len(set)+len(removed) > 0 {
		n := min(len(removed), maxPorts)
		m := min(len(set), maxPorts-n)
		all = append(all, Ports{Removed: removed[:n], Set: set[:m]})
		removed, set = removed[n:], set[m:]
	}
	return all
}

// PortList is a list of ports that changes.
type PortList map[PortKey]Port

// Apply changes the list.
func (l PortList) Apply(changes Ports) {
	for _, k := range changes.Removed {
		delete(l, k)
	}
	for _, p := range changes.Set {
		l[p.Key()] = p
	}
}

// Sorted returns the ports in a stable order: by the host's port, the protocol and the host's address.
func (l PortList) Sorted() []Port {
	return slices.SortedFunc(maps.Values(l), func(a, b Port) int {
		return cmp.Or(cmp.Compare(portOf(a.HostAddress), portOf(b.HostAddress)), cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.HostAddress, b.HostAddress))
	})
}

// portOf returns the port of an address; 0 for a socket.
func portOf(hostAddress string) uint16 {
	at, _ := netip.ParseAddrPort(hostAddress)
	return at.Port()
}
