//go:build linux

package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestVMListShowsTheResourcesOfVMs(t *testing.T) {
	t.Parallel()
	e := newTestEnv(t)
	e.start()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(e.home, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	row := func(when, want string) {
		t.Helper()
		if r := e.must(0, "vm", "list"); !regexp.MustCompile(`(?m)^demo +` + want + ` `).MatchString(r.out) {
			t.Errorf("%s: want %s in\n%s", when, want, r.out)
		}
	}
	e.must(0, "vm", "create", "demo", write("demo.yaml", "images: []\ncpus: 2\nmemory: 1GiB\ndisk: 10GiB\n"))
	row("before the first start", `Stopped +2 +1GiB +10GiB +- +`)
	e.must(0, "vm", "start", "demo")
	row("running", `Running +2 +1GiB +10GiB +2222 +(emulation|hardware)`)
	const request = `msg="a request was answered"`
	if r := e.must(0, "vm", "list", "--log-level", "debug"); strings.Count(r.err, request) != 1 {
		t.Errorf("want one request:\n%s", r.err)
	}

	e.must(0, "vm", "edit", "demo", "--file", write("more.yaml", "images: []\ncpus: 3\nmemory: 1536MiB\ndisk: 20GiB\n"))
	row("running, with other settings for the next start", `Running \(restart needed\) +2 +1GiB +10GiB +2222`)
	e.must(0, "vm", "stop", "demo")
	row("stopped", `Stopped +3 +1.5GiB +20GiB +-`)
	e.must(0, "vm", "create", "other", e.template, "--wait=false")
	if r := e.must(0, "vm", "list", "--log-level", "debug"); strings.Count(r.err, request) > 2 {
		t.Errorf("want two requests at most:\n%s", r.err)
	}

	if r := e.must(0, "vm", "list", "-o", "json"); !regexp.MustCompile(`"resources": \{\s+"cpus": 3,\s+"memory": 1610612736,\s+"disk": 21474836480\s+\}`).MatchString(r.out) {
		t.Errorf("-o json: %s", r.out)
	}
	if r := e.must(0, "vm", "list", "-o", "wide"); !regexp.MustCompile(`^NAME +STATE +.* RESTARTS +TEMPLATE +PROBLEM\ndemo .* 0 +rdd-system/limavm-demo +-\n`).MatchString(r.out) {
		t.Errorf("-o wide: %s", r.out)
	}
	r := e.must(0, "vm", "list", "-o", "name")
	if want := "limavm.lima.rancherdesktop.io/demo\nlimavm.lima.rancherdesktop.io/other\n"; r.out != want {
		t.Errorf("-o name: %s", r.out)
	}
	if again := e.must(0, "ctl", "get", strings.Fields(r.out)[0], "-o", "name"); again.out != "limavm.lima.rancherdesktop.io/demo\n" {
		t.Errorf("kubectl with that name: %s", again.out)
	}
}
