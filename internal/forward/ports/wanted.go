package ports

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"rancherdesktop.io/rdd/internal/forward"
)

// The protocols of listeners, bindings and rules.
const (
	TCP = "tcp"
	UDP = "udp"
	Any = "any" // of a Rule
)

// Listener is something that listens in the guest.
type Listener struct {
	Protocol string // TCP or UDP
	IP       netip.Addr
	Port     int
}

// Rule is one of the template's portForwards, with every default filled in. It means what it means to Lima.
type Rule struct {
	Protocol          string // TCP, UDP or Any
	GuestIP           netip.Addr
	GuestIPMustBeZero bool
	GuestPorts        [2]int // first and last
	HostIP            netip.Addr
	HostPorts         [2]int
	HostSocket        string // in place of HostIP and HostPorts
	Ignore            bool
}

// matches reports whether the rule is about l. A listener on every address matches whatever address the rule has.
// (Source: Lima's portfwd.Forwarder.)
func (r *Rule) matches(l Listener) bool {
	switch {
	case r.Protocol != Any && r.Protocol != l.Protocol, l.Port < r.GuestPorts[0], l.Port > r.GuestPorts[1]:
		return false
	case l.IP.IsUnspecified(), l.IP == r.GuestIP, l.IP == loopback6 && r.GuestIP == loopback4:
		return true
	}
	return r.GuestIP.IsUnspecified() && !r.GuestIPMustBeZero
}

// ruleFor returns the first rule that decides about l, nil when there is none.
func ruleFor(rules []Rule, l Listener) *Rule {
	for i := range rules {
		r := &rules[i]
		skip := r.Ignore && l.IP.IsUnspecified() && !r.GuestIP.IsUnspecified() // its other addresses are not ignored
		if r.matches(l) && !skip {
			return r
		}
	}
	return nil
}

// address is where a port is forwarded to on this host: an address with a port, or the path of a socket.
type address struct {
	netip.AddrPort
	socket string
}

func (a address) String() string {
	if a.socket != "" {
		return a.socket
	}
	return a.AddrPort.String()
}

// key identifies a forward.
type key struct {
	protocol string
	host     address
}

// want is a forward that there should be.
type want struct {
	key
	guest     netip.AddrPort // that of the listener or the binding
	container string
	asked     bool   // by a container or a rule; else it is one of the forwards that every VM has
	optional  bool   // this host may lack the address
	refused   string // why it is not allowed; empty when it is
}

// dial is the guest's address to connect to.
func (w *want) dial() string {
	at := w.guest
	switch at.Addr() {
	case netip.IPv4Unspecified():
		at = netip.AddrPortFrom(loopback4, at.Port())
	case netip.IPv6Unspecified():
		at = netip.AddrPortFrom(loopback6, at.Port())
	}
	return at.String()
}

var (
	loopback4 = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	loopback6 = netip.IPv6Loopback()
	loopbacks = []netip.Addr{loopback4, loopback6}
)

// sources are all that the forwards follow from.
type sources struct {
	rules     []Rule
	ssh       []int // TCP ports that Lima never forwards: of the guest's SSH server, here and there
	listeners []Listener
	published forward.Published
}

// wanted returns what should be forwarded, in a stable order. What a container publishes comes first, and where, because the
// guest's listeners are the same ports without the container's name.
func (s *sources) wanted() []want {
	set := wantedSet{index: map[key]int{}}
	for _, b := range s.published.Bindings {
		s.addBinding(&set, b)
	}
	listeners := slices.Clone(s.listeners)
	slices.SortFunc(listeners, func(a, b Listener) int {
		return cmp.Or(cmp.Compare(a.Protocol, b.Protocol), a.IP.Compare(b.IP), cmp.Compare(a.Port, b.Port))
	})
	for _, l := range listeners {
		if !s.publishes(l) {
			s.addListener(&set, l)
		}
	}
	all := make([]want, 0, len(set.all))
	for _, w := range set.all {
		if !set.covered(w) {
			all = append(all, w)
		}
	}
	slices.SortFunc(all, func(a, b want) int { return compareKeys(a.key, b.key) })
	return all
}

// publishes reports whether l is what the guest's engine listens on for a container. The container says where it is forwarded.
func (s *sources) publishes(l Listener) bool {
	return slices.ContainsFunc(s.published.Bindings, func(b forward.Binding) bool {
		ip := guestIP(b)
		return b.Protocol == l.Protocol && b.GuestPort == l.Port && (ip == l.IP || ip.IsUnspecified() && l.IP.IsUnspecified())
	})
}

// guestIP is the address in the guest on which the engine listens for a container.
func guestIP(b forward.Binding) netip.Addr {
	ip, err := netip.ParseAddr(b.GuestIP)
	if err != nil {
		return netip.IPv4Unspecified()
	}
	return ip.Unmap()
}

// compareKeys orders forwards by port, protocol and address.
func compareKeys(a, b key) int {
	return cmp.Or(cmp.Compare(a.host.Port(), b.host.Port()), cmp.Compare(a.protocol, b.protocol),
		a.host.Addr().Compare(b.host.Addr()), cmp.Compare(a.host.socket, b.host.socket))
}

// wantedSet keeps the first want for each key.
type wantedSet struct {
	all   []want
	index map[key]int
}

func (s *wantedSet) add(w want) {
	if _, ok := s.index[w.key]; ok {
		return
	}
	s.index[w.key] = len(s.all)
	s.all = append(s.all, w)
}

// covered reports whether another want listens on every address, and so on the one of w.
func (s *wantedSet) covered(w want) bool {
	ip := w.host.Addr()
	if !ip.IsValid() || ip.IsUnspecified() {
		return false
	}
	every := netip.IPv4Unspecified()
	if ip.Is6() {
		every = netip.IPv6Unspecified()
	}
	i, ok := s.index[key{w.protocol, address{AddrPort: netip.AddrPortFrom(every, w.host.Port())}}]
	return ok && s.all[i].refused == ""
}

// addRule adds what a rule says about l.
func (s *wantedSet) addRule(r *Rule, l Listener, container string) {
	if r.Ignore {
		return
	}
	w := want{guest: netip.AddrPortFrom(l.IP, uint16(l.Port)), container: container, asked: true}
	w.protocol, w.host.socket = l.Protocol, r.HostSocket
	if r.HostSocket == "" {
		w.host.AddrPort = netip.AddrPortFrom(r.HostIP, uint16(l.Port+r.HostPorts[0]-r.GuestPorts[0]))
	}
	if r.HostSocket != "" && l.Protocol != TCP {
		return // there are no datagrams on it
	}
	s.add(w)
}

// The ports from which Linux takes those of clients. A socket on one that nobody has asked for is rather a client's than a
// server's when it is UDP, where the two look the same. (Source: ip_local_port_range in Linux's ip-sysctl.rst.)
const firstClientPort, lastClientPort = 32768, 60999

// addListener adds what becomes of a listener of the guest: what the rules say, or else 127.0.0.1 and ::1 for one that
// can be reached at the guest's 127.0.0.1 or ::1.
func (s *sources) addListener(set *wantedSet, l Listener) {
	if l.Protocol == TCP && slices.Contains(s.ssh, l.Port) {
		return
	}
	if r := ruleFor(s.rules, l); r != nil {
		set.addRule(r, l, "")
		return
	}
	if !l.IP.IsUnspecified() && !slices.Contains(loopbacks, l.IP) || l.Protocol == UDP && l.Port >= firstClientPort && l.Port <= lastClientPort {
		return
	}
	for _, ip := range loopbacks {
		set.add(want{key: keyAt(l.Protocol, ip, l.Port), guest: netip.AddrPortFrom(l.IP, uint16(l.Port)), optional: ip == loopback6})
	}
}

// keyAt returns the key of a forward to an address of this host.
func keyAt(protocol string, ip netip.Addr, port int) key {
	return key{protocol, address{AddrPort: netip.AddrPortFrom(ip, uint16(port))}}
}

// addBinding adds a port that a container publishes: on 127.0.0.1 and ::1, and on other addresses only if the container
// names them and they are allowed. The template's rules come first.
func (s *sources) addBinding(set *wantedSet, b forward.Binding) {
	if b.Protocol != TCP && b.Protocol != UDP || b.HostPort < 1 || b.HostPort > 65535 || b.GuestPort < 1 || b.GuestPort > 65535 {
		return // sctp, or a port that the engine has not chosen yet
	}
	guest := guestIP(b)
	if r := ruleFor(s.rules, Listener{b.Protocol, guest, b.GuestPort}); r != nil {
		set.addRule(r, Listener{b.Protocol, guest, b.GuestPort}, b.Container)
		return
	}
	add := func(ip netip.Addr, optional bool, refused string) {
		set.add(want{key: keyAt(b.Protocol, ip, b.HostPort), guest: netip.AddrPortFrom(guest, uint16(b.GuestPort)),
			container: b.Container, asked: true, optional: optional, refused: refused})
	}
	ip, err := netip.ParseAddr(b.HostIP)
	ip = ip.Unmap()
	if err != nil || ip.IsUnspecified() {
		add(loopback4, false, "")
		add(loopback6, true, "")
	}
	switch {
	case err != nil:
	case ip.IsLoopback(), s.allows(ip):
		add(ip, false, "")
	default:
		add(ip, false, s.notAllowed(ip))
	}
}

// allows reports whether containers may publish on an address of this host.
func (s *sources) allows(ip netip.Addr) bool {
	return slices.ContainsFunc(s.published.Allowed, func(text string) bool {
		allowed, err := netip.ParseAddr(text)
		allowed = allowed.Unmap()
		return err == nil && (allowed == ip || allowed.IsUnspecified() && allowed.Is4() == ip.Is4())
	})
}

// notAllowed says how to allow an address.
func (s *sources) notAllowed(ip netip.Addr) string {
	all := append(slices.Clone(s.published.Allowed), ip.String())
	what := "address " + ip.String()
	if ip.IsUnspecified() {
		what = "other computers"
	}
	return fmt.Sprintf("ports are not opened to %s unless you allow it: rdd set ports.bindAddresses=%s", what, strings.Join(all, ","))
}

// Hosts returns the addresses of this host to which a listener of the guest is forwarded.
func Hosts(rules []Rule, l Listener) (all []string) {
	s := sources{rules: rules, listeners: []Listener{l}}
	for _, w := range s.wanted() {
		all = append(all, w.host.String())
	}
	return all
}
