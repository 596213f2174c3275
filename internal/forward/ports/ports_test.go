package ports

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"rancherdesktop.io/rdd/internal/forward"
	"rancherdesktop.io/rdd/internal/forward/datagram"
	"rancherdesktop.io/rdd/internal/forward/relay"
	"rancherdesktop.io/rdd/internal/machine/event"
	"rancherdesktop.io/rdd/internal/machine/layout"
	"rancherdesktop.io/rdd/internal/testenv"
)

// guest is this host in the place of a guest: a Forwarder reaches all its addresses.
type guest struct {
	t *testing.T
	f *Forwarder

	mu       sync.Mutex
	ports    []event.Port
	problems []string
	lost     bool // no address can be reached
	runs     int  // of rdd-guest
	stopUDP  func()
}

func newGuest(t *testing.T, rules ...Rule) *guest {
	g := &guest{t: t}
	g.f = New(Options{
		VM: layout.VM{Home: "/l", Name: "rd"}, Rules: rules, SSHPort: func() int { return 0 },
		Dial: func(ctx context.Context, network, address string) (forward.Conn, error) {
			g.mu.Lock()
			defer g.mu.Unlock()
			if g.lost {
				return nil, forward.ErrNotConnected
			}
			conn, err := new(net.Dialer).DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return conn.(forward.Conn), nil
		},
		Datagrams: func(ctx context.Context, in io.Reader, out io.Writer) error {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			g.mu.Lock()
			g.runs++
			g.stopUDP = cancel
			g.mu.Unlock()
			ended := make(chan error, 1)
			go func() { ended <- datagram.Relay(in, out) }()
			select {
			case <-ctx.Done():
				return ctx.Err()
			case err := <-ended:
				return err
			}
		},
		Report: func(ports []event.Port, problems []string) {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.ports, g.problems = ports, problems
		},
	})
	g.f.retryInterval, g.f.tunnel.retryInterval = 10*time.Millisecond, time.Millisecond
	return g
}

// start runs the Forwarder until the result is called.
func (g *guest) start() (stop func()) {
	ctx, cancel := context.WithCancel(g.t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		g.f.Run(ctx)
	}()
	stop = func() {
		cancel()
		<-ended
	}
	g.t.Cleanup(stop)
	return stop
}

// await waits for a report of these: PROTOCOL HOST STATE CONTAINER.
func (g *guest) await(want ...string) {
	g.t.Helper()
	slices.Sort(want)
	testenv.Eventually(g.t, fmt.Sprintf("forwards %q", want), func() bool { return slices.Equal(g.lines(), want) })
}

func (g *guest) lines() (all []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range g.ports {
		all = append(all, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", p.Protocol, p.HostAddress, p.State, p.Container)))
	}
	slices.Sort(all)
	return all
}

// serve runs handle for each TCP connection to an address of the guest, which is returned.
func serve(t *testing.T, handle func(*net.TCPConn)) netip.AddrPort {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go handle(conn.(*net.TCPConn))
		}
	}()
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// freePort returns a port that is free on 127.0.0.1.
func freePort(t *testing.T, protocol string) int {
	t.Helper()
	if protocol == UDP {
		c, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.LocalAddr().(*net.UDPAddr).Port
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// publish publishes an address of the guest on a port of this host.
func (g *guest) publish(protocol, hostIP string, port int, to netip.AddrPort, allowed ...string) {
	g.f.publish(new(int), forward.Published{Allowed: allowed, Bindings: []forward.Binding{
		{Protocol: protocol, HostIP: hostIP, HostPort: port, GuestIP: to.Addr().String(), GuestPort: int(to.Port()), Container: "web"}}})
}

func dial(t *testing.T, network, address string) forward.Conn {
	t.Helper()
	conn, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	return conn.(forward.Conn)
}

func TestBothEndsOfAConnectionEndByThemselves(t *testing.T) {
	// The server answers what it got only when the client has ended its direction, and the client gets that.
	echo := serve(t, func(c *net.TCPConn) {
		defer c.Close()
		all, _ := io.ReadAll(c)
		_, _ = c.Write(all)
	})
	// The server ends its direction at once, and reads what the client sends afterwards.
	var mu sync.Mutex
	var got string
	sink := serve(t, func(c *net.TCPConn) {
		defer c.Close()
		_, _ = c.Write([]byte("hello"))
		_ = c.CloseWrite()
		all, _ := io.ReadAll(c)
		mu.Lock()
		defer mu.Unlock()
		got += string(all) // nothing comes from connections that only try
	})
	g := newGuest(t)
	g.start()
	for _, ip := range []string{"127.0.0.1", "::1"} {
		port := freePort(t, TCP)
		g.publish(TCP, "", port, echo)
		g.await(fmt.Sprintf("tcp 127.0.0.1:%d Forwarded web", port), fmt.Sprintf("tcp [::1]:%d Forwarded web", port))
		at := net.JoinHostPort(ip, fmt.Sprint(port))

		c := dial(t, "tcp", at)
		if _, err := c.Write([]byte("question")); err != nil {
			t.Fatal(err)
		}
		_ = c.CloseWrite()
		if answer, err := io.ReadAll(c); string(answer) != "question" || err != nil {
			t.Errorf("%s: %q %v", at, answer, err)
		}

		g.publish(TCP, "", port, sink)
		testenv.Eventually(t, "the new guest address is used", func() bool {
			c := dial(t, "tcp", at)
			defer c.Close()
			hello := make([]byte, 5)
			_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
			_, err := io.ReadFull(c, hello)
			return err == nil
		})
		c = dial(t, "tcp", at)
		if answer, err := io.ReadAll(c); string(answer) != "hello" || err != nil {
			t.Errorf("%s: %q %v", at, answer, err)
		}
		_, _ = c.Write([]byte("more from " + ip))
		_ = c.CloseWrite()
		testenv.Eventually(t, "what is sent after the server's end arrives", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return strings.HasSuffix(got, "more from "+ip)
		})
	}
}

func TestPortThatAnotherProgramHasIsForwardedOnceItIsFree(t *testing.T) {
	hello := serve(t, func(c *net.TCPConn) { _, _ = c.Write([]byte("hello")); _ = c.Close() })
	other, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	port := other.Addr().(*net.TCPAddr).Port
	g := newGuest(t)
	g.start()
	g.publish(TCP, "127.0.0.1", port, hello)
	g.await(fmt.Sprintf("tcp 127.0.0.1:%d Busy web", port))
	g.mu.Lock()
	message, problems := g.ports[0].Message, g.problems
	g.mu.Unlock()
	if !strings.Contains(message, "has that port already") || len(problems) != 1 || !strings.Contains(problems[0], fmt.Sprintf(`port %d of the container "web" can't be reached on this host at 127.0.0.1:%d: `, port, port)) {
		t.Errorf("%q %q", message, problems)
	}
	_ = other.Close()
	g.await(fmt.Sprintf("tcp 127.0.0.1:%d Forwarded web", port))
	if answer, err := io.ReadAll(dial(t, "tcp", fmt.Sprintf("127.0.0.1:%d", port))); string(answer) != "hello" || err != nil {
		t.Errorf("%q %v", answer, err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.problems) > 0 {
		t.Error(g.problems)
	}
}

func TestBusyPortIsToldOnce(t *testing.T) {
	first, second := newGuest(t), newGuest(t)
	first.start()
	port := freePort(t, TCP)
	first.publish(TCP, "", port, netip.MustParseAddrPort("127.0.0.1:1"))
	first.await(fmt.Sprintf("tcp 127.0.0.1:%d Forwarded web", port), fmt.Sprintf("tcp [::1]:%d Forwarded web", port))
	second.start()
	second.publish(TCP, "", port, netip.MustParseAddrPort("127.0.0.1:1"))
	second.await(fmt.Sprintf("tcp 127.0.0.1:%d Busy web", port), fmt.Sprintf("tcp [::1]:%d Busy web", port))
	second.mu.Lock()
	defer second.mu.Unlock()
	if len(second.problems) != 1 || !strings.Contains(second.problems[0], fmt.Sprintf("on this host at 127.0.0.1:%d and [::1]:%d: another forward", port, port)) {
		t.Errorf("%q", second.problems)
	}
}

func TestTwoVMsThatWantOnePortDontShareIt(t *testing.T) {
	a := serve(t, func(c *net.TCPConn) { _, _ = c.Write([]byte("a")); _ = c.Close() })
	b := serve(t, func(c *net.TCPConn) { _, _ = c.Write([]byte("b")); _ = c.Close() })
	port := freePort(t, TCP)
	first, second := newGuest(t), newGuest(t)
	stop := first.start()
	first.publish(TCP, "127.0.0.1", port, a)
	first.await(fmt.Sprintf("tcp 127.0.0.1:%d Forwarded web", port))
	second.start()
	second.publish(TCP, "127.0.0.1", port, b)
	second.await(fmt.Sprintf("tcp 127.0.0.1:%d Busy web", port))
	for range 20 {
		if answer, err := io.ReadAll(dial(t, "tcp", fmt.Sprintf("127.0.0.1:%d", port))); string(answer) != "a" || err != nil {
			t.Fatalf("%q %v", answer, err)
		}
	}
	stop() // its VM stops
	second.await(fmt.Sprintf("tcp 127.0.0.1:%d Forwarded web", port))
	if answer, err := io.ReadAll(dial(t, "tcp", fmt.Sprintf("127.0.0.1:%d", port))); string(answer) != "b" || err != nil {
		t.Errorf("%q %v", answer, err)
	}
}

func TestDatagramsAreForwardedForEachClient(t *testing.T) {
	server, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	var mu sync.Mutex
	sources := map[string]bool{}
	go func() {
		buf := make([]byte, 1<<16)
		for {
			n, from, err := server.ReadFromUDP(buf)
			if err != nil {
				return
			}
			mu.Lock()
			sources[from.String()] = true
			mu.Unlock()
			_, _ = server.WriteToUDP(buf[:n], from)
		}
	}()
	port := freePort(t, UDP)
	g := newGuest(t)
	g.start()
	g.publish(UDP, "", port, server.LocalAddr().(*net.UDPAddr).AddrPort())
	g.await(fmt.Sprintf("udp 127.0.0.1:%d Forwarded web", port), fmt.Sprintf("udp [::1]:%d Forwarded web", port))
	g.mu.Lock()
	if g.runs > 0 {
		t.Error("rdd-guest runs before the first datagram")
	}
	g.mu.Unlock()
	ask := func(c net.Conn, question string) {
		t.Helper()
		buf := make([]byte, 1<<16)
		testenv.Eventually(t, "an answer to a datagram", func() bool { // one may be lost
			_, _ = c.Write([]byte(question))
			_ = c.SetReadDeadline(time.Now().Add(time.Second))
			n, err := c.Read(buf)
			return err == nil && string(buf[:n]) == question
		})
	}
	var clients []net.Conn
	for i := range 8 {
		ip := loopbacks[i%2].String()
		c, err := net.Dial("udp", net.JoinHostPort(ip, fmt.Sprint(port)))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		clients = append(clients, c)
		ask(c, fmt.Sprintf("client %d", i))
	}
	ask(clients[0], strings.Repeat("x", 60000))
	ask(clients[1], "")
	mu.Lock()
	if len(sources) != len(clients) {
		t.Errorf("%d clients have %d addresses in the guest", len(clients), len(sources))
	}
	mu.Unlock()

	// rdd-guest ends, as when the connection to the guest is lost; the next datagrams begin another.
	g.mu.Lock()
	g.stopUDP()
	g.mu.Unlock()
	for i, c := range clients {
		ask(c, fmt.Sprintf("client %d again", i))
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.runs != 2 {
		t.Errorf("rdd-guest has run %d times", g.runs)
	}
}

func TestIdleClientsOfADatagramPortAreForgotten(t *testing.T) {
	server, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	port := freePort(t, UDP)
	g := newGuest(t)
	g.f.idleTimeout = 20 * time.Millisecond
	g.start()
	g.publish(UDP, "127.0.0.1", port, server.LocalAddr().(*net.UDPAddr).AddrPort())
	g.await(fmt.Sprintf("udp 127.0.0.1:%d Forwarded web", port))
	c := dialUDP(t, fmt.Sprintf("127.0.0.1:%d", port))
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := server.ReadFromUDP(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, "no session is left", func() bool {
		g.f.tunnel.mu.Lock()
		defer g.f.tunnel.mu.Unlock()
		return len(g.f.tunnel.sessions) == 0
	})
}

func dialUDP(t *testing.T, address string) net.Conn {
	t.Helper()
	c, err := net.Dial("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestConnectionFailsAndThePortStaysWhileTheGuestCantBeReached(t *testing.T) {
	hello := serve(t, func(c *net.TCPConn) { _, _ = c.Write([]byte("hello")); _ = c.Close() })
	port := freePort(t, TCP)
	g := newGuest(t)
	stop := g.start()
	g.publish(TCP, "127.0.0.1", port, hello)
	g.await(fmt.Sprintf("tcp 127.0.0.1:%d Forwarded web", port))
	at := fmt.Sprintf("127.0.0.1:%d", port)
	g.mu.Lock()
	g.lost = true
	g.mu.Unlock()
	if c, err := net.Dial("tcp", at); err == nil { // the reset may already come while this connects
		if answer, err := io.ReadAll(c); err == nil {
			t.Errorf("an answer from nowhere: %q", answer)
		}
		_ = c.Close()
	}
	g.mu.Lock()
	g.lost = false
	g.mu.Unlock()
	if answer, err := io.ReadAll(dial(t, "tcp", at)); string(answer) != "hello" || err != nil {
		t.Errorf("%q %v", answer, err)
	}
	stop()
	if c, err := net.Dial("tcp", at); err == nil {
		_ = c.Close()
		t.Error("something listens after the end")
	}
}

// A connection that neither side ends must not keep a stop waiting.
func TestStopEndsConnections(t *testing.T) {
	accepted := make(chan struct{}, 1)
	silent := serve(t, func(c *net.TCPConn) {
		accepted <- struct{}{}
		_, _ = io.Copy(io.Discard, c)
	})
	port := freePort(t, TCP)
	g := newGuest(t)
	stop := g.start()
	g.publish(TCP, "127.0.0.1", port, silent)
	g.await(fmt.Sprintf("tcp 127.0.0.1:%d Forwarded web", port))
	c := dial(t, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
	<-accepted
	stop()
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("the connection goes on")
	}
}

func TestPortThatIsNotPermittedSaysHowToAllowIt(t *testing.T) {
	g := newGuest(t)
	g.start()
	port := freePort(t, TCP)
	g.publish(TCP, "0.0.0.0", port, netip.MustParseAddrPort("127.0.0.1:1"))
	g.await(fmt.Sprintf("tcp 127.0.0.1:%d Forwarded web", port), fmt.Sprintf("tcp [::1]:%d Forwarded web", port), fmt.Sprintf("tcp 0.0.0.0:%d NotPermitted web", port))
	g.mu.Lock()
	if i := slices.IndexFunc(g.ports, func(p event.Port) bool { return p.State == event.PortNotPermitted }); !strings.Contains(g.ports[i].Message, "rdd set ports.bindAddresses=0.0.0.0") {
		t.Error(g.ports[i].Message)
	}
	if len(g.problems) > 0 {
		t.Error(g.problems)
	}
	g.mu.Unlock()
	g.publish(TCP, "0.0.0.0", port, netip.MustParseAddrPort("127.0.0.1:1"), "0.0.0.0")
	g.await(fmt.Sprintf("tcp 0.0.0.0:%d Forwarded web", port), fmt.Sprintf("tcp [::1]:%d Forwarded web", port))
	g.publish(TCP, "::", port, netip.MustParseAddrPort("127.0.0.1:1"), "::") // for IPv6 alone
	g.await(fmt.Sprintf("tcp [::]:%d Forwarded web", port), fmt.Sprintf("tcp 127.0.0.1:%d Forwarded web", port))
	g.publish(TCP, "192.0.2.7", port, netip.MustParseAddrPort("127.0.0.1:1"), "192.0.2.7") // an address of documentation
	g.await(fmt.Sprintf("tcp 192.0.2.7:%d NotPermitted web", port))
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.problems) != 1 || !strings.Contains(g.problems[0], "this computer has no address 192.0.2.7") {
		t.Error(g.problems)
	}
}

// lease is a Publisher's connection.
func lease(g *guest) (send func(forward.Published), end func(), ended <-chan struct{}) {
	here, there := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		g.f.ServePublisher(g.t.Context(), "", pipe{there})
	}()
	answers := make(chan string, 100)
	go func() {
		buf := make([]byte, 3)
		for {
			if _, err := io.ReadFull(here, buf); err != nil {
				return
			}
			answers <- string(buf)
		}
	}()
	if ok := <-answers; ok != "ok\n" {
		g.t.Fatal(ok)
	}
	send = func(p forward.Published) {
		if err := json.NewEncoder(here).Encode(p); err != nil {
			g.t.Fatal(err)
		}
		<-answers
	}
	return send, func() { _ = here.Close() }, done
}

type pipe struct{ net.Conn }

func (pipe) CloseWrite() error { return errors.ErrUnsupported }

func TestPublishedPortsOutliveTheirServiceForAShortTime(t *testing.T) {
	port := freePort(t, TCP)
	web := forward.Published{Bindings: []forward.Binding{{Protocol: TCP, HostIP: "127.0.0.1", HostPort: port, GuestPort: 1, Container: "web"}}}
	g := newGuest(t)
	g.f.grace = time.Hour
	g.start()
	send, end, _ := lease(g)
	send(web)
	g.await(fmt.Sprintf("tcp 127.0.0.1:%d Forwarded web", port))
	end()
	send, end, _ = lease(g) // of the next service, which has yet to find its engine
	g.await(fmt.Sprintf("tcp 127.0.0.1:%d Forwarded web", port))
	send(forward.Published{})
	g.await()
	end()
}

func TestOnlyTheNewestServiceSaysWhatIsPublished(t *testing.T) {
	port := freePort(t, TCP)
	web := forward.Published{Bindings: []forward.Binding{{Protocol: TCP, HostIP: "127.0.0.1", HostPort: port, GuestPort: 1, Container: "web"}}}
	g := newGuest(t)
	g.f.grace = 0
	g.start()
	send, end, ended := lease(g)
	send(forward.Published{})
	send2, end2, _ := lease(g)
	send2(web)
	g.await(fmt.Sprintf("tcp 127.0.0.1:%d Forwarded web", port))
	end()
	<-ended
	if published := g.f.sources.published; len(published.Bindings) != 1 {
		t.Error("the older service's end counts")
	}
	end2()
	g.await()
}

func TestHolderOfAPortIsNamed(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	other := exec.Command(testenv.Program(t, "sleep", "coreutils"), "600")
	other.ExtraFiles = []*os.File{file}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.Process.Kill(); _ = other.Wait() })
	_ = file.Close()
	_ = l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	g := newGuest(t)
	g.start()
	g.publish(TCP, "", port, netip.MustParseAddrPort("127.0.0.1:1"))
	g.await(fmt.Sprintf("tcp 127.0.0.1:%d Busy web", port), fmt.Sprintf("tcp [::1]:%d Forwarded web", port))
	who := "another program"
	if runtime.GOOS == "linux" {
		who = fmt.Sprintf("sleep (process %d)", other.Process.Pid)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := slices.IndexFunc(g.ports, func(p event.Port) bool { return p.State == event.PortBusy }); !strings.HasPrefix(g.ports[i].Message, who) {
		t.Error(g.ports[i].Message)
	}
	vm, ok := hostagentOf([]string{"/x/rdd-lima", "hostagent", "--lima-home", "/l", "--nonce", "n", "web"})
	if !ok || vm.Home != "/l" || vm.Name != "web" {
		t.Error(vm, ok)
	}
	if _, ok := hostagentOf([]string{"nginx"}); ok {
		t.Error("nginx is no hostagent")
	}
}

func TestServiceAndHostagentFindEachOtherInAnyOrder(t *testing.T) {
	home, err := os.MkdirTemp("", "fp") // a short path for the socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(home) })
	vm := layout.VM{Home: home, Name: "rd"}
	port := freePort(t, TCP)
	web := func(container string) []forward.Binding {
		return []forward.Binding{{Protocol: TCP, HostIP: "127.0.0.1", HostPort: port, GuestPort: 1, Container: container}}
	}
	p := forward.NewPublisher(vm)
	ctx, cancel := context.WithCancel(t.Context())
	published := make(chan struct{})
	go func() {
		defer close(published)
		p.Run(ctx)
	}()
	p.Set(web("a"), nil)
	for range 2 { // hostagents, one after another
		g := newGuest(t)
		g.f.grace = 0
		stop := g.start()
		server := relay.Server{Path: vm.ForwardSocket(), Verbs: map[string]relay.Handler{forward.VerbPublish: g.f.ServePublisher}}
		serving, end := context.WithCancel(t.Context())
		served := make(chan struct{})
		go func() {
			defer close(served)
			server.Run(serving)
		}()
		g.await(fmt.Sprintf("tcp 127.0.0.1:%d Forwarded a", port))
		p.Set(web("b"), nil)
		g.await(fmt.Sprintf("tcp 127.0.0.1:%d Forwarded b", port))
		p.Set(nil, nil)
		g.await()
		p.Set(web("a"), nil)
		g.await(fmt.Sprintf("tcp 127.0.0.1:%d Forwarded a", port))
		end()
		<-served
		stop()
	}
	cancel()
	<-published
}

func TestReasonForAPortThatCantBeHadIsSaid(t *testing.T) {
	f := newGuest(t).f
	for name, tc := range map[string]struct {
		want  want
		err   error
		state string
		says  string // part of the message; empty: there is no problem to tell
	}{
		"a privileged port":             {want{key: keyAt(TCP, loopback4, 80), asked: true}, syscall.EACCES, event.PortNotPermitted, "this system reserves ports below 1024"},
		"an address that is missing":    {want{key: keyAt(TCP, netip.MustParseAddr("192.0.2.7"), 8080), asked: true}, syscall.EADDRNOTAVAIL, event.PortNotPermitted, "this computer has no address 192.0.2.7"},
		"no IPv6":                       {want{key: keyAt(TCP, loopback6, 8080), asked: true, optional: true}, syscall.EADDRNOTAVAIL, "", ""},
		"no IPv6 in the kernel":         {want{key: keyAt(UDP, loopback6, 8080), optional: true}, syscall.EAFNOSUPPORT, "", ""},
		"UDP that nobody has asked for": {want{key: keyAt(UDP, loopback4, 53)}, syscall.EACCES, "", ""},
		"too many open files":           {want{key: keyAt(TCP, loopback4, 8080)}, syscall.EMFILE, event.PortBusy, "too many open files"},
	} {
		fw := &forwarding{forwarder: f, err: fmt.Errorf("listen: %w", tc.err)}
		fw.want.Store(&tc.want)
		p, problem := fw.describe(t.Context())
		if p.State != tc.state || !strings.Contains(p.Message, tc.says) || problem == (tc.says == "") {
			t.Errorf("%s: %+v %v", name, p, problem)
		}
		if errors.Is(tc.err, syscall.EACCES) && tc.says != "" && runtime.GOOS == "linux" && !strings.HasSuffix(p.Message, "sudo sysctl net.ipv4.ip_unprivileged_port_start=80") {
			t.Error(p.Message)
		}
	}
}
