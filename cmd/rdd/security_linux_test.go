package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"rancherdesktop.io/rdd/internal/testenv"
)

// attacker is a program of another user on the same machine, or a page in a browser: it can connect to every port of
// the service, and knows no secret.
type attacker struct {
	t       *testing.T
	home    string
	host    string // the address of the service
	config  *rest.Config
	secrets []string // no answer may contain these
	token   string
}

// newAttacker starts a service with the umask 0.
func newAttacker(t *testing.T) *attacker {
	t.Helper()
	need(t, filepath.Join(dist(t), "libexec", "rdd", "rddd"), "make build")
	home, err := os.MkdirTemp("", "rdd") // a short path, because it will hold sockets
	if err != nil {
		t.Fatal(err)
	}
	a := &attacker{t: t, home: home}
	t.Cleanup(func() {
		a.rdd("svc", "delete")
		if err := os.RemoveAll(home); err != nil {
			t.Error(err)
		}
	})
	a.rdd("svc", "start")
	a.rdd("ctl", "create", "secret", "generic", "kept", "--from-literal=word="+storedSecret)
	if a.config, err = clientcmd.BuildConfigFromFlags("", filepath.Join(home, ".rdd", "default", "kube.config")); err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(a.config.Host)
	if err != nil {
		t.Fatal(err)
	}
	a.host, a.token = u.Host, a.config.BearerToken
	a.secrets = append(a.versions(), home, a.token, "BEGIN ", "goroutine")
	return a
}

const storedSecret = "sesame-open-up"

// rdd runs rdd with the umask 0.
func (a *attacker) rdd(args ...string) {
	a.t.Helper()
	cmd := exec.Command("sh", append([]string{"-c", `umask 0; exec "$@"`, "sh", filepath.Join(dist(a.t), "bin", "rdd")}, args...)...)
	cmd.Env = []string{"HOME=" + a.home, "PATH=" + os.Getenv("PATH")}
	if out, err := cmd.CombinedOutput(); err != nil {
		a.t.Fatalf("rdd %v: %v\n%s", args, err, out)
	}
}

// getAsOwner sends a request with the credentials of the owner.
func (a *attacker) getAsOwner(path string, into any) {
	a.t.Helper()
	client, err := rest.HTTPClientFor(a.config)
	if err != nil {
		a.t.Fatal(err)
	}
	answer, err := client.Get(a.config.Host + path)
	if err != nil {
		a.t.Fatal(err)
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(answer.Body).Decode(into); err != nil || answer.StatusCode != http.StatusOK {
		a.t.Fatalf("%s: %s, %v", path, answer.Status, err)
	}
}

// versions returns the versions, which would help an attacker, and the nonce of the run.
func (a *attacker) versions() []string {
	a.t.Helper()
	var greeting struct{ Nonce, Version string }
	var kube struct{ GitVersion string }
	for path, into := range map[string]any{"/rdd/hello": &greeting, "/version": &kube} {
		a.getAsOwner(path, into)
	}
	return []string{greeting.Nonce, greeting.Version, kube.GitVersion, runtime.Version()}
}

// TestAttackers tries all attacks on one service.
func TestAttackers(t *testing.T) {
	t.Parallel()
	a := newAttacker(t)
	for name, try := range map[string]func(*attacker){
		"reach only sockets of this machine and user": onlyOwnSockets,
		"are refused by every endpoint":               refusedEverywhere,
		"are refused whatever they send":              oddRequests,
		"learn nothing from OPTIONS *":                optionsOfTheServer,
		"must use a current TLS":                      onlyCurrentTLS,
		"can read no secret":                          secretsArePrivate,
	} {
		t.Run(name, func(t *testing.T) {
			here := *a
			here.t = t
			try(&here)
		})
	}
}

// processes returns the PIDs of the processes with this home in their environment.
func (a *attacker) processes() (pids []string) {
	a.t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		a.t.Fatal(err)
	}
	for _, file := range files {
		if b, err := os.ReadFile(file); err == nil && slices.Contains(strings.Split(string(b), "\x00"), "HOME="+a.home) {
			pids = append(pids, filepath.Base(filepath.Dir(file)))
		}
	}
	if len(pids) == 0 {
		a.t.Fatal("found no process of the service")
	}
	return pids
}

func onlyOwnSockets(a *attacker) {
	found := listening(a.t, a.processes())
	if !slices.Contains(found, "tcp "+a.host) {
		a.t.Errorf("the API server at %s is not among %v", a.host, found)
	}
	for _, socket := range found {
		if problem := reachable(socket); problem != "" {
			a.t.Errorf("%s: %s", socket, problem)
		}
	}
}

// reachable returns why other users can reach a socket, or "" if they can't.
func reachable(socket string) string {
	network, address, _ := strings.Cut(socket, " ")
	if network != "unix" {
		host, _, err := net.SplitHostPort(address)
		if ip := net.ParseIP(host); err != nil || network != "tcp" || !ip.IsLoopback() {
			return "not TCP on loopback"
		}
		return ""
	}
	if !filepath.IsAbs(address) {
		return "an abstract socket has no owner"
	}
	if info, err := os.Stat(address); err == nil && info.Mode().Perm()&0o077 == 0 {
		return ""
	}
	if info, err := os.Stat(filepath.Dir(address)); err != nil || info.Mode().Perm() != 0o700 {
		return fmt.Sprintf("others may open it: %v, %v", info, err)
	}
	return ""
}

// listening returns the sockets on which the processes accept connections or packets.
func listening(t *testing.T, pids []string) (found []string) {
	t.Helper()
	inodes := map[string]bool{}
	for _, pid := range pids {
		fds, err := filepath.Glob("/proc/" + pid + "/fd/*")
		if err != nil {
			t.Fatal(err)
		}
		for _, fd := range fds {
			if link, err := os.Readlink(fd); err == nil && strings.HasPrefix(link, "socket:[") {
				inodes[strings.TrimSuffix(strings.TrimPrefix(link, "socket:["), "]")] = true
			}
		}
	}
	for table, reads := range map[string]func([]string) (inode, socket string){"tcp": inet("tcp"), "tcp6": inet("tcp"), "udp": inet("udp"), "udp6": inet("udp"), "raw": inet("raw"), "unix": unixSocket} {
		b, err := os.ReadFile("/proc/net/" + table)
		if err != nil {
			continue // no such protocol here
		}
		for line := range strings.Lines(string(b)) {
			if inode, socket := reads(strings.Fields(line)); inodes[inode] && socket != "" {
				found = append(found, socket)
			}
		}
	}
	return found
}

// inet parses a line of /proc/net/tcp, udp or raw. Source: proc_net_tcp(5).
func inet(network string) func([]string) (inode, socket string) {
	return func(f []string) (inode, socket string) {
		const listen = "0A"
		if len(f) < 10 || network == "tcp" && f[3] != listen {
			return "", ""
		}
		host, port, _ := strings.Cut(f[1], ":")
		var ip net.IP // in 32-bit words of the machine's byte order, here little-endian
		for i := 0; i+8 <= len(host); i += 8 {
			var b [4]byte
			_, _ = fmt.Sscanf(host[i:i+8], "%02X%02X%02X%02X", &b[3], &b[2], &b[1], &b[0])
			ip = append(ip, b[:]...)
		}
		var n int
		_, _ = fmt.Sscanf(port, "%X", &n)
		return f[9], network + " " + net.JoinHostPort(ip.String(), fmt.Sprint(n))
	}
}

// unixSocket parses a line of /proc/net/unix. Source: unix(7), proc(5).
func unixSocket(f []string) (inode, socket string) {
	const accepts = "00010000"
	if len(f) < 7 || f[3] != accepts {
		return "", ""
	}
	path := ""
	if len(f) > 7 {
		path = f[7]
	}
	return f[6], "unix " + path
}

func refusedEverywhere(a *attacker) {
	paths := a.paths()
	if len(paths) < 100 {
		a.t.Fatalf("found only %d paths", len(paths))
	}
	for _, client := range a.clients() {
		for n, path := range paths {
			method := methods[n%len(methods)]
			a.mustBeRefused(client, method, path, a.host, "", http.StatusUnauthorized)
			a.mustBeRefused(client, method, path, a.host, "Bearer wrong", http.StatusUnauthorized)
			a.mustBeRefused(client, method, path, "rebound.example", "Bearer "+a.token, http.StatusMisdirectedRequest)
			a.mustBeRefused(client, http.MethodGet, path, "rebound.example:80", "", http.StatusMisdirectedRequest)
		}
		for _, method := range methods {
			for _, path := range []string{"/", "/version", "/rdd/hello", "/api/v1/secrets"} {
				a.mustBeRefused(client, method, path, a.host, "", http.StatusUnauthorized)
			}
		}
	}
	a.t.Logf("%d paths", len(paths))
}

var methods = []string{"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "WATCH", "get"}

// clients returns a client for HTTP/1.1 and one for HTTP/2.
func (a *attacker) clients() []*http.Client {
	var all []*http.Client
	for _, h2 := range []bool{false, true} {
		transport := &http.Transport{TLSClientConfig: a.tls(), ForceAttemptHTTP2: h2}
		a.t.Cleanup(transport.CloseIdleConnections)
		all = append(all, &http.Client{Transport: transport, Timeout: testenv.Timeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }})
	}
	return all
}

func (a *attacker) tls() *tls.Config {
	a.t.Helper()
	config, err := rest.TLSConfigFor(a.config)
	if err != nil {
		a.t.Fatal(err)
	}
	return config
}

// paths returns the paths in the server's OpenAPI documents, and others that such servers often have.
func (a *attacker) paths() []string {
	a.t.Helper()
	all := []string{
		"/", "/healthz", "/livez", "/readyz", "/readyz/ping", "/metrics", "/metrics/slis", "/version", "/api", "/apis", "/openapi/v2", "/openapi/v3", "/swagger.json",
		"/rdd", "/rdd/", "/rdd/hello", "/rdd/hello/", "/rdd/nothing", "/debug", "/debug/pprof/", "/debug/pprof/heap", "/debug/flags/v", "/debug/requests", "/debug/vars", "/debug/api_priority_and_fairness/dump_queues",
		"/logs", "/configz", "/statusz", "/flagz", "/.well-known/openid-configuration", "/openid/v1/jwks", "/ui", "/index.html", "/favicon.ico", "/robots.txt",
		"/nothing/here", "//version", "/./version", "/rdd/../version", "/%2e%2e/version", "/version%00", "/version?x=y", "/api/v1/namespaces?watch=true", "/api/v1/secrets?watch=1&timeoutSeconds=1",
		"/api/v1/namespaces/default/pods/a/exec?command=sh&stdin=true", "/api/v1/namespaces/default/services/a/proxy/", "/api/v1/watch/secrets",
	}
	var index struct {
		Paths map[string]struct{ ServerRelativeURL string }
	}
	a.getAsOwner("/openapi/v3", &index)
	parameter := regexp.MustCompile(`{[^}]*}`)
	for group, document := range index.Paths {
		all = append(all, "/"+group, document.ServerRelativeURL)
		var described struct{ Paths map[string]any }
		a.getAsOwner(document.ServerRelativeURL, &described)
		for path := range described.Paths {
			all = append(all, parameter.ReplaceAllString(path, "default"))
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// mustBeRefused sends a request and checks that the answer has this status and contains no secret.
func (a *attacker) mustBeRefused(client *http.Client, method, path, host, credential string, want int) {
	a.t.Helper()
	r, err := http.NewRequestWithContext(a.t.Context(), method, "https://"+a.host+path, http.NoBody)
	if err != nil {
		a.t.Fatal(err)
	}
	r.Host = host
	if credential != "" {
		r.Header.Set("Authorization", credential)
	}
	answer, err := client.Do(r)
	if err != nil {
		a.t.Fatalf("%s %s for %s: %v", method, path, host, err)
	}
	a.checkAnswer(answer, fmt.Sprintf("%s %s %s for host %q with credential %.10q", answer.Proto, method, path, host, credential), want)
}

// checkAnswer checks the status of an answer and that it contains no secret, and closes it.
func (a *attacker) checkAnswer(answer *http.Response, request string, want ...int) {
	a.t.Helper()
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		a.t.Errorf("%s: %v", request, err)
	}
	if !slices.Contains(want, answer.StatusCode) {
		a.t.Errorf("%s: %d, want %v: %.200s", request, answer.StatusCode, want, body)
	}
	var header bytes.Buffer
	_ = answer.Header.Write(&header)
	for _, secret := range a.secrets {
		if text := header.String() + string(body); strings.Contains(text, secret) {
			a.t.Errorf("%s: the answer holds %.8q…: %.300s", request, secret, text)
		}
	}
}

// oddRequests sends requests that no ordinary client sends.
func oddRequests(a *attacker) {
	owner := "Authorization: Bearer " + a.token + "\r\n"
	host := "Host: " + a.host + "\r\n"
	websocket := "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
	protocol := "Sec-WebSocket-Protocol: base64url.bearer.authorization.k8s.io." + base64.RawURLEncoding.EncodeToString([]byte(a.token)) + ", v4.channel.k8s.io\r\n"
	const unauthorized, misdirected, bad = http.StatusUnauthorized, http.StatusMisdirectedRequest, http.StatusBadRequest
	for name, c := range map[string]struct {
		request string
		want    int
	}{
		"absolute form, foreign":        {"GET https://rebound.example/version HTTP/1.1\r\n" + host + owner, misdirected},
		"absolute form, no credential":  {"GET https://" + a.host + "/version HTTP/1.1\r\n" + host, unauthorized},
		"another name for loopback":     {"GET /version HTTP/1.1\r\nHost: 127.0.0.1.nip.example\r\n" + owner, misdirected},
		"another address of loopback":   {"GET /version HTTP/1.1\r\nHost: 127.0.0.2\r\n" + owner, misdirected},
		"host with a user":              {"GET /version HTTP/1.1\r\nHost: localhost@rebound.example\r\n" + owner, bad},
		"no host, HTTP/1.0":             {"GET /version HTTP/1.0\r\n" + owner, misdirected},
		"no host, HTTP/1.1":             {"GET /version HTTP/1.1\r\n" + owner, bad},
		"two hosts":                     {"GET /version HTTP/1.1\r\n" + host + "Host: rebound.example\r\n" + owner, bad},
		"a tunnel":                      {"CONNECT localhost:22 HTTP/1.1\r\nHost: localhost:22\r\n", unauthorized},
		"a tunnel, foreign":             {"CONNECT rebound.example:22 HTTP/1.1\r\nHost: rebound.example:22\r\n" + owner, misdirected},
		"a web socket":                  {"GET /api/v1/secrets?watch=true HTTP/1.1\r\n" + host + websocket, unauthorized},
		"a web socket, foreign":         {"GET /api/v1/secrets?watch=true HTTP/1.1\r\nHost: rebound.example\r\nOrigin: https://rebound.example\r\n" + websocket + protocol, misdirected},
		"an upgrade to SPDY":            {"POST /api/v1/namespaces/default/pods/a/exec HTTP/1.1\r\n" + host + "Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\n", unauthorized},
		"an upgrade to HTTP/2":          {"GET /version HTTP/1.1\r\n" + host + "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n", unauthorized},
		"token in the address":          {"GET /version?access_token=" + a.token + "&token=" + a.token + " HTTP/1.1\r\n" + host, unauthorized},
		"token in a cookie":             {"GET /version HTTP/1.1\r\n" + host + "Cookie: token=" + a.token + "\r\n", unauthorized},
		"token as a password":           {"GET /version HTTP/1.1\r\n" + host + "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("owner:"+a.token)) + "\r\n", unauthorized},
		"token with more":               {"GET /version HTTP/1.1\r\n" + host + "Authorization: Bearer " + a.token + "x\r\n", unauthorized},
		"token cut short":               {"GET /version HTTP/1.1\r\n" + host + "Authorization: Bearer " + a.token[:len(a.token)-1] + "\r\n", unauthorized},
		"the owner's name":              {"GET /version HTTP/1.1\r\n" + host + "X-Remote-User: owner\r\nX-Remote-Group: system:masters\r\n", unauthorized},
		"impersonation of the owner":    {"GET /version HTTP/1.1\r\n" + host + "Impersonate-User: owner\r\n", unauthorized},
		"a preflight of another origin": {"OPTIONS /api/v1/secrets HTTP/1.1\r\n" + host + "Origin: https://rebound.example\r\nAccess-Control-Request-Method: GET\r\n", unauthorized},
		"two requests hidden in one":    {"GET /version HTTP/1.1\r\n" + host + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", unauthorized},
		"not a request":                 {"\x16\x03\x01 hello HTTP/1.1\r\n" + host, bad},
		"another protocol":              {"GET /version HTTP/9.9\r\n" + host + owner, http.StatusHTTPVersionNotSupported},
		"a space in a header's name":    {"GET /version HTTP/1.1\r\n" + host + "Authorization : Bearer " + a.token + "\r\n", bad},
	} {
		for _, server := range []string{"", "rebound.example", "127.0.0.1"} {
			answer, err := a.raw(c.request+"\r\n0\r\n\r\n", server)
			if err != nil {
				a.t.Errorf("%s, SNI %q: %v", name, server, err)
				continue
			}
			a.checkAnswer(answer, name, c.want)
		}
	}
}

// raw sends bytes over TLS, with server as its SNI.
func (a *attacker) raw(request, server string) (*http.Response, error) {
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: testenv.Timeout}, "tcp", a.host, &tls.Config{InsecureSkipVerify: true, ServerName: server})
	if err != nil {
		return nil, err
	}
	a.t.Cleanup(func() { _ = conn.Close() })
	return exchange(conn, request)
}

func exchange(conn net.Conn, request string) (*http.Response, error) {
	if err := conn.SetDeadline(time.Now().Add(testenv.Timeout)); err != nil {
		return nil, err
	}
	if _, err := io.WriteString(conn, request); err != nil {
		return nil, err
	}
	return http.ReadResponse(bufio.NewReader(conn), nil)
}

// Go's HTTP server answers "OPTIONS *" (is there a server?) itself, before our handlers.
func optionsOfTheServer(a *attacker) {
	answer, err := a.raw("OPTIONS * HTTP/1.1\r\nHost: rebound.example\r\n\r\n", "")
	if err != nil {
		a.t.Fatal(err)
	}
	answer.Header.Del("Date")
	if answer.ContentLength != 0 || len(answer.Header) != 1 || answer.Header.Get("Content-Length") != "0" {
		a.t.Errorf("%d bytes, %v", answer.ContentLength, answer.Header)
	}
	a.checkAnswer(answer, "OPTIONS *", http.StatusOK)
}

func onlyCurrentTLS(a *attacker) {
	conn, err := net.Dial("tcp", a.host)
	if err != nil {
		a.t.Fatal(err)
	}
	defer conn.Close()
	answer, err := exchange(conn, "GET /version HTTP/1.1\r\nHost: "+a.host+"\r\nAuthorization: Bearer "+a.token+"\r\n\r\n")
	if err != nil {
		a.t.Fatal(err)
	}
	a.checkAnswer(answer, "plain HTTP", http.StatusBadRequest)
	old := a.tls()
	old.MaxVersion = tls.VersionTLS12
	if c, err := tls.Dial("tcp", a.host, old); err == nil {
		c.Close()
		a.t.Error("TLS 1.2 is accepted")
	}
}

func secretsArePrivate(a *attacker) {
	secrets := map[string][]string{ // and the files that may contain each
		a.token:       {"token", "kube.config"},
		"PRIVATE KEY": {"serving.key"},
		storedSecret:  {"state.db", "state.db-wal"},
	}
	found := map[string]bool{}
	err := filepath.WalkDir(a.home, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil || path == a.home {
			return err
		}
		if d.IsDir() || d.Type() == fs.ModeSocket {
			if info.Mode().Perm()&0o077 != 0 && strings.Contains(path, "rdd") {
				a.t.Errorf("%s is open to others: %v", path, info.Mode())
			}
			return nil
		}
		if d.Type() == fs.ModeSymlink { // to programs, which are in nobody's home
			return nil
		}
		b, err := os.ReadFile(path)
		for secret, files := range secrets {
			if !bytes.Contains(b, []byte(secret)) {
				continue
			}
			found[secret] = true
			if info.Mode().Perm() != 0o600 || !slices.Contains(files, d.Name()) {
				a.t.Errorf("%s holds %.8s… and has mode %v", path, secret, info.Mode())
			}
		}
		return err
	})
	if err != nil || len(found) != len(secrets) {
		a.t.Errorf("found %d of %d secrets, %v", len(found), len(secrets), err)
	}
	for _, pid := range a.processes() {
		b, err := os.ReadFile("/proc/" + pid + "/cmdline")
		if err != nil || strings.Contains(string(b), a.token) {
			a.t.Errorf("the command line of %s: %v", pid, err)
		}
	}
}
