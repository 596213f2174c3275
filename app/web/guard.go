package web

import (
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"net/http"
	"strings"
	"sync"
)

// policy lets the page load its own files only, and no inline script. The terminal and the editor write
// style elements of their own.
const policy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; " +
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// guard decides who may ask. Whatever is on this computer may connect: other users' programs, and pages of
// other sites in the user's own browser.
type guard struct {
	host   string // the only one that a request may be for
	cookie string // its name; cookies are shared by all ports of a host

	mu    sync.Mutex
	token string // is exchanged once for the session; empty when it was
	key   string // of the session
}

func newGuard(host, port string) *guard {
	return &guard{host: host, cookie: "rdd-" + port, token: rand.Text(), key: rand.Text()}
}

// wrap lets requests through to next that the page itself may have made.
func (g *guard) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if err := g.check(r); err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// check refuses requests for another host (DNS rebinding) and from other sites.
func (g *guard) check(r *http.Request) error {
	if r.Host != g.host {
		return errors.New("this is not the host that was asked for; open the address that `rdd dashboard` prints")
	}
	if origin := r.Header.Get("Origin"); origin != "" && origin != "http://"+g.host {
		return errors.New("requests from other sites are refused")
	}
	// What other sites may do is open the page: a link to it leads from a file, or from a mail.
	site, api := r.Header.Get("Sec-Fetch-Site"), strings.HasPrefix(r.URL.Path, "/api/")
	if api && site != "" && site != "same-origin" {
		return errors.New("requests from other sites are refused")
	}
	return nil
}

// admit exchanges the token for the session. It works once.
func (g *guard) admit(w http.ResponseWriter, token string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.token == "" || subtle.ConstantTimeCompare([]byte(token), []byte(g.token)) != 1 {
		return false
	}
	g.token = ""
	http.SetCookie(w, &http.Cookie{Name: g.cookie, Value: g.key, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode}) //nolint:gosec // loopback has no TLS to ask for
	return true
}

// known says whether the request is of the session.
func (g *guard) known(r *http.Request) bool {
	c, err := r.Cookie(g.cookie)
	return err == nil && subtle.ConstantTimeCompare([]byte(c.Value), []byte(g.key)) == 1
}
