package moby

import (
	"archive/tar"
	"bytes"
	"context"
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

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"rancherdesktop.io/rdd/internal/engine"
	"rancherdesktop.io/rdd/internal/engine/mirror"
	"rancherdesktop.io/rdd/internal/engine/objects"
	"rancherdesktop.io/rdd/internal/forward"
	"rancherdesktop.io/rdd/internal/testenv"
)

// dockerd is a real engine in a network of its own, without images but one.
type dockerd struct {
	*client.Client
	dir    string
	socket string
	ended  chan struct{}
	failed error
	once   sync.Once
	stop   func()
}

// daemon is shared by all tests of the package.
var daemon dockerd

func TestMain(m *testing.M) {
	code := m.Run()
	if daemon.stop != nil {
		daemon.stop()
	}
	os.Exit(code)
}

const boxImage = "box:1"

// realEngine returns the engine, with no containers.
func realEngine(t *testing.T) *dockerd {
	t.Helper()
	if testing.Short() {
		t.Skip("needs dockerd")
	}
	program := testenv.Program(t, "dockerd", "docker.io")
	testenv.Program(t, "ip", "iproute2")
	if os.Geteuid() != 0 {
		t.Skip("dockerd needs root")
	}
	daemon.once.Do(func() { daemon.failed = daemon.start(program) })
	if daemon.failed != nil {
		testenv.Missing(t, "dockerd can't run here: %v", daemon.failed)
	}
	daemon.removeAll(t)
	t.Cleanup(func() { daemon.removeAll(t) })
	return &daemon
}

func (d *dockerd) start(program string) (err error) {
	if d.dir, err = os.MkdirTemp("", "moby"); err != nil {
		return err
	}
	d.socket = filepath.Join(d.dir, "docker.sock")
	d.ended = make(chan struct{})
	config := filepath.Join(d.dir, "daemon.json") // not the host's
	if err := os.WriteFile(config, []byte("{}"), 0o600); err != nil {
		return err
	}
	var out bytes.Buffer
	cmd := exec.Command("sh", "-c", `ip link set lo up && exec "$@"`, "sh", program, "--host=unix://"+d.socket, "--data-root="+filepath.Join(d.dir, "data"), "--exec-root="+filepath.Join(d.dir, "exec"),
		"--pidfile="+filepath.Join(d.dir, "pid"), "--storage-driver=vfs", "--iptables=false", "--ip6tables=false", "--config-file="+config)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGTERM}
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
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-d.ended
		_ = os.RemoveAll(d.dir)
	}
	d.Client, err = client.New(client.WithHost("unix://" + d.socket))
	if err != nil {
		return err
	}
	ready := testenv.Within(func() bool {
		select {
		case <-d.ended:
			return true
		default:
		}
		_, err := d.Ping(context.Background(), client.PingOptions{})
		return err == nil
	})
	select {
	case <-d.ended:
		return fmt.Errorf("it ended: %s", lastLines(out.String()))
	default:
	}
	if !ready {
		return fmt.Errorf("it does not answer: %s", lastLines(out.String()))
	}
	return d.addImage()
}

func lastLines(s string) string { return s[max(0, len(s)-2000):] }

// addImage makes the image of the program in ../testdata/box.
func (d *dockerd) addImage() error {
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
	var image bytes.Buffer
	w := tar.NewWriter(&image)
	_ = w.WriteHeader(&tar.Header{Name: "box", Mode: 0o755, Size: int64(len(program))})
	_, _ = w.Write(program)
	_ = w.Close()
	answer, err := d.ImageImport(context.Background(), client.ImageImportSource{Source: &image, SourceName: "-"}, boxImage, client.ImageImportOptions{Changes: []string{`ENTRYPOINT ["/box"]`}})
	if err != nil {
		return err
	}
	defer answer.Close()
	_, err = io.Copy(io.Discard, answer)
	return err
}

// removeAll removes what tests have left.
func (d *dockerd) removeAll(t *testing.T) {
	t.Helper()
	ctx := context.Background()
	list, err := d.ContainerList(ctx, client.ContainerListOptions{All: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range list.Items {
		_, _ = d.ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	}
	_, _ = d.VolumePrune(ctx, client.VolumePruneOptions{All: true})
	_, _ = d.NetworkPrune(ctx, client.NetworkPruneOptions{})
}

// create creates a container that runs box.
func (d *dockerd) create(t *testing.T, name string, config container.Config, host container.HostConfig) string {
	t.Helper()
	config.Image = boxImage
	if host.NetworkMode == "" && len(host.PortBindings) == 0 {
		host.NetworkMode = "none" // quicker
	}
	c, err := d.ContainerCreate(context.Background(), client.ContainerCreateOptions{Name: name, Config: &config, HostConfig: &host})
	if err != nil {
		t.Fatal(err)
	}
	return c.ID
}

func (d *dockerd) start1(t *testing.T, id string) {
	t.Helper()
	if _, err := d.ContainerStart(context.Background(), id, client.ContainerStartOptions{}); err != nil {
		t.Fatal(err)
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
	cmd := exec.Command("sh", "-c", command)
	cmd.Env = append(os.Environ(), "PATH="+g.tools+":"+os.Getenv("PATH"))
	ours, theirs := net.Pipe()
	cmd.Stdout = theirs
	go func() {
		_ = cmd.Run()
		_ = theirs.Close()
	}()
	return ours, nil
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

// startEngine runs an Engine that reaches a docker socket through the guest.
func startEngine(t *testing.T, socket string, change func(*Engine)) (*Engine, *guest) {
	t.Helper()
	g := &guest{t: t, socket: socket}
	link := &engine.Link{}
	link.Set(engine.Target{Phase: engine.Running, Engine: engine.Moby, Dial: g.dial})
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
	return e, g
}

// connectedEngine is one that shows what a docker engine has.
func connectedEngine(t *testing.T, socket string, change func(*Engine)) (*Engine, *guest) {
	t.Helper()
	e, g := startEngine(t, socket, change)
	testenv.Eventually(t, "the engine answers", func() bool { return e.State().Answers })
	return e, g
}
