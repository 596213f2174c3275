package image

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/moby/moby/client"
	"golang.org/x/crypto/bcrypt"

	"rancherdesktop.io/rdd/internal/testenv"
)

// output is what a program has written.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// run runs a program until the end of the test.
func run(t *testing.T, program string, args ...string) (out *output, ended chan struct{}) {
	t.Helper()
	out, ended = &output{}, make(chan struct{})
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // the signal comes when this thread ends
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
		close(ended)
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-ended
	})
	return out, ended
}

// realEngine returns a client of a real engine with the image base:1, and a registry with a password beside it.
func realEngine(t *testing.T) (c *Client, home, registry string) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs dockerd")
	}
	dockerd := testenv.Program(t, "dockerd", "docker.io")
	server, err := testenv.Unpacked("docker-registry", "usr/bin/docker-registry")
	if err != nil {
		testenv.Missing(t, "%v", err)
	}
	if os.Geteuid() != 0 {
		t.Skip("dockerd needs root")
	}
	c, home = newClient(t)
	hash, err := bcrypt.GenerateFromPassword([]byte("s3cret"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	write(t, home, "htpasswd", "user:"+string(hash)+"\n")
	write(t, home, "registry.yml", fmt.Sprintf(`version: 0.1
storage: {filesystem: {rootdirectory: %[1]s/registry}}
http: {addr: "127.0.0.1:0"}
auth: {htpasswd: {realm: test, path: %[1]s/htpasswd}}
`, home))
	log, _ := run(t, server, "serve", filepath.Join(home, "registry.yml"))
	address := regexp.MustCompile(`listening on (127\.0\.0\.1:\d+)`)
	testenv.Eventually(t, "the registry listens", func() bool { return address.MatchString(log.String()) })
	registry = address.FindStringSubmatch(log.String())[1]

	write(t, home, "daemon.json", "{}") // not the host's
	out, ended := run(t, dockerd, "--host="+c.core.Instance().DockerHost(), "--data-root="+filepath.Join(home, "data"), "--exec-root="+filepath.Join(home, "exec"),
		"--pidfile="+filepath.Join(home, "pid"), "--config-file="+filepath.Join(home, "daemon.json"), "--storage-driver=vfs", "--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false")
	engine := engineOf(t, c)
	testenv.Eventually(t, "the engine answers", func() bool {
		select {
		case <-ended:
			testenv.Missing(t, "dockerd can't run here: %s", out)
		default:
		}
		_, err := engine.Ping(t.Context(), client.PingOptions{})
		return err == nil
	})
	answer, err := engine.ImageImport(t.Context(), client.ImageImportSource{Source: archiveOf(t, "hello", "hello\n"), SourceName: "-"}, "base:1", client.ImageImportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, answer)
	_ = answer.Close()

	// The password is known only to a helper in the caller's PATH.
	write(t, home, ".docker/config.json", `{"auths":{"bad.example.com":{"auth":"%"}},"credHelpers":{"`+registry+`":"test"}}`)
	write(t, home, "bin/docker-credential-test", `#!/bin/sh
echo '{"Username":"user","Secret":"s3cret"}'
`)
	return c, home, registry
}

// engineOf returns the client of the library.
func engineOf(t *testing.T, c *Client) *client.Client {
	t.Helper()
	engine, err := client.New(client.WithHost(c.core.Instance().DockerHost()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = engine.Close() })
	return engine
}

func remove(t *testing.T, c *Client, images ...string) {
	t.Helper()
	for _, name := range images {
		if _, err := engineOf(t, c).ImageRemove(t.Context(), name, client.ImageRemoveOptions{Force: true, PruneChildren: true}); err != nil {
			t.Fatal(err)
		}
	}
}

func tag(t *testing.T, c *Client, from, to string) {
	t.Helper()
	if _, err := engineOf(t, c).ImageTag(t.Context(), client.ImageTagOptions{Source: from, Target: to}); err != nil {
		t.Fatal(err)
	}
}

func has(t *testing.T, c *Client, name string) bool {
	t.Helper()
	_, err := engineOf(t, c).ImageInspect(t.Context(), name)
	return err == nil
}

// An image goes to a private registry and comes back, is the base of builds, is saved, loaded and pruned. Nothing that is
// reported has the password.
func TestWithARealEngineAndAPrivateRegistry(t *testing.T) {
	c, home, registry := realEngine(t)
	private := registry + "/team/base:1"
	var s said
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%v\n%s\n%s", err, strings.Join(s.lines, "\n"), s.log.String())
		}
	}
	tag(t, c, "base:1", private)
	must(c.Push(t.Context(), private, s.report()))
	remove(t, c, private, "base:1")
	must(c.Pull(t.Context(), private, "", s.report()))
	if all := strings.Join(s.lines, "\n"); !strings.Contains(all, ": Pushed 0/0 done") || !strings.Contains(all, ": Pull complete 0/0 done") {
		t.Error(all)
	}

	write(t, home, "Dockerfile", "FROM "+private+" AS first\nARG WHO\nLABEL who=$WHO\nCOPY a.txt /\nFROM first\nCOPY b.txt /\n")
	write(t, home, ".dockerignore", "*\n!a.txt\n")
	write(t, home, "a.txt", "a")
	remove(t, c, private)
	must(c.Build(t.Context(), BuildOptions{Folder: home, Tag: "shop:1", Target: "first", Args: map[string]string{"WHO": "me"}, Pull: true}, s.report()))
	built, err := engineOf(t, c).ImageInspect(t.Context(), "shop:1")
	must(err)
	if built.Config.Labels["who"] != "me" {
		t.Errorf("%+v", built.Config.Labels)
	}
	if err := c.Build(t.Context(), BuildOptions{Folder: home, Tag: "shop:2"}, s.report()); err == nil || !strings.Contains(err.Error(), "b.txt") {
		t.Errorf("a file that is ignored: %v", err)
	}

	archive := filepath.Join(home, "shop.tar")
	must(c.Save(t.Context(), []string{"shop:1"}, archive, s.report()))
	remove(t, c, "shop:1")
	loaded, err := c.Load(t.Context(), archive, s.report())
	must(err)
	if strings.Join(loaded, "") != "Loaded image: shop:1" || !has(t, c, "shop:1") {
		t.Errorf("%q", loaded)
	}
	write(t, home, "no.tar", "this is no archive")
	if _, err := c.Load(t.Context(), filepath.Join(home, "no.tar"), s.report()); err == nil {
		t.Error("a text was loaded")
	}

	pruned, err := c.Prune(t.Context(), Images, true)
	must(err)
	if !strings.Contains(strings.Join(pruned.Deleted, " "), "shop:1") || has(t, c, "shop:1") {
		t.Errorf("%+v", pruned)
	}
	for _, what := range []string{Containers, Networks, BuildCache} {
		_, err := c.Prune(t.Context(), what, false)
		must(err)
	}

	// Without the helper, the registry refuses, and the error says what is missing.
	must(os.Remove(filepath.Join(home, "bin", "docker-credential-test")))
	refused := c.Pull(t.Context(), private, "", s.report())
	if refused == nil || !strings.Contains(refused.Error(), "docker-credential-test") {
		t.Errorf("%v", refused)
	}
	if missing := c.Pull(t.Context(), registry+"/team/base:2", "", s.report()); missing == nil {
		t.Error("an image that does not exist was pulled")
	}
	for what, text := range map[string]string{"a report": strings.Join(s.lines, "\n"), "the log": s.log.String(), "an error": fmt.Sprint(refused)} {
		if strings.Contains(text, "s3cret") {
			t.Errorf("%s has the password: %s", what, text)
		}
	}
}

// slowRegistry is a registry that sends layers slowly. begun and left say that one is being read, and no more.
func slowRegistry(t *testing.T, c *Client, registry string) (image string, begun, left <-chan struct{}) {
	t.Helper()
	target, err := url.Parse("http://" + registry)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host // it names itself in its answers
		r.Out.SetBasicAuth("user", "s3cret")
	}}
	var fast atomic.Pointer[string] // the end of the path of what is sent as it is; nil: everything
	reads, ends := make(chan struct{}, 10), make(chan struct{}, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		suffix := fast.Load()
		if suffix == nil || r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/blobs/") || strings.HasSuffix(r.URL.Path, *suffix) {
			proxy.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Length", "1000000000")
		for begins := true; r.Context().Err() == nil; begins = false { // the engine notices the end of its context with the next data
			_, _ = w.Write(make([]byte, 1000))
			_ = http.NewResponseController(w).Flush()
			if begins {
				reads <- struct{}{}
			}
			select {
			case <-r.Context().Done():
			case <-time.After(50 * time.Millisecond):
			}
		}
		ends <- struct{}{}
	}))
	t.Cleanup(server.Close)
	image = strings.TrimPrefix(server.URL, "http://") + "/slow:1"
	tag(t, c, "base:1", image)
	if err := c.Push(t.Context(), image, Report{}); err != nil {
		t.Fatal(err)
	}
	inspected, err := engineOf(t, c).ImageInspect(t.Context(), image)
	if err != nil {
		t.Fatal(err)
	}
	remove(t, c, image, "base:1")
	fast.Store(&inspected.ID) // the digest of the configuration; engine 20.10 doesn't cancel the download of that
	return image, reads, ends
}

// The engine lets go of a registry when a pull, or a build that pulls its base image, is canceled in the middle of a layer.
func TestARealEngineStopsWhatIsCanceled(t *testing.T) {
	c, home, registry := realEngine(t)
	image, begun, left := slowRegistry(t, c, registry)
	build := func(ctx context.Context) error {
		return c.Build(ctx, BuildOptions{Folder: filepath.Join(home, "folder")}, Report{})
	}
	if err := os.Mkdir(filepath.Join(home, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, home, "folder/Dockerfile", "FROM "+image+"\nCOPY Dockerfile /\n")
	for _, tc := range []struct {
		what  string
		tools bool
		do    func(context.Context) error
	}{
		{"a pull", false, func(ctx context.Context) error { return c.Pull(ctx, image, "", Report{}) }},
		{"a build with the old builder", false, build},
		{"a build with buildx", true, build},
	} {
		t.Run(tc.what, func(t *testing.T) {
			if tc.tools {
				buildx := testenv.Built(t, "libexec/rdd/cli-plugins/docker-buildx", "make tools")
				if err := os.Symlink(buildx, filepath.Join(home, "bin", "docker-buildx")); err != nil {
					t.Fatal(err)
				}
			}
			ctx, cancel := context.WithCancel(t.Context())
			result := make(chan error)
			go func() { result <- tc.do(ctx) }()
			select {
			case <-begun:
			case err := <-result:
				t.Fatalf("it ended at once: %v", err)
			}
			cancel()
			for what, done := range map[string]<-chan struct{}{"it ends": closedBy(result), "the engine lets go": left} {
				select {
				case <-done:
				case <-time.After(testenv.Timeout):
					t.Fatalf("not in time: %s", what)
				}
			}
			if has(t, c, image) {
				t.Error("the image is there")
			}
		})
	}
}

func closedBy(result <-chan error) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		<-result
		close(done)
	}()
	return done
}
