//go:build linux

package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"rancherdesktop.io/rdd/internal/testenv"
)

// dashboard runs rdd dashboard. It returns the address that it prints, and a function that sends it a signal and returns its
// exit code.
func (e *testEnv) dashboard(env []string, args ...string) (address string, end func(os.Signal) int) {
	e.t.Helper()
	web := filepath.Join(dist(e.t), "libexec", "rdd", "rdd-web")
	need(e.t, web, "make build")
	if err := os.Symlink(web, filepath.Join(e.libexec(), "rdd-web")); err != nil && !os.IsExist(err) {
		e.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background()) // it runs until the end of the test
	e.t.Cleanup(cancel)
	cmd := e.command(ctx, append([]string{"dashboard"}, args...)...)
	cmd.Env = append(cmd.Env, env...)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		e.t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		e.t.Fatal(err)
	}
	return strings.TrimSpace(line), func(s os.Signal) int {
		_ = cmd.Process.Signal(s)
		late := time.AfterFunc(testenv.Timeout, cancel) // which kills it
		defer late.Stop()
		_ = cmd.Wait()
		return cmd.ProcessState.ExitCode()
	}
}

func TestDashboardShowsThePageAndStartsNothing(t *testing.T) {
	t.Parallel()
	e := newTestEnv(t)
	address, end := e.dashboard(nil, "--no-open")
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar, Timeout: testenv.Timeout}
	resp, err := browser.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	u, err := url.Parse(address)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status, err)
	}
	resp, err = browser.Post("http://"+u.Host+"/api/call/state", "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || !strings.Contains(string(text), `"state":"not-created"`) {
		t.Errorf("%v %s", err, text)
	}
	e.must(9, "svc", "status")
	if exists(e.dataDir()) || exists(e.shortDir()) {
		t.Error("the dashboard has created the instance")
	}
	if code := end(os.Interrupt); code != 0 {
		t.Error("Ctrl-C: exit code", code)
	}
	if resp, err := browser.Get(address); err == nil {
		resp.Body.Close()
		t.Error("it still answers")
	}
}

func TestDashboardKeepsTheTokenOffTheBrowsersCommandLine(t *testing.T) {
	t.Parallel()
	e := newTestEnv(t)
	bin := filepath.Join(e.home, "fake")
	if err := os.Mkdir(bin, 0o700); err != nil {
		t.Fatal(err)
	}
	script := "#!/bin/sh\necho \"$*\" >$HOME/args.new && stat -c %a \"${1#file://}\" >$HOME/mode && cat \"${1#file://}\" >$HOME/link && mv $HOME/args.new $HOME/args\n"
	if err := os.WriteFile(filepath.Join(bin, "xdg-open"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	address, end := e.dashboard([]string{"PATH=" + bin + ":" + os.Getenv("PATH"), "TMPDIR=" + e.home})
	e.eventually("a browser", func() bool { return exists(filepath.Join(e.home, "args")) })
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(e.home, name))
		if err != nil {
			t.Error(err)
		}
		return string(text)
	}
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	token := u.Query().Get("token")
	if token == "" || strings.Contains(read("args"), token) {
		t.Errorf("%s was opened with %s", address, read("args"))
	}
	if !strings.Contains(read("link"), address) || read("mode") != "600\n" {
		t.Errorf("mode %s: %s", read("mode"), read("link"))
	}
	if code := end(os.Interrupt); code != 0 {
		t.Error("Ctrl-C: exit code", code)
	}
	e.noPageFiles()
}

// noPageFiles checks that the dashboard has left none of the files that open a browser.
func (e *testEnv) noPageFiles() {
	e.t.Helper()
	if left, err := filepath.Glob(filepath.Join(e.home, "rdd-*")); err != nil || len(left) > 0 {
		e.t.Error(left, err)
	}
}

func TestDashboardLeavesNoFileWhenItsTerminalIsClosed(t *testing.T) {
	t.Parallel()
	e := newTestEnv(t)
	bin := filepath.Join(e.home, "fake")
	if err := os.Mkdir(bin, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bin, "xdg-open"), []byte("#!/bin/sh\n>$HOME/opened\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	testenv.TakeHangups(t)
	open := func() (end func(os.Signal) int) {
		_, end = e.dashboard([]string{"PATH=" + bin + ":" + os.Getenv("PATH"), "TMPDIR=" + e.home})
		e.eventually("a browser", func() bool { return os.Remove(filepath.Join(e.home, "opened")) == nil })
		return end
	}
	if code := open()(syscall.SIGHUP); code != 0 {
		t.Error("a closed terminal: exit code", code)
	}
	e.noPageFiles()
	open()(syscall.SIGKILL)
	if code := open()(os.Interrupt); code != 0 { // it removes what the killed one has left
		t.Error("Ctrl-C: exit code", code)
	}
	e.noPageFiles()
}
