//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/internal/testenv"
)

// newAppEnv returns an environment whose App has a fake VM, with a fake engine.
func newAppEnv(t *testing.T) *testEnv {
	t.Helper()
	e := newTestEnv(t)
	guest := filepath.Join(e.home, "share", "rdd", "guest")
	if err := os.MkdirAll(guest, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(guest, "rdd-guest.yaml"), []byte("images: []\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return e
}

// report returns what rdd status says, which must end with this exit code.
func (e *testEnv) report(code int) (r core.AppReport) {
	e.t.Helper()
	out := e.must(code, "status", "-o", "json").out
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		e.t.Fatalf("%v: %s", err, out)
	}
	return r
}

// says fails the test unless a command has written this to stderr.
func (r result) says(t testing.TB, text string) {
	t.Helper()
	if !strings.Contains(r.err, text) {
		t.Errorf("%q is not in:\n%s", text, r.err)
	}
}

func TestTheAppFromItsFirstStartToItsDeletion(t *testing.T) {
	t.Parallel()
	e := newAppEnv(t)
	e.setFake("containers", "web nginx:1.29 running\njob busybox exited\n")
	if r := e.report(9); r.State != core.AppNotCreated || r.Service.State != core.ServiceNotCreated {
		t.Errorf("before the first start: %+v", r)
	}

	// The first command starts everything, and makes docker's context the current one, though this computer may have a docker.
	e.must(0, "set", "containerEngine.dockerContext=Always").says(t, "start the App with: rdd start")
	first := e.must(0, "run", "sh", "-c", `echo "$DOCKER_CONTEXT/$DOCKER_HOST/$PATH"`)
	if want := "rdd//" + os.Getenv("PATH") + ":" + filepath.Join(e.shortDir(), "bin") + "\n"; first.out != want {
		t.Errorf("the command's environment is %q, want %q", first.out, want)
	}
	r := e.must(0, "start")
	r.says(t, "the App is already running")
	r.says(t, "the engine moby 26.1.5 listens at "+e.shortDir()+"/docker.sock")
	r.says(t, `docker commands use it (docker context "rdd")`)
	status := e.report(0)
	if c := status.Containers; status.Engine == nil || status.Engine.Version != "26.1.5" || status.VirtualMachine.State != "Running" || !status.DockerContext.Used ||
		c == nil || c.Total != 2 || c.States["running"] != 1 || c.Items[0].Name != "web" || c.Items[0].Image != "nginx:1.29" {
		t.Errorf("%+v, containers %+v", status, c)
	}
	e.setFake("containers", "web nginx:1.29 running\njob busybox running\n")
	e.eventually("the second container is seen running", func() bool { return e.report(0).Containers.States["running"] == 2 })

	// The exit code of the command, or of the signal that has ended it, is that of rdd run.
	e.must(7, "run", "sh", "-c", "exit 7")
	if r := e.run("run", "sh", "-c", "kill -TERM $$"); r.code != -1 { // a shell says 143
		t.Errorf("exit code %d of a command that a signal has ended", r.code)
	}

	// Only the App changes its VM.
	e.must(3, "vm", "stop", "rd").says(t, "rdd stop")
	e.must(3, "vm", "delete", "rd").says(t, "rdd delete")
	edit := e.command(t.Context(), "vm", "edit", "rd")
	edit.Env = append(edit.Env, "VISUAL=echo opened; false")
	if out, err := edit.CombinedOutput(); edit.ProcessState.ExitCode() != 3 || bytes.Contains(out, []byte("opened")) || !bytes.Contains(out, []byte("to change processors, memory, disk or mounts: rdd set")) {
		t.Errorf("%v, without an editor for a template that can't change: %s", err, out)
	}
	if out := e.must(0, "vm", "list").out; !strings.Contains(out, " App ") {
		t.Errorf("the list of VMs doesn't say who manages rd:\n%s", out)
	}

	// A new size restarts the VM, and a port's address doesn't.
	agents := e.fake.Counted("agents")
	e.must(0, "set", "ports.bindAddresses=0.0.0.0")
	if n := e.fake.Counted("agents"); n != agents {
		t.Errorf("%d hostagents, want %d", n, agents)
	}
	r = e.must(0, "set", "virtualMachine.cpus=1", "virtualMachine.memory=1Gi")
	r.says(t, "the App is running with these settings")
	if n := e.fake.Counted("agents"); n != agents+1 {
		t.Errorf("%d hostagents, want %d", n, agents+1)
	}
	if vm := e.report(0).VirtualMachine; vm.CPUs != 1 || vm.Memory != 1<<30 || len(vm.RestartNeeded) > 0 {
		t.Errorf("%+v", vm)
	}
	e.must(3, "set", "virtualMachine.cpus=2", "virtualMachine.mounts=/no/such/folder").says(t, "there is no such folder")
	e.must(0, "restart").says(t, "the App is running again")

	// The service starts it again, as it was.
	e.must(0, "svc", "restart")
	e.must(0, "start")

	e.must(0, "stop").says(t, "the App has stopped")
	if status := e.report(6); status.State != core.AppStopped || status.Containers != nil || status.Engine != nil {
		t.Errorf("%+v", status)
	}
	e.must(1, "shell").says(t, "start it with: rdd start")
	e.must(0, "set", "virtualMachine.cpus=").says(t, "they apply to its next start")
	e.must(0, "reset", "--yes").says(t, "the App has a new system disk")
	e.must(0, "start")
	e.must(0, "delete", "--yes").says(t, "the App has been deleted")
	e.report(9)
	if exists(e.vm("rd").Dir()) {
		t.Error("the VM is left")
	}
	e.must(0, "start", "--wait=false").says(t, "the App will start (not waiting for it to finish)")
	e.must(0, "stop", "--shutdown", "--force").says(t, "the service has stopped")
}

// rdd status --watch shows each change of the App and of its containers, across a stop and a start, until Ctrl-C.
func TestTheWatchOfTheAppGoesOn(t *testing.T) {
	t.Parallel()
	e := newAppEnv(t)
	ctx, cancel := context.WithTimeout(context.Background(), 3*testenv.Timeout)
	defer cancel()
	path := filepath.Join(e.home, "watched")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	cmd := e.command(ctx, "status", "--watch", "-o", "json")
	cmd.Stdout = file
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }()
	last := func() (r core.AppReport) {
		text, _ := os.ReadFile(path)
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		_ = json.Unmarshal([]byte(lines[len(lines)-1]), &r) // the line may be incomplete
		return r
	}
	shows := func(state core.AppState, running int) {
		t.Helper()
		e.eventually(fmt.Sprintf("it shows %s with %d containers", state, running), func() bool {
			r := last()
			return r.State == state && (r.Containers == nil && running == 0 || r.Containers != nil && r.Containers.States["running"] == running)
		})
	}
	shows(core.AppNotCreated, 0)
	e.must(0, "start")
	shows(core.AppRunning, 0)
	e.setFake("containers", "web nginx running\ndb postgres running\n")
	shows(core.AppRunning, 2)
	e.must(0, "stop")
	shows(core.AppStopped, 0)
	e.must(0, "start")
	shows(core.AppRunning, 2)
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 130 {
		t.Error("exit code", code)
	}
}

// Neither a deadline nor Ctrl-C ends what was begun, and each says how to wait again.
func TestTheEndOfWaitingForTheAppEndsNothingElse(t *testing.T) {
	t.Parallel()
	e := newAppEnv(t)
	e.setFake("boot", "late")
	e.start()
	r := e.must(4, "start", "--timeout", "3s")
	r.says(t, "context deadline exceeded")
	r.says(t, "The operation continues in the background. Wait for it again with: rdd start")
	if status := e.report(7); status.State != core.AppStarting {
		t.Errorf("%+v", status)
	}
	ctx, cancel := context.WithTimeout(context.Background(), testenv.Timeout)
	defer cancel()
	var said bytes.Buffer
	cmd := e.command(ctx, "start", "--progress", "plain")
	out, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil { // it waits
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_, _ = said.ReadFrom(out)
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 130 || !strings.Contains(said.String(), "Wait for it again with: rdd start") {
		t.Errorf("exit code %d: %s", code, &said)
	}
	e.setFake("booted", "")
	e.must(0, "start").says(t, "the App is running")

	e.setFake("stop", "slow")
	r = e.must(4, "stop", "--timeout", "3s")
	r.says(t, "Wait for it again with: rdd stop")
	r.says(t, "To power off the virtual machine immediately and lose data that is not written to disk yet, run: rdd stop --force")
	if status := e.report(7); status.State != core.AppStopping {
		t.Errorf("%+v", status)
	}
	e.must(0, "stop", "--force").says(t, "data that containers have not written to disk is lost")
	e.report(6)
}

// Every command that changes the App ends in one way at its deadline, and with --wait=false.
func TestEveryCommandOfTheAppEndsInOneWay(t *testing.T) {
	t.Parallel()
	e := newAppEnv(t)
	e.start()
	for _, command := range []string{"start", "restart", "set virtualMachine.cpus=1", "reset --yes", "stop", "start", "delete --yes"} {
		args := strings.Fields(command)
		r := e.must(4, append(args, "--timeout", "1ms")...)
		m := deadline.FindStringSubmatch(r.err)
		if m == nil {
			t.Errorf("rdd %s at its deadline:\n%s", command, r.err)
			continue
		}
		e.must(0, strings.Fields(m[2])...)
	}
	e.must(0, "start")
	for _, command := range []string{"restart", "set virtualMachine.cpus=", "reset --yes", "stop", "start", "delete --yes"} {
		e.must(0, append(strings.Fields(command), "--wait=false")...).says(t, "not waiting for it to finish")
	}
}

// An App that can't start says why, and its start ends at once.
func TestAnAppThatCantStartSaysWhy(t *testing.T) {
	t.Parallel()
	e := newAppEnv(t)
	e.setFake("boot", "refuse")
	e.must(1, "start").says(t, "no hardware")
	if r := e.report(8); r.State != core.AppBroken || !strings.Contains(r.Message, "no hardware") {
		t.Errorf("%+v", r)
	}
	e.setFake("boot", "")
	e.must(0, "start") // tries again, though nothing was set
	e.report(0)
}
