//go:build unix

package socket

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"rancherdesktop.io/rdd/internal/engine"
	"rancherdesktop.io/rdd/internal/testenv"
)

// docker asks for the API's version first, and must not replace our sentence with one of its own about that.
func TestDockerPrintsWhyTheEngineDoesNotAnswer(t *testing.T) {
	docker := testenv.Program(t, "docker", "docker.io")
	const reason = "The container engine of RDD is stopped. Start it with: rdd start"
	link := &engine.Link{}
	link.Set(engine.Target{Phase: engine.Stopped, Engine: engine.Moby, Reason: reason})
	s := serve(t, link)
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "Dockerfile"), []byte("FROM scratch\nCOPY . /\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range []string{"ps", "version", "info", "images", "run --rm hello-world", "pull hello-world", "events", "exec x true", "load -i " + docker, "volume ls", "build " + folder} {
		t.Run(args, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), docker, strings.Fields(args)...)
			cmd.Env = []string{"HOME=" + folder, "DOCKER_CONFIG=" + folder, "DOCKER_HOST=unix://" + s.Path, "DOCKER_BUILDKIT=0", "PATH=/usr/bin:/bin"}
			out, err := cmd.CombinedOutput()
			if err == nil && args != "info" || !strings.Contains(string(out), reason) {
				t.Errorf("%v:\n%s", err, out)
			}
			t.Logf("%s", out)
		})
	}
}
