package web

import (
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"net/http"
	"strings"
	"sync"
)

// policy allows the page to load only its own files, and no inline scripts. The terminal and the editor need inline
// styles.
const policy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; " +
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// guard decides which requests are allowed. Any program on this computer can connect: those of other users, and pages of
// other sites in the user's browser.
type guard struct {
	host   string // the only host that requests may name
	cookie string // the name of the cookie; all ports of a host share cookies

	mu    sync.Mutex
	token string // is exchanged for the session; empty after that
	key   string // of the session
}

func newGuard(host, port string) *guard {
	return &guard{host: host, cookie: "rdd-" + port, token: rand.Text(), key: rand.Text()}
}

// wrap passes the requests on to next that can come from the page.
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
		return errors.New("wrong host: open the address that `rdd dashboard` prints")
	}
	if origin := r.Header.Get("Origin"); origin != "" && origin != "http://"+g.host {
		return errors.New("requests from other sites are refused")
	}
	// Other sites may only open the page: a link in a file or a mail leads to it.
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
	http.SetCookie(w, &http.Cookie{Name: g.cookie, Value: g.key, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode}) //nolint:gosec // there is no TLS on loopback
	return true
}

// known returns whether the request belongs to the session.
func (g *guard) known(r *http.Request) bool {
	c, err := r.Cookie(g.cookie)
	return err == nil && subtle.ConstantTimeCompare([]byte(c.Value), []byte(g.key)) == 1
}
