//go:build unix

package socket

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"rancherdesktop.io/rdd/internal/engine"
	"rancherdesktop.io/rdd/internal/testenv"
)

// guest stands for the guest's engine: what handles its connections.
type guest struct {
	dials  atomic.Int32
	fail   atomic.Int32 // how many dials fail before one succeeds
	listen net.Listener
}

func newGuest(t *testing.T, handle func(conn *net.UnixConn)) *guest {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "guest.sock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go handle(conn.(*net.UnixConn))
		}
	}()
	return &guest{listen: l}
}

func (g *guest) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if g.dials.Add(1) <= g.fail.Load() {
		return nil, errors.New("connect to /run/docker.sock: no such file or directory")
	}
	if network != "unix" || address != (&Server{}).kind().socket {
		return nil, fmt.Errorf("dial %s %s", network, address)
	}
	return (&net.Dialer{}).DialContext(ctx, "unix", g.listen.Addr().String())
}

func (g *guest) running() engine.Target {
	return engine.Target{Phase: engine.Running, Engine: engine.Moby, Dial: g.dial}
}

// serve runs a server until the test ends.
func serve(t *testing.T, link *engine.Link) *Server {
	t.Helper()
	s := &Server{Path: filepath.Join(t.TempDir(), "docker.sock"), Link: link, Log: slog.New(slog.DiscardHandler)}
	start(t, s)
	testenv.Eventually(t, "the socket is served", func() bool {
		_, err := os.Lstat(s.Path)
		return err == nil
	})
	return s
}

func start(t *testing.T, s *Server) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func connect(t *testing.T, s *Server) *net.UnixConn {
	t.Helper()
	conn, err := net.Dial("unix", s.Path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(testenv.Timeout)); err != nil {
		t.Fatal(err)
	}
	return conn.(*net.UnixConn)
}

// reverse answers, once the client has sent all, what it sent, with "got " before it.
func reverse(conn *net.UnixConn) {
	defer conn.Close()
	all, err := io.ReadAll(conn)
	if err == nil {
		_, _ = fmt.Fprintf(conn, "got %s", all)
	}
}

// ask sends text, then that it will send no more, and returns the answer.
func ask(conn *net.UnixConn, text string) (string, error) {
	if _, err := io.WriteString(conn, text); err != nil {
		return "", err
	}
	if err := conn.CloseWrite(); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(conn)
	return string(answer), err
}

func TestHalfCloseReachesTheOtherSide(t *testing.T) {
	link := &engine.Link{}
	link.Set(newGuest(t, reverse).running())
	s := serve(t, link)
	if got, err := ask(connect(t, s), "hello"); err != nil || got != "got hello" {
		t.Errorf("%q, %v", got, err)
	}
	received := make(chan string, 1)
	first := newGuest(t, func(conn *net.UnixConn) { // ends its side first
		_, _ = io.WriteString(conn, "greeting")
		_ = conn.CloseWrite()
		all, _ := io.ReadAll(conn)
		received <- string(all)
	})
	link.Set(first.running())
	conn := connect(t, s)
	if greeting, err := io.ReadAll(conn); err != nil || string(greeting) != "greeting" {
		t.Fatalf("%q, %v", greeting, err)
	}
	if _, err := io.WriteString(conn, "after the end"); err != nil {
		t.Fatal(err)
	}
	_ = conn.CloseWrite()
	if got := <-received; got != "after the end" {
		t.Errorf("the guest got %q", got)
	}
}

func TestHundredConnectionsAtOnce(t *testing.T) {
	const count = 100
	var together sync.WaitGroup
	together.Add(count)
	g := newGuest(t, func(conn *net.UnixConn) {
		together.Done()
		together.Wait() // nobody is answered before all are connected
		reverse(conn)
	})
	link := &engine.Link{}
	link.Set(g.running())
	s := serve(t, link)
	text := strings.Repeat("0123456789", 50_000)
	var clients sync.WaitGroup
	for n := range count {
		conn := connect(t, s)
		clients.Go(func() {
			want := fmt.Sprint(n, text)
			if got, err := ask(conn, want); err != nil || got != "got "+want {
				t.Errorf("client %d got %d bytes, %v", n, len(got), err)
			}
		})
	}
	clients.Wait()
	if dials := g.dials.Load(); dials != count {
		t.Errorf("%d connections to the guest", dials)
	}
}

// Attach, exec and build sessions take over an HTTP connection.
func TestHijackedConnectionsAreUnharmed(t *testing.T) {
	g := newGuest(t, func(conn *net.UnixConn) {
		defer conn.Close()
		in := bufio.NewReader(conn)
		if _, err := http.ReadRequest(in); err != nil {
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				break
			}
			_, _ = io.WriteString(conn, strings.ToUpper(line))
		}
		_, _ = io.WriteString(conn, "bye")
	})
	link := &engine.Link{}
	link.Set(g.running())
	conn := connect(t, serve(t, link))
	_, _ = io.WriteString(conn, "POST /v1.44/containers/x/attach?stream=1 HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nearly\n")
	in := bufio.NewReader(conn)
	response, err := http.ReadResponse(in, nil) //nolint:bodyclose // the connection is the body
	if err != nil || response.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(response, err)
	}
	for _, want := range []string{"EARLY\n", "ONE\n", "TWO\n"} {
		if line, err := in.ReadString('\n'); err != nil || line != want {
			t.Fatalf("%q, %v; want %q", line, err, want)
		}
		_, _ = io.WriteString(conn, map[string]string{"EARLY\n": "one\n", "ONE\n": "two\n"}[want])
	}
	_ = conn.CloseWrite()
	if rest, err := io.ReadAll(in); err != nil || string(rest) != "bye" {
		t.Errorf("%q, %v", rest, err)
	}
}

func TestRequestSurvivesAConnectionThatIsLost(t *testing.T) {
	g := newGuest(t, reverse)
	g.fail.Store(3)
	link := &engine.Link{}
	link.Set(g.running())
	s := serve(t, link)
	if got, err := ask(connect(t, s), "GET / HTTP/1.1\r\n\r\n"); err != nil || got != "got GET / HTTP/1.1\r\n\r\n" {
		t.Errorf("%q, %v", got, err)
	}
	if n := g.dials.Load(); n < 4 {
		t.Errorf("%d dials", n)
	}
}

func TestRequestWaitsWhileTheGuestStarts(t *testing.T) {
	g := newGuest(t, reverse)
	link := &engine.Link{}
	link.Set(engine.Target{Phase: engine.Starting, Engine: engine.Moby})
	s := serve(t, link)
	conn := connect(t, s)
	if _, err := io.WriteString(conn, "first, "); err != nil {
		t.Fatal(err)
	}
	_ = conn.CloseWrite()
	other := connect(t, s) // still sends when the guest is there
	if _, err := io.WriteString(other, "one, "); err != nil {
		t.Fatal(err)
	}
	link.Set(g.running())
	if answer, err := io.ReadAll(conn); err != nil || string(answer) != "got first, " {
		t.Errorf("%q, %v", answer, err)
	}
	if got, err := ask(other, "two"); err != nil || got != "got one, two" {
		t.Errorf("%q, %v", got, err)
	}
}

// waiting starts a request to a server and returns the client's end once the server has read text, and so waits.
func waiting(t *testing.T, s *Server, text string) net.Conn {
	t.Helper()
	here, there := net.Pipe() // a write waits for its reader
	t.Cleanup(func() { there.Close() })
	go s.serve(t.Context(), newClient(halfCloser{here}))
	if _, err := io.WriteString(there, text); err != nil {
		t.Fatal(err)
	}
	return there
}

func TestWhatWasSentWhileWaitingArrives(t *testing.T) {
	g := newGuest(t, func(conn *net.UnixConn) {
		defer conn.Close()
		line, _ := bufio.NewReader(conn).ReadString('\n')
		_, _ = io.WriteString(conn, "got "+line)
	})
	link := &engine.Link{}
	link.Set(engine.Target{Phase: engine.Starting, Engine: engine.Moby})
	conn := waiting(t, &Server{Link: link, Log: slog.New(slog.DiscardHandler)}, "early, ")
	link.Set(g.running())
	go func() { _, _ = io.WriteString(conn, "late\n") }()
	if got, err := bufio.NewReader(conn).ReadString('\n'); err != nil || got != "got early, late\n" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestRequestOfAClientThatHasGoneIsNotCarriedOut(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells that a client has closed its connection")
	}
	g := newGuest(t, reverse)
	link := &engine.Link{}
	link.Set(engine.Target{Phase: engine.Starting, Engine: engine.Moby})
	s := &Server{Link: link, Log: slog.New(slog.DiscardHandler)}
	here, there := pair(t)
	_, _ = io.WriteString(there, "POST /containers/create HTTP/1.1\r\n\r\n")
	_ = there.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.serve(t.Context(), newClient(here))
	}()
	<-done // though the guest is still starting
	link.Set(g.running())
	if n := g.dials.Load(); n != 0 {
		t.Errorf("%d requests reached the guest", n)
	}
}

// refused sends a request and returns the answer.
func refused(t *testing.T, s *Server, request string) (*http.Response, string) {
	t.Helper()
	conn := connect(t, s)
	go func() { _, _ = io.WriteString(conn, request) }()
	method, _, _ := strings.Cut(request, " ")
	response, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

func TestStoppedEngineSaysHowToStartIt(t *testing.T) {
	s := serve(t, &engine.Link{})
	for name, request := range map[string]string{
		"GET":                "GET /v1.44/containers/json HTTP/1.1\r\nHost: docker\r\n\r\n",
		"ping":               "HEAD /_ping HTTP/1.1\r\nHost: docker\r\n\r\n",
		"body":               "POST /v1.44/images/load HTTP/1.1\r\nHost: docker\r\nContent-Length: 8000000\r\n\r\n" + strings.Repeat("x", 8_000_000),
		"chunked body":       "POST /v1.44/build HTTP/1.1\r\nHost: docker\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
		"expects":            "POST /v1.44/build HTTP/1.1\r\nHost: docker\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
		"h2c":                "POST /grpc HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
		"session":            "POST /session HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nX-Docker-Expose-Session-Uuid: 1\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"HTTP/2":             "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"HTTP/1.0":           "GET /_ping HTTP/1.0\r\n\r\n",
		"TLS":                "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
		"garbage":            "hello\n",
		"head without end":   "GET / HTTP/1.1\r\nX: " + strings.Repeat("y", 2<<20),
		"not a header":       "GET / HTTP/1.1\r\n???\r\n\r\n",
		"negative body size": "POST / HTTP/1.1\r\nHost: docker\r\nContent-Length: -1\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			response, body := refused(t, s, request) //nolint:bodyclose // it is read
			if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Api-Version") == "" || !response.Close {
				t.Errorf("%v", response)
			}
			if name == "ping" {
				if body != "" {
					t.Errorf("an answer to HEAD has the body %q", body)
				}
				return
			}
			var answer struct{ Message string }
			if err := json.Unmarshal([]byte(body), &answer); err != nil || !strings.Contains(answer.Message, "rdd start") {
				t.Errorf("%q, %v", body, err)
			}
		})
	}
}

// A client that is still sending, such as docker build, must get the answer, and not only a broken connection.
func TestRefusalReachesAClientThatUploads(t *testing.T) {
	s := serve(t, &engine.Link{})
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", s.Path)
	}}
	defer transport.CloseIdleConnections()
	for range 20 {
		response, err := (&http.Client{Transport: transport}).Post("http://docker/build", "application/x-tar", strings.NewReader(strings.Repeat("x", 4<<20)))
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(response.Body); err != nil || response.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(body), "rdd start") {
			t.Errorf("%d %s, %v", response.StatusCode, body, err)
		}
		response.Body.Close()
	}
}

func TestAnswerToHeadHasNoBody(t *testing.T) {
	s := serve(t, &engine.Link{})
	if text, err := ask(connect(t, s), "HEAD /_ping HTTP/1.1\r\nHost: docker\r\n\r\n"); err != nil || !strings.HasPrefix(text, "HTTP/1.1 503 ") || !strings.HasSuffix(text, "\r\n\r\n") {
		t.Errorf("%q, %v", text, err)
	}
}

func TestRefusalGivesTheReason(t *testing.T) {
	link := &engine.Link{}
	s := serve(t, link)
	for want, target := range map[string]engine.Target{
		"The virtual machine rd has failed to start. See: rdd status": {Phase: engine.Stopped, Engine: engine.Moby, Reason: "The virtual machine rd has failed to start. See: rdd status"},
		(&Server{}).kind().wrong + "rdd set containerEngine.name=moby": {Phase: engine.Running, Engine: engine.Containerd, Dial: func(context.Context, string, string) (net.Conn, error) {
			t.Error("docker's request went to containerd")
			return nil, errors.New("no")
		}},
	} {
		link.Set(target)
		_, body := refused(t, s, "GET /info HTTP/1.1\r\nHost: docker\r\n\r\n") //nolint:bodyclose // it is read
		var answer struct{ Message string }
		if err := json.Unmarshal([]byte(body), &answer); err != nil || answer.Message != want {
			t.Errorf("%q, %v; want %q", body, err, want)
		}
	}
}

// docker hung for two minutes on an engine that systemd had given up.
func TestAnEngineThatCanNotStartIsSaidAtOnce(t *testing.T) {
	g := newGuest(t, reverse)
	g.fail.Store(1 << 30)
	link := &engine.Link{}
	link.Set(g.running())
	var failed atomic.Pointer[string]
	failed.Store(new(string))
	s := &Server{Path: filepath.Join(t.TempDir(), "docker.sock"), Link: link, Log: slog.New(slog.DiscardHandler), Failed: func() string { return *failed.Load() }}
	begin, waiting := time.Now(), make(chan string, 1)
	start(t, s)
	testenv.Eventually(t, "the socket is served", func() bool {
		_, err := os.Lstat(s.Path)
		return err == nil
	})
	request := "GET /_ping HTTP/1.1\r\nHost: docker\r\n\r\n"
	early := connect(t, s) // before that was known
	go func() {
		answer, _ := ask(early, request)
		waiting <- answer
	}()
	testenv.Eventually(t, "a request waits", func() bool { return g.dials.Load() > 1 })
	said := "The service docker could not start."
	failed.Store(&said)
	const want = `{"message":"RDD's container engine can't start. The service docker could not start. What to do says: rdd status"}`
	if answer := <-waiting; !strings.Contains(answer, want) {
		t.Errorf("to a request that waits: %s", answer)
	}
	if response, body := refused(t, s, request); response.StatusCode != http.StatusServiceUnavailable || body != want+"\n" { //nolint:bodyclose // it is read
		t.Errorf("%s: %s", response.Status, body)
	}
	if took := time.Since(begin); took > waitBound/2 {
		t.Errorf("it took %s", took)
	}
	failed.Store(new(string)) // it is tried again
	late := connect(t, s)
	go func() {
		answer, _ := ask(late, request)
		waiting <- answer
	}()
	before := g.dials.Load()
	testenv.Eventually(t, "a request waits", func() bool { return g.dials.Load() > before+1 })
	g.fail.Store(0)
	if answer := <-waiting; answer != "got "+request {
		t.Errorf("once the engine answers: %q", answer)
	}
}

func TestServiceThatStopsRefusesWhoWaits(t *testing.T) {
	link := &engine.Link{}
	g := newGuest(t, reverse)
	link.Set(g.running())
	s := serve(t, link)
	established := connect(t, s)
	_, _ = io.WriteString(established, "before, ")
	testenv.Eventually(t, "it is connected", func() bool { return g.dials.Load() == 1 })
	dialing := make(chan struct{})
	for name, target := range map[string]engine.Target{
		"the guest starts": {Phase: engine.Starting, Engine: engine.Moby},
		"the connection is lost": {Phase: engine.Running, Engine: engine.Moby, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			close(dialing)
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}},
	} {
		link.Set(target)
		s := &Server{Link: link, Log: slog.New(slog.DiscardHandler)}
		var conn net.Conn
		if target.Dial == nil {
			conn = waiting(t, s, "GET /info HTTP/1.1\r\nHost: docker\r\n\r\n")
		} else {
			here, there := net.Pipe()
			defer there.Close()
			go s.serve(t.Context(), newClient(halfCloser{here}))
			<-dialing
			go func() { _, _ = io.WriteString(there, "GET /info HTTP/1.1\r\nHost: docker\r\n\r\n") }()
			conn = there
		}
		s.Refuse("RDD stops.")
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(name, err)
		}
		defer response.Body.Close()
		if body, err := io.ReadAll(response.Body); err != nil || !strings.Contains(string(body), "RDD stops.") {
			t.Errorf("%s: %s, %v", name, body, err)
		}
	}
	s.Refuse("RDD stops.")
	if got, err := ask(established, "after"); err != nil || got != "got before, after" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestWaitHasABound(t *testing.T) {
	never := func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	for name, tc := range map[string]struct {
		target engine.Target
		want   string
	}{
		"the guest starts": {engine.Target{Phase: engine.Starting}, "still starting"},
		"a step is known":  {engine.Target{Phase: engine.Starting, Reason: "The virtual machine is being created."}, "being created"},
		"no connection":    {engine.Target{Phase: engine.Running, Dial: never}, "has not answered for 2m0s"},
		"no engine": {engine.Target{Phase: engine.Running, Dial: func(context.Context, string, string) (net.Conn, error) {
			return nil, syscall.ECONNREFUSED
		}}, "connection refused"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				link := &engine.Link{}
				link.Set(tc.target)
				s := &Server{Link: link, Log: slog.New(slog.DiscardHandler)}
				here, there := net.Pipe()
				begin := time.Now()
				go s.serve(t.Context(), newClient(halfCloser{here}))
				go func() { _, _ = io.WriteString(there, "GET /info HTTP/1.1\r\nHost: docker\r\n\r\n") }()
				response, err := http.ReadResponse(bufio.NewReader(there), nil)
				if err != nil {
					t.Fatal(err)
				}
				defer response.Body.Close()
				body, err := io.ReadAll(response.Body)
				if err != nil || response.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(body), tc.want) {
					t.Errorf("%d %s, %v", response.StatusCode, body, err)
				}
				if waited := time.Since(begin); waited != waitBound {
					t.Errorf("after %s", waited)
				}
				there.Close()
			})
		})
	}
}

// halfCloser stands for a connection with CloseWrite.
type halfCloser struct{ net.Conn }

func (halfCloser) CloseWrite() error { return nil }

func TestStopEndsAllConnections(t *testing.T) {
	g := newGuest(t, func(conn *net.UnixConn) { // an attached container, which says nothing
		_, _ = io.WriteString(conn, "attached\n")
		_, _ = io.Copy(io.Discard, conn)
		_ = conn.Close()
	})
	before := runtime.NumGoroutine()
	link := &engine.Link{}
	link.Set(g.running())
	s := &Server{Path: filepath.Join(t.TempDir(), "docker.sock"), Link: link, Log: slog.New(slog.DiscardHandler)}
	stop := start(t, s)
	testenv.Eventually(t, "the socket is there", func() bool { _, err := os.Lstat(s.Path); return err == nil })
	attached := connect(t, s)
	if line, err := bufio.NewReader(attached).ReadString('\n'); err != nil || line != "attached\n" {
		t.Fatal(line, err)
	}
	link.Set(engine.Target{Phase: engine.Starting, Engine: engine.Moby})
	waiting := connect(t, s)
	stop()
	for _, conn := range []net.Conn{attached, waiting} {
		if _, err := io.ReadAll(conn); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
	}
	if _, err := net.Dial("unix", s.Path); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("the socket is left: %v", err)
	}
	testenv.Eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= before })
}

func TestStopDoesNotWaitForASlowClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Server{Link: &engine.Link{}, Log: slog.New(slog.DiscardHandler)}
		here, there := net.Pipe()
		ctx, cancel := context.WithCancel(t.Context())
		go s.serve(ctx, newClient(halfCloser{here}))
		synctest.Wait() // for its request
		begin := time.Now()
		cancel()
		if _, err := there.Read(make([]byte, 1)); err == nil || time.Since(begin) != 0 {
			t.Errorf("%v after %s", err, time.Since(begin))
		}
	})
}

// An exec session whose docker was killed must not go on in the guest until it prints something.
func TestGuestLearnsThatTheClientHasGone(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells that a client has closed its connection")
	}
	accepted := make(chan *net.UnixConn, 1)
	link := &engine.Link{}
	link.Set(newGuest(t, func(conn *net.UnixConn) { accepted <- conn }).running())
	conn := connect(t, serve(t, link))
	inGuest := <-accepted
	defer inGuest.Close()
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, "its connection is closed", func() bool { return hungUp(inGuest, false) })
}

func TestIdleSocketHasNoGoroutinesPerConnection(t *testing.T) {
	link := &engine.Link{}
	link.Set(engine.Target{Phase: engine.Running, Engine: engine.Moby, Dial: newGuest(t, reverse).dial})
	s := serve(t, link)
	if _, err := ask(connect(t, s), "x"); err != nil {
		t.Fatal(err)
	}
	var before int
	testenv.Eventually(t, "the first connection has ended", func() bool {
		n := runtime.NumGoroutine()
		same := n == before
		before = n
		return same
	})
	for range 50 {
		if _, err := ask(connect(t, s), "x"); err != nil {
			t.Fatal(err)
		}
	}
	testenv.Eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= before })
}
