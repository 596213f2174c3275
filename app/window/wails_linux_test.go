package window_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"rancherdesktop.io/rdd/internal/desktoptest"
	"rancherdesktop.io/rdd/internal/testenv"
)

// wailsCLI is the Wails CLI of the library's version, which `make test` installs.
func wailsCLI(t *testing.T) string {
	t.Helper()
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`\tgithub.com/wailsapp/wails/v2 (\S+)`).FindSubmatch(mod)
	if version == nil {
		t.Fatal("go.mod has no Wails")
	}
	return testenv.Built(t, "tools/wails/"+string(version[1])+"/wails", "make test")
}

// checkout copies the sources, without build results.
func checkout(t *testing.T) string {
	t.Helper()
	copied := t.TempDir()
	out, err := exec.Command("sh", "-c", `cd ../.. && tar -c --exclude=./.git --exclude=./dist --exclude=node_modules . | tar -x -C "$0"`, copied).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return copied
}

// goEnv is Go's and npm's part of the environment, for a program with another HOME.
func goEnv(t *testing.T) []string {
	t.Helper()
	out, err := exec.Command("go", "env", "GOCACHE", "GOMODCACHE", "GOPROXY").Output()
	if err != nil {
		t.Fatal(err)
	}
	values := strings.Split(string(out), "\n")
	return []string{"GOCACHE=" + values[0], "GOMODCACHE=" + values[1], "GOPROXY=" + values[2]}
}

// compileTimeout bounds `wails dev`, which compiles everything without optimisation, when nothing is cached.
const compileTimeout = 10 * time.Minute

func TestWailsBuildsAndServesTheWindow(t *testing.T) {
	wails := wailsCLI(t)
	d := newSession(t)
	d.RDD("svc", "create")
	welcomed(d)
	source := checkout(t)
	build := exec.Command(wails, "build", "-nocolour")
	build.Dir = source
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	program := filepath.Join(d.Libexec(), "rdd-window")
	if err := os.Remove(program); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(source, "dist", "bin", "rdd-window"), program); err != nil {
		t.Fatal(err)
	}
	window := d.Start("rdd-window")
	shown := seen(d, 1)[0]
	painted(d, shown)
	d.Screen.Close(shown)
	window.MustExit(0)

	out, err := os.Create(filepath.Join(d.Home, "wails.out")) // children of it would hold a pipe open
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	dev := exec.Command(wails, "dev", "-nocolour")
	dev.Dir, dev.Env = source, append(d.Env(), goEnv(t)...)
	dev.Stdout, dev.Stderr = out, out
	if err := dev.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- dev.Wait() }()
	defer func() {
		_ = dev.Process.Signal(syscall.SIGTERM)
		if err := <-ended; err != nil || t.Failed() {
			t.Errorf("%v\n%s", err, d.Read("wails.out"))
		}
	}()
	for end := time.Now().Add(compileTimeout); len(windows(d)) == 0 && time.Now().Before(end); {
		select {
		case err := <-ended:
			ended <- err
			t.Fatal("wails dev has ended by itself:", err)
		case <-time.After(100 * time.Millisecond):
		}
	}
	painted(d, seen(d, 1)[0])
	page := d.Bus.Accessible().Find(desktoptest.Application, "rdd-window*")
	page.Find(desktoptest.Heading, "Overview")

	// A change of a source reaches the page without a restart. Vite notifies only pages that are connected.
	overview := filepath.Join(source, "frontend", "src", "app", "Overview.svelte")
	text, err := os.ReadFile(overview)
	if err != nil {
		t.Fatal(err)
	}
	d.Eventually("the changed heading", func() bool {
		if err := os.WriteFile(overview, bytes.Replace(text, []byte("<h1>Overview"), []byte("<h1>Overlook"), 1), 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(200 * time.Millisecond) // a person doesn't save more often
		return strings.Contains(page.Outline(), "Overlook")
	})
}
