package diagnose

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	app "rancherdesktop.io/rdd/internal/api/app/v1alpha1"
	"rancherdesktop.io/rdd/internal/dockerconfig"
)

func TestDockerThatDoesNotUseTheEngineIsExplained(t *testing.T) {
	root := t.TempDir()
	files := dockerconfig.Files{
		Dir: filepath.Join(root, "docker"), StateFile: filepath.Join(root, "state.json"),
		Context: "rdd", Description: "RDD", Host: "unix://" + filepath.Join(root, "docker.sock"),
	}
	is := func(override string, severity Severity, what string) {
		t.Helper()
		if f := judgeDocker(files, override); f.Severity != severity || !strings.Contains(f.What+" "+f.Remedy, what) {
			t.Errorf("%+v; want %s, %s", f, severity, what)
		}
	}
	config := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(files.Dir, "config.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	is("DOCKER_HOST is set", SeverityOK, "no context")
	if err := os.Mkdir(files.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	config(`{"currentContext": "gone"}`)
	is("", SeverityProblem, "docker context use default")
	if _, _, err := files.Ensure(t.Context(), app.DockerContextNever); err != nil {
		t.Fatal(err)
	}
	is("", SeverityProblem, "docker context use rdd")
	is("DOCKER_HOST is set", SeverityWarning, "DOCKER_HOST is set")
	config("{}")
	is("", SeverityOK, "its context default")
	config(`{"currentContext": "rdd"}`)
	is("", SeverityOK, "uses this instance's engine")
	if err := os.Remove(filepath.Join(files.Dir, "config.json")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(files.Dir, "config.json"), 0o700); err != nil {
		t.Fatal(err)
	}
	is("", SeverityWarning, "can't be read")
}
