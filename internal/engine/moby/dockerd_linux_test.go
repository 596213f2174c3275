package moby

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"rancherdesktop.io/rdd/internal/engine/enginetest"
	"rancherdesktop.io/rdd/internal/testenv"
)

// dockerd is a real engine in a network of its own, without images but one.
type dockerd struct {
	enginetest.Daemon
	*client.Client
	socket string
}

// daemon is shared by all tests of the package.
var daemon dockerd

func TestMain(m *testing.M) {
	code := m.Run()
	daemon.Stop(func() {})
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
	daemon.Need(t, func() error { return daemon.start(program) })
	daemon.removeAll(t)
	t.Cleanup(func() { daemon.removeAll(t) })
	return &daemon
}

func (d *dockerd) start(program string) (err error) {
	d.socket = filepath.Join(d.Dir, "docker.sock")
	if d.Client, err = client.New(client.WithHost("unix://" + d.socket)); err != nil {
		return err
	}
	config := filepath.Join(d.Dir, "daemon.json") // not the host's
	if err := os.WriteFile(config, []byte("{}"), 0o600); err != nil {
		return err
	}
	cmd := exec.Command("sh", "-c", `ip link set lo up && exec "$@"`, "sh", program, "--host=unix://"+d.socket, "--data-root="+filepath.Join(d.Dir, "data"), "--exec-root="+filepath.Join(d.Dir, "exec"),
		"--pidfile="+filepath.Join(d.Dir, "pid"), "--storage-driver=vfs", "--iptables=false", "--ip6tables=false", "--config-file="+config)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	err = d.Start(cmd, func() bool {
		_, err := d.Ping(context.Background(), client.PingOptions{})
		return err == nil
	})
	if err != nil {
		return err
	}
	return d.addImage()
}

// addImage makes the image of the program box.
func (d *dockerd) addImage() error {
	program, err := d.Box()
	if err != nil {
		return err
	}
	image := bytes.NewReader(enginetest.Archive(map[string][]byte{"box": program}))
	answer, err := d.ImageImport(context.Background(), client.ImageImportSource{Source: image, SourceName: "-"}, boxImage, client.ImageImportOptions{Changes: []string{`ENTRYPOINT ["/box"]`}})
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
