// Package web serves the page and its API over HTTP on loopback, to a browser that has opened an address with a
// one-time token. rdd-web runs it.
package web

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"rancherdesktop.io/rdd/app/page"
	"rancherdesktop.io/rdd/core"
)

// Server serves the page to one browser.
type Server struct {
	api      *page.API
	files    fs.FS
	guard    *guard
	listener net.Listener
}

// Listen opens a port on loopback that no guest can reach. The page's files come from files.
func Listen(api *page.API, files fs.FS) (*Server, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(core.Loopback(), "0"))
	if err != nil {
		return nil, fmt.Errorf("listen on loopback: %w", err)
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return &Server{api, files, newGuard(l.Addr().String(), port), l}, nil
}

// Address returns the address to open in a browser. The first browser that opens it gets the session.
func (s *Server) Address() string {
	u := url.URL{Scheme: "http", Host: s.guard.host, Path: "/", RawQuery: url.Values{"token": {s.guard.token}}.Encode()}
	return u.String()
}

// Serve answers until ctx ends.
func (s *Server) Serve(ctx context.Context) error {
	server := &http.Server{
		Handler:           s.handler(),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		IdleTimeout:       5 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	err := server.Serve(s.listener)
	if ctx.Err() != nil && errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/call/{method}", s.session(s.call))
	mux.HandleFunc("GET /api/events", s.session(s.events))
	mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) {
		refuse(w, http.StatusNotFound, "not-found", "there is no "+r.Method+" "+r.URL.Path)
	})
	mux.HandleFunc("/", s.page)
	return s.guard.wrap(mux)
}

// page serves the page's files without a session, because they hold no data of the user. An address with a token begins
// the session, and is redirected to the one without.
func (s *Server) page(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		http.Error(w, "the page is read-only", http.StatusMethodNotAllowed)
		return
	}
	if token := r.URL.Query().Get("token"); token != "" {
		if !s.guard.admit(w, token) && !s.guard.known(r) {
			http.Error(w, "This address works only once and has been used. Run `rdd dashboard` again to get a new one.", http.StatusUnauthorized)
			return
		}
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	name := cmp.Or(strings.TrimPrefix(r.URL.Path, "/"), "index.html")
	if info, err := fs.Stat(s.files, name); err != nil || info.IsDir() || strings.HasPrefix(name, ".") {
		http.NotFound(w, r)
		return
	}
	http.ServeFileFS(w, r, s.files, name)
}

// session refuses requests that don't belong to the session.
func (s *Server) session(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !s.guard.known(r) {
			refuse(w, http.StatusUnauthorized, "rejected", "this browser has no session: run `rdd dashboard` and open the address that it prints, which works once")
			return
		}
		next(w, r)
	}
}

// maxParamsSize bounds a call's parameters; a template has at most 256 KiB.
const maxParamsSize = 1 << 20

func (s *Server) call(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Content-Type") != "application/json" { // forms of other sites can't send it
		refuse(w, http.StatusUnsupportedMediaType, "usage", "want Content-Type: application/json")
		return
	}
	params, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxParamsSize))
	if err != nil {
		refuse(w, http.StatusRequestEntityTooLarge, "usage", fmt.Sprintf("the parameters can't be read: %v", err))
		return
	}
	result, problem := s.api.Call(r.Context(), r.PathValue("method"), params)
	if problem != nil {
		answer(w, cmp.Or(statuses[problem.Kind], http.StatusInternalServerError), problem)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(result) // fails when the page is gone
}

// statuses are the HTTP statuses for kinds of problems. For any other kind it is 500.
var statuses = map[string]int{
	core.Usage.String():        http.StatusBadRequest,
	core.Rejected.String():     http.StatusConflict,
	core.Incompatible.String(): http.StatusConflict,
	core.NotFound.String():     http.StatusNotFound,
	core.Timeout.String():      http.StatusGatewayTimeout,
	core.Canceled.String():     http.StatusServiceUnavailable,
}

func refuse(w http.ResponseWriter, status int, kind, message string) {
	answer(w, status, &page.Problem{Kind: kind, Message: message})
}

func answer(w http.ResponseWriter, status int, p *page.Problem) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(struct { // fails when the page is gone
		Error *page.Problem `json:"error"`
	}{p})
}

// writeTimeout closes a connection whose client has stopped reading.
const writeTimeout = 10 * time.Second

// events pushes events for as long as the page listens.
// Source: HTML, 9.2 Server-sent events. Data is JSON, which has no line ends.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	out := http.NewResponseController(w)
	_ = out.SetReadDeadline(time.Time{}) // there is nothing more to read
	for e := range s.api.Events(r.Context()) {
		_ = out.SetWriteDeadline(time.Now().Add(writeTimeout))
		if _, err := fmt.Fprintf(w, "event: %s\ndata: %s\n\n", e.Name, e.Data); err != nil {
			return
		}
		if err := out.Flush(); err != nil {
			return
		}
	}
}
