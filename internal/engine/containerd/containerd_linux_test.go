package containerd

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"rancherdesktop.io/rdd/internal/engine"
	"rancherdesktop.io/rdd/internal/engine/enginetest"
	"rancherdesktop.io/rdd/internal/engine/objects"
	"rancherdesktop.io/rdd/internal/testenv"
)

// daemon is a real containerd with its own folders, shared by all tests of the package.
type daemon struct {
	enginetest.Daemon
	socket string
}

var shared daemon

func TestMain(m *testing.M) {
	code := m.Run()
	shared.Stop(func() { shared.removeAll(nil) })
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
	shared.Need(t, func() error { return shared.start(program) })
	t.Cleanup(func() { shared.removeAll(t) })
	return &shared
}

func (d *daemon) start(program string) error {
	d.socket = filepath.Join(d.Dir, "s")
	config := filepath.Join(d.Dir, "config.toml")
	text := fmt.Sprintf("version = 2\nroot = %q\nstate = %q\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\n  address = %q\n[plugins.\"io.containerd.internal.v1.opt\"]\n  path = %q\n",
		d.Dir+"/root", d.Dir+"/state", d.socket, d.Dir+"/opt")
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return err
	}
	err := d.Start(exec.Command(program, "--config", config), func() bool { return exec.Command("ctr", "-a", d.socket, "version").Run() == nil })
	if err != nil {
		return err
	}
	return d.addImage()
}

// addImage makes the image of the program box.
func (d *daemon) addImage() error {
	program, err := d.Box()
	if err != nil {
		return err
	}
	layer := enginetest.Archive(map[string][]byte{"box": program})
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
	cmd.Stdin = bytes.NewReader(enginetest.Archive(map[string][]byte{"config.json": config, "layer.tar": layer, "manifest.json": []byte(manifest)}))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("import: %w\n%s", err, out)
	}
	return nil
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

// connectedEngine is one that shows what a containerd has.
func connectedEngine(t *testing.T, socket string, change func(*Engine)) (*Engine, *enginetest.Guest) {
	t.Helper()
	g := enginetest.NewGuest(t, socket)
	e := New(g.Options(t, engine.Containerd), objects.NewSet())
	if change != nil {
		change(e)
	}
	enginetest.Run(t, e)
	testenv.Eventually(t, "the engine answers", func() bool { return e.State().Answers })
	return e, g
}
