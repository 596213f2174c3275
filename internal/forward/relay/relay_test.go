package relay

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"rancherdesktop.io/rdd/internal/forward"
	"rancherdesktop.io/rdd/internal/testenv"
)

// echo sends back what it gets once everything is there, as a program does that reads its input to the end.
func echo(c forward.Conn) {
	b, err := io.ReadAll(c)
	if err == nil {
		_, _ = c.Write(b)
	}
	_ = c.Close()
}

// cat sends back what it gets as it comes.
func cat(c forward.Conn) {
	_, _ = io.Copy(c, c)
	_ = c.Close()
}

func dial(tb testing.TB, g *guest, network, address string) forward.Conn {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testenv.Timeout)
	defer cancel()
	c, err := forward.Dial(ctx, g.vm, network, address)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = c.Close() })
	return c
}

// exchange sends b, ends its way, and returns all that comes back.
func exchange(c forward.Conn, b []byte) (got []byte, err error) {
	sent := make(chan error, 1)
	go func() {
		_, err := c.Write(b)
		sent <- errors.Join(err, c.CloseWrite())
	}()
	got, err = io.ReadAll(c)
	return got, errors.Join(err, <-sent)
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

func TestEachWayOfAConnectionEndsByItself(t *testing.T) {
	g := newGuest(t)
	socket := filepath.Join(g.vm.Home, "echo.sock")
	listening(t, "unix", socket, echo)
	tcp := listening(t, "tcp", "127.0.0.1:0", echo).String()
	for network, address := range map[string]string{"unix": socket, "tcp": tcp} {
		want := random(5 << 20) // more than an SSH channel's window
		if got, err := exchange(dial(t, g, network, address), want); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: after our end: %v, %d bytes", network, err, len(got))
		}
	}
	got := make(chan string, 1)
	first := listening(t, "tcp", "127.0.0.1:0", func(c forward.Conn) {
		_, _ = io.WriteString(c, "all I have")
		_ = c.CloseWrite()
		b, err := io.ReadAll(c)
		if err != nil {
			t.Error(err)
		}
		got <- string(b)
		_ = c.Close()
	})
	c := dial(t, g, "tcp", first.String())
	if b, err := io.ReadAll(c); err != nil || string(b) != "all I have" {
		t.Errorf("the guest's end: %q, %v", b, err)
	}
	if _, err := io.WriteString(c, "and this after it"); err != nil {
		t.Error(err)
	}
	_ = c.Close()
	if b := <-got; b != "and this after it" {
		t.Errorf("after the guest's end it gets %q", b)
	}
	if n := g.logins.Load(); n != 1 {
		t.Errorf("%d logins", n)
	}
}

func TestAHundredConnectionsAtOnce(t *testing.T) {
	g := newGuest(t)
	socket := filepath.Join(g.vm.Home, "cat.sock")
	listening(t, "unix", socket, cat)
	var all sync.WaitGroup
	var conns [100]forward.Conn
	for i := range conns { // all are open before the first is used
		conns[i] = dial(t, g, "unix", socket)
	}
	for i, c := range conns {
		all.Go(func() {
			want := random(i << 10)
			if got, err := exchange(c, want); err != nil || !bytes.Equal(got, want) {
				t.Errorf("connection %d: %v, %d bytes of %d", i, err, len(got), len(want))
			}
		})
	}
	all.Wait()
}

func TestBothWaysAreFullAtOnce(t *testing.T) {
	g := newGuest(t)
	const size = 8 << 20 // more than all buffers on the way
	var all sync.WaitGroup
	address := listening(t, "tcp", "127.0.0.1:0", func(c forward.Conn) {
		defer all.Done()
		if got, err := exchange(c, make([]byte, size)); err != nil || len(got) != size {
			t.Error("in the guest:", len(got), err)
		}
		_ = c.Close()
	}).String()
	for range 4 {
		all.Add(1)
		c := dial(t, g, "tcp", address)
		all.Go(func() {
			if got, err := exchange(c, make([]byte, size)); err != nil || len(got) != size {
				t.Error(len(got), err)
			}
		})
	}
	all.Wait()
}

func TestARefusalSaysWhatItMeans(t *testing.T) {
	g := newGuest(t)
	missing := filepath.Join(g.vm.Home, "no.sock")
	for name, tc := range map[string]struct {
		network, address string
		is               error
		says             string
	}{
		"no socket":      {"unix", missing, forward.ErrRefused, "nothing listens there"},
		"no port":        {"tcp", "127.0.0.1:1", forward.ErrRefused, "127.0.0.1:1"},
		"no such port":   {"tcp", "127.0.0.1:http", nil, "not a number"},
		"no such place":  {"udp", "127.0.0.1:53", forward.ErrUnknown, `not "udp"`},
		"more than line": {"unix", "/a\nb", nil, "one line"},
	} {
		_, err := forward.Dial(t.Context(), g.vm, tc.network, tc.address)
		if err == nil || !strings.Contains(err.Error(), tc.says) || !strings.Contains(err.Error(), `VM "rd"`) || tc.is != nil && !errors.Is(err, tc.is) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := forward.Open(t.Context(), g.vm, "dance"); !errors.Is(err, forward.ErrUnknown) {
		t.Error(err)
	}
}

func TestOnlyTheUserCanUseTheSocket(t *testing.T) {
	g := newGuest(t)
	info, err := os.Lstat(g.vm.ForwardSocket())
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Error(info.Mode())
	}
	if dir, err := os.Stat(g.vm.Dir()); err != nil || runtime.GOOS != "windows" && dir.Mode().Perm() != 0o700 {
		t.Error(dir.Mode(), err)
	}
}

func TestASocketThatIsInTheWayOrRemoved(t *testing.T) {
	vm := newVM(t)
	problems := make(chan error, 10)
	s := &Server{Path: vm.ForwardSocket(), Verbs: map[string]Handler{"hello": func(_ context.Context, _ string, c forward.Conn) { _ = forward.Accept(c) }},
		Problem: func(err error) { problems <- err }, look: time.Millisecond, retry: time.Millisecond}
	if err := os.MkdirAll(vm.Dir(), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.Path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, s.Run)
	if err := <-problems; err == nil || !strings.Contains(err.Error(), "move it away") {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(s.Path); string(b) != "precious" {
		t.Fatal("somebody's file is gone", err)
	}
	answers := func() bool {
		c, err := forward.Open(t.Context(), vm, "hello")
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	}
	for _, what := range []string{"the file is moved away", "the socket is removed"} {
		if err := os.Remove(s.Path); err != nil {
			t.Fatal(err)
		}
		testenv.Eventually(t, what, answers)
	}
	if err := <-problems; err != nil {
		t.Error(err)
	}
}

// A client that was killed while the guest says nothing must not stay connected. The guest learns of it by its end.
func TestAClientThatIsKilledLeavesNothing(t *testing.T) {
	g := newGuest(t)
	ended := make(chan error, 1)
	address := listening(t, "tcp", "127.0.0.1:0", func(c forward.Conn) {
		_, err := io.Copy(io.Discard, c)
		_ = c.Close()
		ended <- err
	}).String()
	c := dial(t, g, "tcp", address)
	if _, err := io.WriteString(c, "x"); err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	testenv.Eventually(t, "nobody uses the connection", func() bool { return current(g.client).usersNow() == 0 })
}

// The guest's program has closed its socket, so nobody takes what the client sends. The client need not send twice.
func TestAGuestThatTakesNothingMoreEndsTheConnection(t *testing.T) {
	g := newGuest(t)
	socket := filepath.Join(g.vm.Home, "closed.sock")
	listening(t, "unix", socket, func(c forward.Conn) { _ = c.Close() })
	c := dial(t, g, "unix", socket)
	if b, err := io.ReadAll(c); err != nil || len(b) > 0 {
		t.Fatal(b, err)
	}
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, "nobody uses the connection", func() bool { return current(g.client).usersNow() == 0 })
}

// A server may refuse a request that it has not read to its end, such as a large upload. Its answer must arrive.
func TestAnAnswerArrivesThoughTheRequestIsNotRead(t *testing.T) {
	g := newGuest(t)
	answer := random(1 << 20)
	socket := filepath.Join(g.vm.Home, "refuses.sock")
	answered := make(chan error, 1)
	listening(t, "unix", socket, func(c forward.Conn) {
		_, err := c.Read(make([]byte, 1))
		if err == nil {
			_, err = c.Write(answer)
		}
		_ = c.Close()
		answered <- err
	})
	c := dial(t, g, "unix", socket)
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := <-answered; err != nil {
		t.Fatal(err)
	}
	for range 100 {
		_, _ = c.Write(make([]byte, 32<<10)) // may fail, as on the guest's own socket
	}
	got, err := io.ReadAll(c)
	if !bytes.Equal(got, answer) {
		t.Errorf("%d bytes of %d arrive: %v", len(got), len(answer), err)
	}
	testenv.Eventually(t, "nobody uses the connection", func() bool { return current(g.client).usersNow() == 0 })
}

// A dial notices by itself that nobody answers, and does not wait for the next check.
func TestADialFindsOutThatTheGuestIsSilent(t *testing.T) {
	g := newGuest(t, impatient, func(c *Client) { c.t.keepalive = time.Hour })
	address := listening(t, "tcp", "127.0.0.1:0", cat).String()
	before := connected(t, g)
	g.freezeConns()
	if got, err := exchange(dial(t, g, "tcp", address), []byte("x")); err != nil || string(got) != "x" {
		t.Fatal(string(got), err)
	}
	if current(g.client) == before {
		t.Error("the old connection is used")
	}
}

func TestALostConnectionIsMadeAgainAndNoRequestFails(t *testing.T) {
	for name, lose := range map[string]func(*guest){
		"all connections end":      func(g *guest) { g.hangUp() },
		"the server restarts":      func(g *guest) { g.stop(); g.listen(g.address) },
		"the server stops a while": func(g *guest) { g.stop(); awaitProblem(t, g); g.listen(g.address) },
		"the guest falls silent":   func(g *guest) { g.freeze(); time.AfterFunc(300*time.Millisecond, g.thaw) },
	} {
		t.Run(name, func(t *testing.T) {
			g := newGuest(t, impatient)
			socket := filepath.Join(g.vm.Home, "echo.sock")
			listening(t, "unix", socket, echo)
			for range 3 {
				if got, err := exchange(dial(t, g, "unix", socket), []byte("hello")); err != nil || string(got) != "hello" {
					t.Fatal(string(got), err)
				}
				lose(g)
			}
			if got, err := exchange(dial(t, g, "unix", socket), []byte("hello")); err != nil || string(got) != "hello" {
				t.Fatal(string(got), err)
			}
		})
	}
}

// awaitProblem waits until a failed attempt is reported.
func awaitProblem(t *testing.T, g *guest) {
	t.Helper()
	late := time.After(testenv.Timeout)
	for {
		select {
		case err := <-g.problems:
			if err != nil {
				return
			}
		case <-late:
			t.Fatal("no problem is reported")
		}
	}
}

func TestAConnectionThatIsLostInTheMiddleEnds(t *testing.T) {
	g := newGuest(t)
	address := listening(t, "tcp", "127.0.0.1:0", cat).String()
	c := dial(t, g, "tcp", address)
	if _, err := io.WriteString(c, "x"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	direct, err := g.client.Dial(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer direct.Close()
	g.hangUp()
	if _, err := io.ReadAll(direct); err == nil {
		t.Error("what was cut off looks like the whole")
	}
	if _, err := io.ReadAll(c); err != nil {
		t.Log("a socket may say so:", err)
	}
	testenv.Eventually(t, "writing fails", func() bool { _, err := c.Write([]byte("x")); return err != nil })
}

// A guest that is paused and goes on has kept its connections. The client must have, too.
func TestAConnectionSurvivesASilentGuest(t *testing.T) {
	for name, silence := range map[string]func(*guest){
		"the guest is paused":      func(g *guest) { g.freeze() },
		"one connection is silent": func(g *guest) { g.freezeConns() },
	} {
		t.Run(name, func(t *testing.T) {
			g := newGuest(t, impatient)
			address := listening(t, "tcp", "127.0.0.1:0", cat).String()
			old := dial(t, g, "tcp", address)
			before := current(g.client)
			silence(g)
			testenv.Eventually(t, "the silence is noticed", func() bool { return !before.usable() })
			g.thaw()
			if got, err := exchange(dial(t, g, "tcp", address), []byte("new")); err != nil || string(got) != "new" {
				t.Fatal(string(got), err)
			}
			if got, err := exchange(old, []byte("old")); err != nil || string(got) != "old" {
				t.Error(string(got), err)
			}
		})
	}
}

// While nobody can log in, a guest that answers again on the old connection is reached at once.
func TestAGuestThatWasOnlySilentNeedsNoLogin(t *testing.T) {
	g := newGuest(t, impatient)
	address := listening(t, "tcp", "127.0.0.1:0", cat).String()
	before := connected(t, g)
	g.mu.Lock()
	_ = g.listener.Close()
	g.mu.Unlock()
	g.freezeConns()
	awaitProblem(t, g)
	g.thaw()
	if got, err := exchange(dial(t, g, "tcp", address), []byte("x")); err != nil || string(got) != "x" {
		t.Fatal(string(got), err)
	}
	if current(g.client) != before || g.logins.Load() != 1 {
		t.Error("it has logged in again")
	}
	for err := errors.New("problem"); err != nil; {
		select {
		case err = <-g.problems:
		case <-time.After(testenv.Timeout):
			t.Fatal("the problem stays")
		}
	}
}

// connected waits for the first SSH connection.
func connected(t *testing.T, g *guest) (l *link) {
	t.Helper()
	testenv.Eventually(t, "it is connected", func() bool { l = current(g.client); return l != nil })
	return l
}

func current(c *Client) *link {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.link
}

// A boot script may put the user into Docker's group after the login.
func TestWhatAGuestPermitsOnceItHasBootedIsPermitted(t *testing.T) {
	g := newGuest(t)
	address := listening(t, "tcp", "127.0.0.1:0", cat).String()
	first := connected(t, g)
	var before *link
	g.refuses.Store(true)
	g.hangUp()
	testenv.Eventually(t, "it is connected again", func() bool { before = current(g.client); return before != nil && before != first })
	if _, err := forward.Dial(t.Context(), g.vm, "tcp", address); !errors.Is(err, forward.ErrRefused) {
		t.Fatal(err)
	}
	g.refuses.Store(false)
	if _, err := forward.Dial(t.Context(), g.vm, "tcp", address); !errors.Is(err, forward.ErrRefused) {
		t.Fatal(err)
	}
	g.client.Booted()
	if got, err := exchange(dial(t, g, "tcp", address), []byte("x")); err != nil || string(got) != "x" {
		t.Fatal(string(got), err)
	}
	select {
	case <-before.done:
	case <-time.After(testenv.Timeout):
		t.Error("the old connection has no user, and stays")
	}
	logins := g.logins.Load()
	if _, err := forward.Dial(t.Context(), g.vm, "unix", "/no/such"); !errors.Is(err, forward.ErrRefused) || g.logins.Load() != logins {
		t.Error(err, g.logins.Load(), logins)
	}
}

// Each report is an event of the VM.
func TestAProblemThatLastsIsReportedOnce(t *testing.T) {
	g := newGuest(t, func(c *Client) { c.t.backoff = time.Microsecond; c.t.greeting = time.Millisecond })
	connected(t, g)
	for len(g.problems) > 0 {
		<-g.problems // the first attempts may have been too short
	}
	g.freeze() // attempts time out, each on a connection of its own
	g.hangUp()
	awaitProblem(t, g)
	g.client.mu.Lock()
	first := g.client.since
	g.client.mu.Unlock()
	testenv.Eventually(t, "more attempts fail", func() bool { return time.Since(first) > 500*time.Millisecond })
	if n := len(g.problems); n > 0 {
		t.Errorf("%d more reports, such as %v", n, <-g.problems)
	}
}

func TestWithoutAConnectionADialSaysWhy(t *testing.T) {
	g := newGuest(t, func(c *Client) { c.t.dial = time.Millisecond })
	connected(t, g)
	g.stop()
	awaitProblem(t, g)
	_, err := forward.Dial(t.Context(), g.vm, "unix", "/run/docker.sock")
	if !errors.Is(err, forward.ErrNotConnected) || !strings.Contains(err.Error(), "SSH server on "+g.address) {
		t.Error(err)
	}
	patient := newGuest(t, func(c *Client) { c.t.dial = time.Hour })
	patient.stop()
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	if _, err := forward.Dial(ctx, patient.vm, "unix", "/run/docker.sock"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	g.vm.Name = "other"
	if _, err := forward.Dial(t.Context(), g.vm, "unix", "/run/docker.sock"); !errors.Is(err, forward.ErrNotConnected) || !strings.Contains(err.Error(), "does not run") {
		t.Error(err)
	}
}

func TestNothingIsLeftOfConnections(t *testing.T) {
	g := newGuest(t)
	socket := filepath.Join(g.vm.Home, "cat.sock")
	listening(t, "unix", socket, cat)
	some := func(n int) {
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				for i := range n / 10 {
					c, err := forward.Dial(t.Context(), g.vm, "unix", socket)
					if err != nil {
						t.Error(err)
						return
					}
					if i%3 != 0 { // else it is closed at once
						if got, err := exchange(c, []byte("x")); err != nil || string(got) != "x" {
							t.Error(string(got), err)
						}
					}
					_ = c.Close()
				}
			})
		}
		all.Wait()
	}
	some(100)
	n := 1000
	if testing.Short() {
		n = 200
	}
	goroutines, files := runtime.NumGoroutine(), openFiles()
	some(n)
	testenv.Eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= goroutines+5 })
	testenv.Eventually(t, "no file is left", func() bool { return openFiles() <= files+5 })
	testenv.Eventually(t, "nobody uses the connection", func() bool { return current(g.client).usersNow() == 0 })
}

func (l *link) usersNow() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.users
}

// openFiles counts this process's files; 0 where it can't be known.
func openFiles() int {
	all, _ := os.ReadDir("/proc/self/fd")
	return len(all)
}

func TestACommandRunsInTheGuest(t *testing.T) {
	g := newGuest(t)
	var out, problem bytes.Buffer
	if err := g.client.Exec(t.Context(), "cat", strings.NewReader("hello"), &out, nil); err != nil || out.String() != "hello" {
		t.Error(out.String(), err)
	}
	err := g.client.Exec(t.Context(), "dance", nil, nil, &problem)
	if exit, ok := errors.AsType[*ssh.ExitError](err); !ok || exit.ExitStatus() != 127 || problem.String() != "no such command" {
		t.Error(err, problem.String())
	}
	ctx, cancel := context.WithCancel(t.Context())
	in, _ := io.Pipe()
	time.AfterFunc(10*time.Millisecond, cancel)
	if err := g.client.Exec(ctx, "cat", in, io.Discard, nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestACommandsInputAndOutputAreAConnection(t *testing.T) {
	g := newGuest(t)
	if got, err := exchange(dial(t, g, "exec", "cat"), []byte("hello")); err != nil || string(got) != "hello" {
		t.Error(string(got), err)
	}
	if got, err := io.ReadAll(dial(t, g, "exec", "dance")); err != nil || len(got) != 0 {
		t.Error(string(got), err)
	}
}
