//go:build linux

package hostagent

import (
	"context"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lima-vm/lima/pkg/portfwd"
	"github.com/sirupsen/logrus"

	"rancherdesktop.io/rdd/internal/machine/event"
	"rancherdesktop.io/rdd/internal/machine/layout"
)

func TestForwardedPortThatSomethingElseHasIsReported(t *testing.T) {
	const us, them = 10, 20
	p := &ports{vm: layout.VM{Home: "/l", Name: "rd"}, self: us}
	f := forward{"tcp", "0.0.0.0:80", "127.0.0.1:8080"}
	for name, tc := range map[string]struct {
		all  []listener
		want string // part of what is said; empty: nothing
	}{
		"ours alone":                    {[]listener{{protocol: "tcp", ip: "127.0.0.1", port: 8080, pid: us}, {protocol: "tcp", ip: "127.0.0.1", port: 8081, pid: them}, {protocol: "udp", ip: "127.0.0.1", port: 8080, pid: them}}, ""},
		"a program has it":              {[]listener{{protocol: "tcp", ip: "127.0.0.1", port: 8080, pid: 0}}, "another user's program listens on 127.0.0.1:8080 already"},
		"a program has every address":   {[]listener{{protocol: "tcp", ip: "::", port: 8080, pid: 0}}, "listens on 127.0.0.1:8080 already"},
		"two listen on it":              {[]listener{{protocol: "tcp", ip: "127.0.0.1", port: 8080, pid: us}, {protocol: "tcp", ip: "127.0.0.1", port: 8080, pid: 0}}, "shares 127.0.0.1:8080 with another user's program"},
		"a program has other addresses": {[]listener{{protocol: "tcp", ip: "127.0.0.1", port: 8080, pid: us}, {protocol: "tcp", ip: "::", port: 8080, pid: 0}}, ""},
		"nobody may listen":             {nil, "nobody could listen on 127.0.0.1:8080"},
	} {
		got := p.problem(f, tc.all)
		if (got == "") != (tc.want == "") || !strings.Contains(got, tc.want) {
			t.Errorf("%s: %q", name, got)
		}
	}
	if got := p.problem(forward{"tcp", "0.0.0.0:80", "/run/sock"}, nil); got != "" {
		t.Error(got)
	}
}

func TestHolderOfAPortIsNamed(t *testing.T) {
	p := &ports{vm: layout.VM{Home: "/home/j/.rdd/default/lima", Name: "rd"}}
	if got := p.holder(listener{pid: os.Getpid()}); !strings.Contains(got, "process ") {
		t.Error(got)
	}
	vm, ok := hostagentOf([]string{"/x/rdd-lima", "hostagent", "--lima-home", "/l", "--nonce", "n", "web"})
	if !ok || vm.Home != "/l" || vm.Name != "web" {
		t.Error(vm, ok)
	}
	if _, ok := hostagentOf([]string{"nginx"}); ok {
		t.Error("nginx is no hostagent")
	}
}

// Two VMs may listen on one port: Lima sets SO_REUSEPORT.
func TestTwoListenersOnOnePortAreBothListed(t *testing.T) {
	var sharing net.ListenConfig
	sharing.Control = portfwd.Control
	a, err := sharing.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := sharing.Listen(t.Context(), "tcp", a.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	all, err := listeners(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var seen []listener
	for _, l := range all {
		if l.protocol == "tcp" && net.JoinHostPort(l.ip, strconv.Itoa(l.port)) == a.Addr().String() {
			seen = append(seen, l)
		}
	}
	if len(seen) != 2 || seen[0].pid != os.Getpid() || processOf(seen[0].socket) != os.Getpid() {
		t.Errorf("%+v", seen)
	}
}

// A real listener of another process's kind: one that we don't count as ours.
func TestForwardInLimasLogIsWatched(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	said := make(chan *event.Trouble)
	p := newPorts(layout.VM{Home: "/l", Name: "rd"}, func(e event.Event) { said <- e.Trouble })
	p.self, p.settleDelay, p.checkInterval = -1, time.Millisecond, time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); p.run(ctx) }()
	log := func(message string) { _ = p.Fire(&logrus.Entry{Message: message}) }
	log("Forwarding TCP from 0.0.0.0:80 to " + l.Addr().String())
	if tr := <-said; tr.Source != event.FromPorts || len(tr.Messages) != 1 || !strings.Contains(tr.Messages[0], "port 80 of the guest can't be reached") {
		t.Errorf("%+v", tr)
	}
	log("Port forwarding closed proto:tcp host:" + l.Addr().String() + " guest:0.0.0.0:80")
	if tr := <-said; len(tr.Messages) != 0 {
		t.Errorf("%+v", tr)
	}
	cancel()
	<-done
}
