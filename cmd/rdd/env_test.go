//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"

	"rancherdesktop.io/rdd/internal/lifecycle"
	"rancherdesktop.io/rdd/internal/machine/layout"
	"rancherdesktop.io/rdd/internal/machine/machinetest"
	"rancherdesktop.io/rdd/internal/proc"
	"rancherdesktop.io/rdd/internal/testenv"
)

// testEnv is an instance in a home directory of its own, with the programs that `make build` built, except
// rdd-lima: that is a fake, so VMs boot in milliseconds.
type testEnv struct {
	t        testing.TB
	home     string
	instance string
	template string // of a VM that boots
	fake     machinetest.Fake
}

// newTestEnv prepares an instance. It is deleted at the end of the test, which fails if a process is left.
func newTestEnv(t testing.TB) *testEnv {
	t.Helper()
	libexec := filepath.Join(dist(t), "libexec", "rdd")
	need(t, filepath.Join(libexec, "rddd"), "make build")
	home, err := os.MkdirTemp("", "rf") // short, because sockets live below it
	if err != nil {
		t.Fatal(err)
	}
	e := &testEnv{t: t, home: home, instance: "default", template: filepath.Join(home, "vm.yaml")}
	t.Cleanup(e.cleanUp)
	if e.fake, err = machinetest.New(e.libexec()); err != nil {
		t.Fatal(err)
	}
	for _, program := range []string{"rddd", "rdd-kubectl"} {
		if err := os.Symlink(filepath.Join(libexec, program), filepath.Join(e.libexec(), program)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(e.template, []byte("images: []\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return e
}

// secondInstance returns another instance in the same home directory.
func (e *testEnv) secondInstance(instance string) *testEnv {
	other := *e
	other.instance = instance
	e.t.Cleanup(other.delete)
	return &other
}

func (e *testEnv) libexec() string { return filepath.Join(e.home, "libexec", "rdd") }
func (e *testEnv) dataDir() string {
	return filepath.Join(e.home, ".local", "share", "rdd", e.instance)
}
func (e *testEnv) shortDir() string { return filepath.Join(e.home, ".rdd", e.instance) }
func (e *testEnv) serviceLog() string {
	return filepath.Join(e.home, ".local", "state", "rdd", e.instance, "log", "rddd.log")
}
func (e *testEnv) serviceOut() string { return strings.TrimSuffix(e.serviceLog(), ".log") + ".out" }
func (e *testEnv) vm(name string) layout.VM {
	return layout.VM{Home: filepath.Join(e.shortDir(), "lima"), Name: name, Logs: filepath.Join(filepath.Dir(e.serviceLog()), "vm", name)}
}

// setFake changes a setting of the fake rdd-lima.
func (e *testEnv) setFake(name, mode string) {
	e.t.Helper()
	if err := e.fake.Set(name, mode); err != nil {
		e.t.Fatal(err)
	}
}

// cleanUp deletes the instance and fails the test if a process of it is left.
func (e *testEnv) cleanUp() {
	if e.t.Failed() {
		if text, err := os.ReadFile(e.serviceLog()); err == nil {
			e.t.Logf("end of %s:\n%s", e.serviceLog(), text[max(0, len(text)-8000):])
		}
	}
	e.delete()
	for pid, line := range e.left() {
		e.t.Errorf("left behind: %s", line)
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	if err := os.RemoveAll(e.home); err != nil {
		e.t.Error(err)
	}
}

// delete deletes the instance. It resets the fake first, so that guests power off.
func (e *testEnv) delete() {
	for _, setting := range []string{"boot", "stop", "qemu", "prepare", "remove"} {
		_ = e.fake.Unset(setting)
	}
	e.setFake("stopped", "")
	e.setFake("booted", "")
	if e.t.Failed() { // perhaps because of a guest that doesn't power off
		e.run("svc", "stop", "--force")
	}
	if r := e.run("svc", "delete"); r.code != 0 {
		e.t.Errorf("delete the instance: %+v", r)
	}
}

// result is the outcome of a command.
type result struct {
	code     int
	out, err string
	took     time.Duration
}

// command returns an rdd command for this instance. A Ctrl-C in the terminal of the test does not reach it.
func (e *testEnv) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(dist(e.t), "bin", "rdd"), args...)
	cmd.Env = slices.DeleteFunc(os.Environ(), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return name == "HOME" || name == "KUBECONFIG" || strings.HasPrefix(name, "RDD_") || strings.HasPrefix(name, "XDG_") || strings.HasPrefix(name, "DOCKER_")
	})
	cmd.Env = append(cmd.Env, "HOME="+e.home, "RDD_LIBEXEC="+e.libexec(), "RDD_INSTANCE="+e.instance)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// run runs rdd. After testenv.Timeout it is killed, and its exit code is -1.
func (e *testEnv) run(args ...string) result {
	ctx, cancel := context.WithTimeout(context.Background(), testenv.Timeout)
	defer cancel()
	var out, problem bytes.Buffer
	cmd := e.command(ctx, args...)
	cmd.Stdout, cmd.Stderr = &out, &problem
	began := time.Now()
	err := cmd.Run()
	r := result{cmd.ProcessState.ExitCode(), out.String(), problem.String(), time.Since(began)}
	if cmd.ProcessState == nil {
		r.err = err.Error()
	}
	return r
}

// must runs rdd and fails the test unless it ends with this exit code.
func (e *testEnv) must(code int, args ...string) result {
	e.t.Helper()
	r := e.run(args...)
	if r.code != code {
		e.t.Fatalf("rdd %s: exit code %d after %s, want %d\n%s%s", strings.Join(args, " "), r.code, r.took, code, r.out, r.err)
	}
	return r
}

// record returns the record that the service has written, whether it still runs or not.
func (e *testEnv) record() (rec lifecycle.Record) {
	e.t.Helper()
	text, err := os.ReadFile(filepath.Join(e.dataDir(), "serve.json"))
	if err == nil {
		err = json.Unmarshal(text, &rec)
	}
	if err != nil {
		e.t.Fatal(err)
	}
	return rec
}

// start starts the service and returns its record.
func (e *testEnv) start() lifecycle.Record {
	e.t.Helper()
	e.must(0, "svc", "start", "--progress", "quiet")
	return e.record()
}

// lockHeld reports whether a process holds the lock.
func (e *testEnv) lockHeld(path string) bool {
	e.t.Helper()
	held, err := proc.Held(path)
	if err != nil {
		e.t.Fatal(err)
	}
	return held
}

func (e *testEnv) serviceRuns() bool {
	e.t.Helper()
	return e.lockHeld(filepath.Join(e.dataDir(), "serve.lock"))
}

// kill kills a process and waits until its lock is free.
func (e *testEnv) kill(pid int, lock string) {
	e.t.Helper()
	if pid <= 1 { // for kill(2), 0 is the process group of the test
		e.t.Fatalf("no process to kill: the record of %s says PID %d", lock, pid)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		e.t.Fatal(err)
	}
	e.eventually("free "+lock, func() bool { return !e.lockHeld(lock) })
}

// killService kills the service, like a crash.
func (e *testEnv) killService() {
	e.t.Helper()
	e.kill(e.record().PID, filepath.Join(e.dataDir(), "serve.lock"))
}

// killHostagent kills a VM's hostagent.
func (e *testEnv) killHostagent(vm string) {
	e.t.Helper()
	rec, err := e.vm(vm).ReadRecord()
	if err != nil {
		e.t.Fatal(err)
	}
	e.kill(rec.PID, e.vm(vm).HostagentLock())
}

// killProcesses kills the processes of this home directory that run the command.
func (e *testEnv) killProcesses(command string) {
	for pid, line := range e.processes() {
		if strings.Contains(line, command+" ") {
			_ = syscall.Kill(pid, syscall.SIGKILL) // fails if it has just ended
		}
	}
}

// eventually waits until ok.
func (e *testEnv) eventually(what string, ok func() bool) {
	e.t.Helper()
	testenv.Eventually(e.t, what, ok)
}

// processes returns the command lines of the processes whose programs are in this home directory, by PID. rdd itself
// is not among them.
func (e *testEnv) processes() map[int]string {
	found := map[int]string{}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		e.t.Error(err)
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)) // empty if it has ended meanwhile
		if bytes.HasPrefix(line, []byte(e.libexec()+"/")) {
			found[pid] = strings.TrimSpace(strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return found
}

// left waits until no process of this home directory runs, and returns those that still do. A hostagent that another service
// started, and the helpers of a killed service, may be ending.
func (e *testEnv) left() (processes map[int]string) {
	testenv.Within(func() bool {
		processes = e.processes()
		return len(processes) == 0
	})
	return processes
}

// countFakes counts the processes of this instance that run a command of the fake rdd-lima.
func (e *testEnv) countFakes(command string) (n int) {
	for _, line := range e.processes() {
		if strings.HasPrefix(line, e.fake.Program()+" "+command+" ") && strings.Contains(line, e.shortDir()+"/") {
			n++
		}
	}
	return n
}

// client returns a client of the running service.
func (e *testEnv) client() dynamic.Interface {
	e.t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", filepath.Join(e.shortDir(), "kube.config"))
	if err != nil {
		e.t.Fatal(err)
	}
	config.QPS = -1
	config.Dial = (&net.Dialer{}).DialContext // otherwise client-go would reuse the connection to a killed run
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		e.t.Fatal(err)
	}
	return client
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
