package core

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestTheEnvironmentOfRun(t *testing.T) {
	const tools = "/home/me/.rdd/default/bin"
	for _, tc := range []struct {
		name    string
		env     string
		bundled bool
		want    string
	}{
		{"the user's tools come first", "HOME=/h PATH=/usr/bin:/bin", false, "HOME=/h PATH=/usr/bin:/bin:" + tools + " DOCKER_CONTEXT=rdd"},
		{"bundled", "PATH=/usr/bin:/bin", true, "PATH=" + tools + ":/usr/bin:/bin DOCKER_CONTEXT=rdd"},
		{"in PATH already", "PATH=" + tools + ":/bin", false, "PATH=/bin:" + tools + " DOCKER_CONTEXT=rdd"},
		{"no PATH", "HOME=/h", false, "HOME=/h PATH=" + tools + " DOCKER_CONTEXT=rdd"},
		{
			"docker's variables", "DOCKER_HOST=tcp://x DOCKER_CONTEXT=y DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH=/c DOCKER_API_VERSION=1.40 DOCKER_CONFIG=/d DOCKER_BUILDKIT=1 PATH=/bin",
			false, "DOCKER_CONFIG=/d DOCKER_BUILDKIT=1 PATH=/bin:" + tools + " DOCKER_CONTEXT=rdd",
		},
	} {
		env := strings.Fields(tc.env)
		got := runEnvironment(env, tools, "DOCKER_CONTEXT=rdd", tc.bundled)
		if want := strings.Fields(tc.want); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", tc.name, got, want)
		}
		if !slices.Equal(env, strings.Fields(tc.env)) {
			t.Errorf("%s: the caller's environment is now %q", tc.name, env)
		}
	}
}

func TestFindProgram(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	t.Chdir(t.TempDir())
	for path, mode := range map[string]os.FileMode{
		filepath.Join(second, "tool"): 0o700, filepath.Join(first, "text"): 0o600, filepath.Join(second, "text"): 0o700,
		filepath.Join(first, "only"): 0o600, "here": 0o700,
	} {
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"), mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(first, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	env := []string{"PATH=" + first + ":.:" + second}
	for name, want := range map[string]string{
		"tool": filepath.Join(second, "tool"), "text": filepath.Join(second, "text"), "./here": "./here", filepath.Join(second, "tool"): filepath.Join(second, "tool"),
	} {
		if got, err := FindProgram(name, env); err != nil || got != want {
			t.Errorf("%s: %q %v, want %q", name, got, err, want)
		}
	}
	for name, want := range map[string]error{
		"nope": exec.ErrNotFound, "": exec.ErrNotFound, "folder": exec.ErrNotFound, "./nope": exec.ErrNotFound,
		"here": exec.ErrNotFound, // only in the working directory
		"only": ErrNotExecutable, filepath.Join(first, "only"): ErrNotExecutable, first: ErrNotExecutable,
	} {
		if got, err := FindProgram(name, env); !errors.Is(err, want) {
			t.Errorf("%s: %q %v, want %v", name, got, err, want)
		}
	}
}
