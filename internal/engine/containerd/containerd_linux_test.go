package containerd

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"rancherdesktop.io/rdd/internal/engine"
	"rancherdesktop.io/rdd/internal/engine/mirror"
	"rancherdesktop.io/rdd/internal/engine/objects"
	"rancherdesktop.io/rdd/internal/forward"
	"rancherdesktop.io/rdd/internal/testenv"
	"rancherdesktop.io/rdd/internal/view"
)

// daemon is a real containerd with its own folders, shared by all tests of the package.
type daemon struct {
	dir, socket string
	ended       chan struct{}
	failed      error
	once        sync.Once
	stop        func()
}

var shared daemon

func TestMain(m *testing.M) {
	code := m.Run()
	if shared.stop != nil {
		shared.stop()
	}
	os.Exit(code)
}

const boxImage = "docker.io/library/box:1"

// realContainerd returns a containerd without containers, with the image boxImage.
func realContainerd(t *testing.T) *daemon {
	t.Helper()
	if testing.Short() {
		t.Skip("needs containerd")
	}
	program := testenv.Program(t, "containerd", "containerd")
	testenv.Program(t, "ctr", "containerd")
	if os.Geteuid() != 0 {
		t.Skip("containerd needs root")
	}
	shared.once.Do(func() { shared.failed = shared.start(program) })
	if shared.failed != nil {
		testenv.Missing(t, "containerd can't run here: %v", shared.failed)
	}
	t.Cleanup(func() { shared.removeAll(t) })
	return &shared
}

func (d *daemon) start(program string) (err error) {
	if d.dir, err = os.MkdirTemp("", "ctrd"); err != nil { // a socket's path is short
		return err
	}
	d.socket, d.ended = filepath.Join(d.dir, "s"), make(chan struct{})
	config := filepath.Join(d.dir, "config.toml")
	text := fmt.Sprintf("version = 2\nroot = %q\nstate = %q\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\n  address = %q\n[plugins.\"io.containerd.internal.v1.opt\"]\n  path = %q\n",
		d.dir+"/root", d.dir+"/state", d.socket, d.dir+"/opt")
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return err
	}
	var out bytes.Buffer
	cmd := exec.Command(program, "--config", config)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // the signal comes when this thread ends
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
		close(d.ended)
	}()
	if err := <-started; err != nil {
		return err
	}
	d.stop = func() {
		d.removeAll(nil)
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-d.ended
		_ = os.RemoveAll(d.dir)
	}
	if !testenv.Within(func() bool { return exec.Command("ctr", "-a", d.socket, "version").Run() == nil }) {
		return fmt.Errorf("it does not answer: %s", out.String())
	}
	return d.addImage()
}

// addImage makes the image of the program in ../testdata/box.
func (d *daemon) addImage() error {
	box := filepath.Join(d.dir, "box")
	build := exec.Command("go", "build", "-ldflags=-s -w", "-o", box, "../testdata/box")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build box: %w\n%s", err, out)
	}
	program, err := os.ReadFile(box)
	if err != nil {
		return err
	}
	layer := archive(map[string][]byte{"box": program})
	sum := sha256.Sum256(layer)
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux", "created": "2026-01-02T15:04:05Z",
		"config": map[string]any{"Entrypoint": []string{"/box"}, "Labels": map[string]string{"made": "here"}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + hex.EncodeToString(sum[:])}},
	})
	if err != nil {
		return err
	}
	manifest := `[{"Config":"config.json","RepoTags":["` + boxImage + `"],"Layers":["layer.tar"]}]`
	cmd := exec.Command("ctr", "-a", d.socket, "images", "import", "-")
	cmd.Stdin = bytes.NewReader(archive(map[string][]byte{"config.json": config, "layer.tar": layer, "manifest.json": []byte(manifest)}))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("import: %w\n%s", err, out)
	}
	return nil
}

func archive(files map[string][]byte) []byte {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for name, content := range files {
		_ = w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(content))})
		_, _ = w.Write(content)
	}
	_ = w.Close()
	return out.Bytes()
}

// ctr runs containerd's own client, which must succeed if t is not nil.
func (d *daemon) ctr(t *testing.T, args ...string) string {
	out, err := exec.Command("ctr", append([]string{"-a", d.socket}, args...)...).CombinedOutput()
	if err != nil && t != nil {
		t.Helper()
		t.Fatalf("ctr %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// run starts a container of box in a namespace.
func (d *daemon) run(t *testing.T, namespace, id string, options []string, command ...string) {
	t.Helper()
	args := append([]string{"-n", namespace, "run", "-d", "--snapshotter", "native"}, options...)
	d.ctr(t, append(append(args, boxImage, id, "/box"), command...)...)
}

// removeAll removes what tests have left.
func (d *daemon) removeAll(t *testing.T) {
	for namespace := range strings.FieldsSeq(d.ctr(nil, "namespace", "ls", "-q")) {
		n := []string{"-n", namespace}
		for id := range strings.FieldsSeq(d.ctr(nil, append(n, "container", "ls", "-q")...)) {
			d.ctr(nil, append(n, "task", "rm", "-f", id)...)
			d.ctr(nil, append(n, "container", "rm", id)...)
		}
		for name := range strings.FieldsSeq(d.ctr(nil, append(n, "images", "ls", "-q")...)) {
			if namespace != "default" || name != boxImage {
				d.ctr(nil, append(n, "images", "rm", "--sync", name)...)
			}
		}
	}
	if t != nil && t.Failed() {
		t.Log(d.ctr(nil, "container", "ls"))
	}
}

// guest is the way to an engine: a Dial whose connections can be cut.
type guest struct {
	t      *testing.T
	socket string

	mu    sync.Mutex
	conns []net.Conn
	down  bool
	tools string // a folder with a sudo
}

func (g *guest) dial(ctx context.Context, network, address string) (net.Conn, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.down {
		return nil, fmt.Errorf("%w: the test has cut it", forward.ErrNotConnected)
	}
	if network == "exec" {
		return g.exec(address)
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unix", g.socket)
	if err == nil {
		g.conns = append(g.conns, conn)
	}
	return conn, err
}

// exec runs a command as the hostagent does in the guest.
func (g *guest) exec(command string) (net.Conn, error) {
	if g.tools == "" {
		g.tools = g.t.TempDir()
		if err := os.WriteFile(filepath.Join(g.tools, "sudo"), []byte("#!/bin/sh\nshift\nexec \"$@\"\n"), 0o755); err != nil {
			return nil, err
		}
	}
	if strings.Contains(command, "\n") {
		return nil, fmt.Errorf("a request is one line: %q", command)
	}
	cmd := exec.Command("sh", "-c", strings.ReplaceAll(command, engine.NerdctlFolder, g.tools+"/nerdctl"))
	cmd.Env = append(os.Environ(), "PATH="+g.tools+":"+os.Getenv("PATH"))
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &execConn{in: in, out: out, cmd: cmd}, nil
}

// execConn is the standard input and output of a command.
type execConn struct {
	net.Conn
	in   io.WriteCloser
	out  io.Reader
	cmd  *exec.Cmd
	once sync.Once
}

func (c *execConn) Read(p []byte) (int, error)  { return c.out.Read(p) }
func (c *execConn) Write(p []byte) (int, error) { return c.in.Write(p) }
func (c *execConn) CloseWrite() error           { return c.in.Close() }
func (c *execConn) Close() error {
	c.once.Do(func() {
		_ = c.in.Close()
		_ = c.cmd.Process.Kill()
		go func() { _ = c.cmd.Wait() }()
	})
	return nil
}

// cut ends all connections, and lets no new one begin while down.
func (g *guest) cut(down bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range g.conns {
		_ = c.Close()
	}
	g.conns, g.down = nil, down
}

// connectedEngine is one that shows what a containerd has.
func connectedEngine(t *testing.T, socket string, change func(*Engine)) (*Engine, *guest) {
	t.Helper()
	g := &guest{t: t, socket: socket}
	link := &engine.Link{}
	link.Set(engine.Target{Phase: engine.Running, Engine: engine.Containerd, Dial: g.dial})
	e := New(mirror.Options{Link: link, Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))}, objects.NewSet())
	if change != nil {
		change(e)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = e.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		select {
		case <-ended:
		case <-time.After(testenv.Timeout):
			t.Error("Run does not end")
		}
	})
	testenv.Eventually(t, "the engine answers", func() bool { return e.State().Answers })
	return e, g
}

// resource returns a resource of the engine.
func resource(t *testing.T, e *Engine, name string) view.Resource {
	t.Helper()
	for _, r := range e.Resources() {
		if r.Name == name {
			return r
		}
	}
	t.Fatalf("there are no %s", name)
	return view.Resource{}
}
