package hostagent

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/lima-vm/lima/pkg/guestagent/api"
	"github.com/lima-vm/lima/pkg/limayaml"
	"github.com/lima-vm/lima/pkg/portfwd"
	"github.com/sirupsen/logrus"

	"rancherdesktop.io/rdd/internal/forward/ports"
	"rancherdesktop.io/rdd/internal/lima/limatest"
	"rancherdesktop.io/rdd/internal/lima/template"
	"rancherdesktop.io/rdd/internal/machine/event"
)

// limaForwards asks Lima's forwarder where it forwards a listener of the guest to; empty: nowhere. It says so only in its
// log. No test's rule has an address on which this host could listen.
func limaForwards(t *testing.T, rules []limayaml.PortForward, l *api.IPPort) (host string) {
	t.Helper()
	hooked := &forwardHook{}
	before := logrus.StandardLogger().ReplaceHooks(logrus.LevelHooks{})
	defer logrus.StandardLogger().ReplaceHooks(before)
	out := logrus.StandardLogger().Out
	logrus.SetOutput(io.Discard)
	defer logrus.SetOutput(out)
	level := logrus.GetLevel()
	logrus.SetLevel(logrus.InfoLevel)
	defer logrus.SetLevel(level)
	logrus.AddHook(hooked)
	portfwd.NewPortForwarder(rules, false, false).OnEvent(t.Context(), nil, &api.Event{LocalPortsAdded: []*api.IPPort{l}})
	return hooked.host
}

type forwardHook struct{ host string }

func (*forwardHook) Levels() []logrus.Level { return []logrus.Level{logrus.InfoLevel} }

func (h *forwardHook) Fire(e *logrus.Entry) error {
	if from, to, ok := strings.Cut(e.Message, " to "); ok && strings.HasPrefix(from, "Forwarding ") {
		h.host = to
	}
	return nil
}

// Lima's own forwarder decides about random listeners and rules; ours must decide the same.
func TestRulesForPortsMeanWhatTheyMeanToLima(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	one := func(of ...string) string { return of[random.IntN(len(of))] }
	ours := limayaml.PortForward{GuestIP: net.IPv4zero, Proto: "any", Ignore: true} // which switches Lima's forwarding off
	limayaml.FillPortForwardDefaults(&ours, "", limayaml.User{}, nil)
	forwarded := 0
	for range 3000 {
		var rules []limayaml.PortForward
		for range random.IntN(4) {
			r := limayaml.PortForward{Proto: one("tcp", "udp", "any"), Ignore: random.IntN(3) == 0, HostIP: net.ParseIP(one("192.0.2.1", "2001:db8::1"))}
			if random.IntN(4) > 0 {
				r.GuestIP = net.ParseIP(one("0.0.0.0", "127.0.0.1", "::1", "::", "192.168.5.15"))
			}
			r.GuestIPMustBeZero = random.IntN(4) == 0 && (r.GuestIP == nil || r.GuestIP.Equal(net.IPv4zero))
			switch random.IntN(3) {
			case 0:
				r.GuestPort = 80 + random.IntN(3)
			case 1:
				r.GuestPortRange, r.HostPortRange = [2]int{80, 81}, [2]int{8080, 8081}
			}
			rules = append(rules, r)
		}
		// The last rule catches what would go to 127.0.0.1, where the default differs.
		rules = append(rules, limayaml.PortForward{Proto: "any", HostIP: net.ParseIP("192.0.2.9")})
		for i := range rules {
			limayaml.FillPortForwardDefaults(&rules[i], "/l/rd", limayaml.User{}, nil)
		}
		l := &api.IPPort{Protocol: one("tcp", "udp"), Ip: one("0.0.0.0", "127.0.0.1", "::1", "::", "192.168.5.15", "127.0.0.53"), Port: 80 + random.Int32N(3)}
		want := limaForwards(t, rules, l)
		got := strings.Join(ports.Hosts(portRules(&limayaml.LimaYAML{PortForwards: append([]limayaml.PortForward{ours}, rules...)}), listenerOf(l)), " ")
		if got != want {
			t.Fatalf("%v with %+v: %q, Lima %q", l, rules, got, want)
		}
		if want != "" {
			forwarded++
		}
	}
	if forwarded < 1000 {
		t.Errorf("only %d were forwarded", forwarded)
	}
}

func TestLimaForwardsNoPortItself(t *testing.T) {
	vm := limatest.NewVM(t)
	text := []byte(limatest.Template + "portForwards: [{guestPort: 80, hostPort: 8080}, {guestSocket: /run/docker.sock, hostSocket: docker.sock}]\n")
	r, err := template.Resolve(vm, text, nil, template.Options{AsRoot: true})
	if err != nil {
		t.Fatal(err)
	}
	y, err := template.Load(vm, r.Text)
	if err != nil {
		t.Fatal(err)
	}
	rules := append(slices.Clone(y.PortForwards), limayaml.PortForward{HostIP: net.ParseIP("192.0.2.9")})
	limayaml.FillPortForwardDefaults(&rules[len(rules)-1], "", limayaml.User{}, nil)
	for _, l := range []*api.IPPort{{Protocol: "tcp", Ip: "0.0.0.0", Port: 80}, {Protocol: "tcp", Ip: "127.0.0.1", Port: 80}, {Protocol: "udp", Ip: "::", Port: 53}, {Protocol: "tcp", Ip: "::1", Port: 65535}} {
		if host := limaForwards(t, rules, l); host != "" {
			t.Errorf("Lima forwards %v to %s", l, host)
		}
	}
	if own := template.PortForwards(y); len(own) != 2 || own[1].GuestSocket != "/run/docker.sock" {
		t.Errorf("%+v", own)
	}
	if got := ports.Hosts(portRules(y), listenerOf(&api.IPPort{Protocol: "tcp", Ip: "0.0.0.0", Port: 80})); len(got) != 1 || got[0] != "127.0.0.1:8080" {
		t.Error(got)
	}
}

func TestPortsAreReportedWhenTheyHaveChanged(t *testing.T) {
	list := event.PortList{}
	var troubles []string
	events := 0
	r := portReporter{report: func(e event.Event) {
		events++
		if e.Ports != nil {
			list.Apply(*e.Ports)
		}
		if e.Trouble != nil {
			troubles = e.Trouble.Messages
		}
	}}
	var many []event.Port
	for i := range 1200 {
		many = append(many, event.Port{Protocol: "tcp", HostAddress: fmt.Sprintf("127.0.0.1:%d", 1000+i), State: event.PortForwarded})
	}
	r.set(many, nil)
	if len(list) != 1200 || events != 3 {
		t.Error(len(list), events)
	}
	r.set(many, nil)
	if events != 3 {
		t.Error("nothing has changed, and that is reported")
	}
	busy := many[0]
	busy.State, busy.Message = event.PortBusy, "nginx (process 1)"
	r.set([]event.Port{busy}, []string{"busy"})
	if got := list.Sorted(); len(got) != 1 || got[0] != busy || len(troubles) != 1 {
		t.Errorf("%+v %q", got, troubles)
	}
	r.set(nil, nil)
	if len(list) > 0 || len(troubles) > 0 {
		t.Error(list, troubles)
	}
}
