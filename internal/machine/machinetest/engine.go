package machinetest

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	app "rancherdesktop.io/rdd/internal/api/app/v1alpha1"
	"rancherdesktop.io/rdd/internal/forward"
)

// engine is a fake of dockerd in the guest of the App's VM: with containers that a test names, and without images. It answers
// what a mirror of the engine asks.
type engine struct {
	fake  Fake
	conns *connListener
	mu    sync.Mutex // guards the change of a setting
}

// serveEngine serves the VM's forward socket with a fake engine, until the process ends.
func (p *run) serveEngine() error {
	if p.vm.Name != app.VM {
		return nil
	}
	if err := os.Remove(p.vm.ForwardSocket()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	listener, err := net.Listen("unix", p.vm.ForwardSocket())
	if err != nil {
		return err
	}
	e := &engine{fake: p.fake, conns: &connListener{conns: make(chan net.Conn), addr: listener.Addr()}}
	server := &http.Server{Handler: e.handler()}
	go func() { _ = server.Serve(e.conns) }() // until the process ends
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go e.accept(conn)
		}
	}()
	return nil
}

// accept answers a request for a connection into the guest.
func (e *engine) accept(conn net.Conn) {
	reader := bufio.NewReader(conn)
	verb, args, err := forward.ReadRequest(reader)
	switch {
	case err != nil:
		_ = conn.Close()
	case verb == "dial" && strings.HasSuffix(args, "docker.sock") && e.fake.mode("engine", app.VM) != "none":
		if forward.Accept(conn) == nil {
			e.conns.conns <- &bufferedConn{conn, reader}
		}
	case verb == forward.VerbPublish:
		defer conn.Close()
		if forward.Accept(conn) != nil {
			return
		}
		for lines := bufio.NewScanner(reader); lines.Scan(); {
			if _, err := io.WriteString(conn, "ok\n"); err != nil {
				return
			}
		}
	case verb == "dial":
		_ = forward.Refuse(conn, forward.ErrRefused)
		_ = conn.Close()
	default:
		_ = forward.Refuse(conn, forward.ErrUnknown)
		_ = conn.Close()
	}
}

// connListener is a net.Listener of connections that come from elsewhere.
type connListener struct {
	conns chan net.Conn
	addr  net.Addr
}

func (l *connListener) Accept() (net.Conn, error) { return <-l.conns, nil }
func (*connListener) Close() error                { return nil }
func (l *connListener) Addr() net.Addr            { return l.addr }

// bufferedConn is a connection of which something was read already.
type bufferedConn struct {
	net.Conn
	reader *bufio.Reader
}

func (c *bufferedConn) Read(p []byte) (int, error) { return c.reader.Read(p) }

// fakeContainer is a line of the setting containers.
type fakeContainer struct{ name, image, state string }

func (c fakeContainer) id() string {
	sum := sha256.Sum256([]byte(c.name))
	return hex.EncodeToString(sum[:])
}

func (e *engine) containers() (all []fakeContainer) {
	text, _ := os.ReadFile(e.fake.settings() + "/containers") // may be missing
	for line := range strings.Lines(string(text)) {
		if words := strings.Fields(line); len(words) == 3 {
			all = append(all, fakeContainer{words[0], words[1], words[2]})
		}
	}
	return all
}

// started is when each container started. A client shows how long ago that was.
var started = time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)

func (e *engine) handler() http.Handler {
	mux := http.NewServeMux()
	answer := func(path string, what func(r *http.Request) (any, bool)) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			value, ok := what(r)
			if !ok {
				w.WriteHeader(http.StatusNotFound)
				value = map[string]string{"message": "No such container: " + r.PathValue("id")}
			}
			_ = json.NewEncoder(w).Encode(value)
		})
	}
	always := func(value any) func(*http.Request) (any, bool) {
		return func(*http.Request) (any, bool) { return value, true }
	}
	mux.HandleFunc("/_ping", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Api-Version", "1.45")
		_, _ = io.WriteString(w, "OK")
	})
	answer("/version", always(map[string]string{"Version": "26.1.5", "ApiVersion": "1.45", "MinAPIVersion": "1.24", "Os": "linux", "Arch": "amd64"}))
	answer("/info", func(*http.Request) (any, bool) {
		return map[string]string{"ID": "fake", "ServerVersion": "26.1.5", "SystemTime": time.Now().Format(time.RFC3339Nano)}, true
	})
	mux.HandleFunc("/events", e.events)
	answer("/containers/json", e.list)
	answer("/containers/{id}/json", e.inspect)
	e.handleContainers(mux)
	answer("/images/json", always([]string{}))
	answer("/volumes", always(map[string]any{"Volumes": []string{}}))
	answer("/networks", always([]string{}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if version, path, ok := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/"); ok && strings.HasPrefix(version, "v1.") {
			r.URL.Path = "/" + path
		}
		mux.ServeHTTP(w, r)
	})
}

func (e *engine) list(r *http.Request) (any, bool) {
	type summary struct {
		ID, Image, ImageID, Command, State, Status string
		Names                                      []string
		Created                                    int64
	}
	list := []summary{}
	filters := r.URL.Query().Get("filters")
	for _, c := range e.containers() {
		if !strings.Contains(filters, `"id"`) || strings.Contains(filters, c.id()) {
			list = append(list, summary{ID: c.id(), Image: c.image, Command: "run", State: c.state, Status: c.state, Names: []string{"/" + c.name}, Created: started.Unix()})
		}
	}
	return list, true
}

func (e *engine) inspect(r *http.Request) (any, bool) {
	for _, c := range e.containers() {
		if c.id() == r.PathValue("id") || c.name == r.PathValue("id") {
			return map[string]any{
				"Id": c.id(), "Name": "/" + c.name, "Path": "run", "Created": started, "Config": map[string]any{"Image": c.image},
				"State": map[string]any{"Status": c.state, "Running": c.state == "running", "StartedAt": started, "FinishedAt": time.Time{}},
			}, true
		}
	}
	return nil, false
}

// events sends an event for each container that differs from the moment before.
func (e *engine) events(w http.ResponseWriter, r *http.Request) {
	flush := http.NewResponseController(w).Flush
	_ = flush()
	before := e.containers()
	for {
		select {
		case <-r.Context().Done():
			return
		case <-time.After(pollInterval):
		}
		now := e.containers()
		changed := slices.Concat(without(now, before), without(before, now))
		for _, c := range changed {
			_, _ = fmt.Fprintf(w, `{"Type":"container","Action":"start","Actor":{"ID":%q},"time":%d,"timeNano":%d}`+"\n", c.id(), time.Now().Unix(), time.Now().UnixNano())
		}
		if len(changed) > 0 {
			_ = flush()
		}
		before = now
	}
}

// without returns the containers in all that are not in others.
func without(all, others []fakeContainer) []fakeContainer {
	return slices.DeleteFunc(slices.Clone(all), func(c fakeContainer) bool { return slices.Contains(others, c) })
}
