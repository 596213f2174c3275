package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// addTools adds docker and its plugins, which `make tools` builds, to the RDD of this instance.
func (e *testEnv) addTools() {
	e.t.Helper()
	for _, name := range []string{"docker", "cli-plugins"} {
		path := filepath.Join(dist(e.t), "libexec", "rdd", name)
		need(e.t, path, "make tools")
		if err := os.Symlink(path, filepath.Join(e.libexec(), name)); err != nil {
			e.t.Fatal(err)
		}
	}
}

// with runs rdd with this PATH.
func (e *testEnv) with(path string, args ...string) string {
	e.t.Helper()
	cmd := e.command(e.t.Context(), args...)
	cmd.Env = append(cmd.Env, "PATH="+path)
	out, err := cmd.CombinedOutput()
	if err != nil {
		e.t.Errorf("rdd %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func TestToolsThatComeWithRDDRunWithoutAnyOfTheUsers(t *testing.T) {
	t.Parallel()
	e := newAppEnv(t)
	e.addTools()
	none := t.TempDir()
	for command, want := range map[string]string{
		"docker --version":         "Docker version 29.",
		"docker compose version":   "Docker Compose version v5.",
		"docker buildx version":    "github.com/docker/buildx v0.",
		"docker-compose version":   "Docker Compose version v5.",
		"kubectl version --client": "Client Version: v1.",
	} {
		if out := e.with(none, append([]string{"run"}, strings.Fields(command)...)...); !strings.Contains(out, want) { // the first one starts the App
			t.Errorf("%s: %s", command, out)
		}
	}
	if out := e.with(none, "run", "docker", "context", "show"); !strings.HasSuffix(out, "rdd\n") {
		t.Errorf("docker uses the context %s", out)
	}

	// What the user has comes first, unless --bundled says otherwise.
	own := t.TempDir()
	docker := "#!/bin/sh\n[ \"$1\" != compose ] || exit 1\necho mine\n" // it has no plugin compose
	if err := os.WriteFile(filepath.Join(own, "docker"), []byte(docker), 0o700); err != nil {
		t.Fatal(err)
	}
	if out := e.with(own, "run", "docker", "--version"); out != "mine\n" {
		t.Errorf("the user's docker is hidden: %s", out)
	}
	if out := e.with(own, "run", "docker", "buildx", "version"); out != "mine\n" {
		t.Errorf("the user's plugin is hidden: %s", out)
	}
	if out := e.with(own, "run", "docker", "compose", "version"); !strings.Contains(out, "Docker Compose version v5.") {
		t.Errorf("the user's docker has no compose: %s", out)
	}
	if out := e.with(own, "run", "--bundled", "docker", "--version"); !strings.HasPrefix(out, "Docker version 29.") {
		t.Errorf("with --bundled: %s", out)
	}

	// RDD was upgraded to a version that has no docker.
	if err := os.Remove(filepath.Join(e.libexec(), "docker")); err != nil {
		t.Fatal(err)
	}
	e.must(0, "svc", "restart")
	if bin := filepath.Join(e.shortDir(), "bin"); exists(filepath.Join(bin, "docker")) || !exists(filepath.Join(bin, "kubectl")) {
		left, _ := os.ReadDir(bin)
		t.Errorf("left: %v", left)
	}
}
