package instance_test

import (
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"rancherdesktop.io/rdd/internal/instance"
)

func TestDockerFolderIsTheUsers(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("USERPROFILE", home)
	elsewhere := t.TempDir()
	for variable, want := range map[string]string{"": filepath.Join(home, ".docker"), elsewhere: elsewhere, "relative": filepath.Join(home, ".docker")} {
		t.Setenv("DOCKER_CONFIG", variable)
		inst, err := instance.Resolve("work")
		if err != nil || inst.DockerConfigDir() != want {
			t.Errorf("DOCKER_CONFIG=%s: %s, %v; want %s", variable, inst.DockerConfigDir(), err, want)
		}
		// A service that starts at login must use the same folder.
		if passed := strings.Contains(strings.Join(inst.Environment(), "\n"), "DOCKER_CONFIG="); passed != (want == elsewhere) {
			t.Errorf("DOCKER_CONFIG=%s: a login gets %q", variable, inst.Environment())
		}
	}
}

func TestEachInstanceHasItsOwnDockerSocket(t *testing.T) {
	for name, want := range map[string][2]string{
		"default": {"unix:///r/default/docker.sock", "npipe:////./pipe/rdd-default-docker"},
		"work":    {"unix:///r/work/docker.sock", "npipe:////./pipe/rdd-work-docker"},
	} {
		host := want[0]
		if runtime.GOOS == "windows" {
			host = want[1]
		}
		if got := instance.At("/r", name, "").DockerHost(); got != host {
			t.Errorf("%s: %s; want %s", name, got, host)
		}
	}
}
