package web

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"rancherdesktop.io/rdd/app/page"
	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/internal/instance"
)

// served returns a server for an instance that doesn't exist, and its address with the token.
func served(t *testing.T) (*Server, string) {
	t.Helper()
	root := t.TempDir()
	open := func(name string) (*core.Core, error) { return core.New(instance.At(root, name, root), "test"), nil }
	c, err := open("default")
	if err != nil {
		t.Fatal(err)
	}
	api := page.New(page.Options{Core: c, Open: open, Version: "test"})
	s, err := Listen(api, files)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	go func() { api.Run(ctx); ended <- nil }()
	go func() { ended <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		for range 2 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	})
	return s, s.Address()
}

var files = fstest.MapFS{
	"index.html": {Data: []byte("<html>the page</html>")}, "assets/main.js": {Data: []byte("1")}, ".gitkeep": {},
}

// visitor returns a client with cookies, like a browser.
func visitor(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Jar: jar, Timeout: 10 * time.Second}
}

func get(t *testing.T, c *http.Client, address string) (int, string) {
	t.Helper()
	resp, err := c.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestAddressLetsInOnce(t *testing.T) {
	_, address := served(t)
	first, second := visitor(t), visitor(t)
	resp, err := first.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK || string(b) != "<html>the page</html>" || resp.Request.URL.RawQuery != "" {
		t.Fatalf("%d %s at %s", resp.StatusCode, b, resp.Request.URL)
	}
	u, _ := url.Parse(address)
	for _, c := range first.Jar.Cookies(u) {
		if u.Query().Get("token") == c.Value {
			t.Error("the token is the session")
		}
	}
	if code, _ := get(t, second, address); code != http.StatusUnauthorized {
		t.Errorf("the second visitor got %d", code)
	}
	if code, _ := get(t, first, address); code != http.StatusOK { // the same browser, from its history
		t.Errorf("the first visitor, again, got %d", code)
	}
	root := "http://" + u.Host
	for _, c := range []struct {
		client *http.Client
		want   int
	}{{first, http.StatusOK}, {second, http.StatusUnauthorized}} {
		resp, err := c.client.Post(root+"/api/call/state", "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != c.want {
			t.Errorf("got %d, want %d", resp.StatusCode, c.want)
		}
	}
}

func TestSessionCookieIsTheBrowsersOwnSecret(t *testing.T) {
	_, address := served(t)
	resp, err := http.DefaultTransport.RoundTrip(request(t, http.MethodGet, address, ""))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	cookies := resp.Cookies()
	if len(cookies) != 1 || !cookies[0].HttpOnly || cookies[0].SameSite != http.SameSiteStrictMode || cookies[0].MaxAge != 0 || cookies[0].Domain != "" {
		t.Errorf("%+v", cookies)
	}
}

func request(t *testing.T, method, address, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestWhoMayAsk(t *testing.T) {
	s, address := served(t)
	u, _ := url.Parse(address)
	c := visitor(t)
	if code, _ := get(t, c, address); code != http.StatusOK {
		t.Fatal(code)
	}
	cookie := c.Jar.Cookies(u)[0]
	call, events := "/api/call/state", "/api/events"
	for _, tc := range []struct {
		name, method, path string
		change             func(*http.Request)
		want               int
	}{
		{"the page", "POST", call, func(*http.Request) {}, 200},
		{"the page in a browser", "POST", call, func(r *http.Request) {
			r.Header.Set("Origin", "http://"+u.Host)
			r.Header.Set("Sec-Fetch-Site", "same-origin")
		}, 200},
		{"no session", "POST", call, func(r *http.Request) { r.Header.Del("Cookie") }, 401},
		{"another session", "POST", call, func(r *http.Request) { r.Header.Set("Cookie", cookie.Name+"="+strings.Repeat("A", 26)) }, 401},
		{"an empty session", "POST", call, func(r *http.Request) { r.Header.Set("Cookie", cookie.Name+"=") }, 401},
		{"the used token as the session", "POST", call, func(r *http.Request) { r.Header.Set("Cookie", cookie.Name+"="+u.Query().Get("token")) }, 401},
		{"the used token as a credential", "POST", call, func(r *http.Request) {
			r.Header.Del("Cookie")
			r.Header.Set("Authorization", "Bearer "+u.Query().Get("token"))
		}, 401},
		{"another site", "POST", call, func(r *http.Request) { r.Header.Set("Origin", "http://evil.example") }, 403},
		{"another port", "POST", call, func(r *http.Request) { r.Header.Set("Origin", "http://"+u.Hostname()+":1") }, 403},
		{"a sandboxed frame", "POST", call, func(r *http.Request) { r.Header.Set("Origin", "null") }, 403},
		{"another site, as browsers say", "POST", call, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }, 403},
		{"the same host at another port, as browsers say", "POST", call, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") }, 403},
		{"a rebound name", "POST", call, func(r *http.Request) { r.Host = "evil.example" }, 403},
		{"a rebound name at our port", "POST", call, func(r *http.Request) { r.Host = "evil.example:" + u.Port() }, 403},
		{"localhost", "POST", call, func(r *http.Request) { r.Host = "localhost:" + u.Port() }, 403},
		{"a form", "POST", call, func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, 415},
		{"a link", "GET", call, func(*http.Request) {}, 404},
		{"too much", "POST", call, func(r *http.Request) {
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(strings.Repeat(" ", maxParamsSize+1))), -1
		}, 413},
		{"events without a session", "GET", events, func(r *http.Request) { r.Header.Del("Cookie") }, 401},
		{"events from another site", "GET", events, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }, 403},
		{"the page from a file", "GET", "/", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site"); r.Header.Del("Cookie") }, 200},
		{"the page by a rebound name", "GET", "/", func(r *http.Request) { r.Host = "evil.example" }, 403},
		{"a script", "GET", "/assets/main.js", func(*http.Request) {}, 200},
		{"a folder", "GET", "/assets", func(*http.Request) {}, 404},
		{"what is hidden", "GET", "/.gitkeep", func(*http.Request) {}, 404},
		{"what is above", "GET", "/%2e%2e/web.go", func(*http.Request) {}, 404},
		{"a wrong token", "GET", "/?token=x", func(r *http.Request) { r.Header.Del("Cookie") }, 401},
		{"no method", "POST", "/api/call/", func(*http.Request) {}, 404},
		{"an unknown method", "POST", "/api/call/vm.fly", func(*http.Request) {}, 404},
		{"bad parameters", "POST", "/api/call/vm.start", func(*http.Request) {}, 400},
		{"a write of files", "PUT", "/index.html", func(*http.Request) {}, 405},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := request(t, tc.method, "http://"+u.Host+tc.path, "{}")
			r.AddCookie(cookie)
			r.Header.Set("Content-Type", "application/json")
			tc.change(r)
			resp, err := http.DefaultTransport.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			b, _ := io.ReadAll(resp.Body)
			if resp.StatusCode != tc.want {
				t.Errorf("%d, want %d: %s", resp.StatusCode, tc.want, b)
			}
			if p := resp.Header.Get("Content-Security-Policy"); !strings.Contains(p, "default-src 'none'") || !strings.Contains(p, "script-src 'self';") {
				t.Errorf("policy %q", p)
			}
			if resp.Header.Get("Access-Control-Allow-Origin") != "" {
				t.Error("other sites may read it")
			}
		})
	}
	if host, _, _ := net.SplitHostPort(s.listener.Addr().String()); host != core.Loopback() || !net.ParseIP(host).IsLoopback() {
		t.Errorf("it listens on %s", host)
	}
}

func TestEventsBeginWithTheState(t *testing.T) {
	_, address := served(t)
	c := visitor(t)
	if code, _ := get(t, c, address); code != http.StatusOK {
		t.Fatal(code)
	}
	u, _ := url.Parse(address)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+u.Host+"/api/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	lines.Scan()
	if resp.Header.Get("Content-Type") != "text/event-stream" || lines.Text() != "event: state" {
		t.Fatal(resp.Header, lines.Text())
	}
	lines.Scan()
	var s page.State
	data, _ := strings.CutPrefix(lines.Text(), "data: ")
	if err := json.Unmarshal([]byte(data), &s); err != nil || s.Instance != "default" || s.Service.State != core.ServiceNotCreated {
		t.Errorf("%v: %s", err, lines.Text())
	}
}
