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

// hang is how long a command or a state may take before a test calls it one that never ends.
const hang = testenv.Timeout

// box is an instance in a home directory of its own, run by the programs that `make build` made.
// Its rdd-lima is the stand-in, so its VMs boot in milliseconds.
type box struct {
	t        testing.TB
	home     string
	instance string
	template string // of a VM that boots
	stage    machinetest.Fake
}

// newBox makes an instance, which is deleted with the test; no process of it may be left then.
func newBox(t testing.TB) *box {
	t.Helper()
	libexec := filepath.Join(dist(t), "libexec", "rdd")
	need(t, filepath.Join(libexec, "rddd"), "make build")
	home, err := os.MkdirTemp("", "rf") // short, because sockets live below it
	if err != nil {
		t.Fatal(err)
	}
	b := &box{t: t, home: home, instance: "default", template: filepath.Join(home, "vm.yaml")}
	t.Cleanup(b.end)
	if b.stage, err = machinetest.New(b.libexec()); err != nil {
		t.Fatal(err)
	}
	for _, program := range []string{"rddd", "rdd-kubectl"} {
		if err := os.Symlink(filepath.Join(libexec, program), filepath.Join(b.libexec(), program)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(b.template, []byte("images: []\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return b
}

// beside is another instance in the same home directory.
func (b *box) beside(instance string) *box {
	other := *b
	other.instance = instance
	b.t.Cleanup(other.delete)
	return &other
}

func (b *box) libexec() string { return filepath.Join(b.home, "libexec", "rdd") }
func (b *box) data() string    { return filepath.Join(b.home, ".local", "share", "rdd", b.instance) }
func (b *box) short() string   { return filepath.Join(b.home, ".rdd", b.instance) }
func (b *box) log() string {
	return filepath.Join(b.home, ".local", "state", "rdd", b.instance, "log", "rddd.log")
}
func (b *box) output() string { return strings.TrimSuffix(b.log(), ".log") + ".out" }
func (b *box) vm(name string) layout.VM {
	return layout.VM{Home: filepath.Join(b.short(), "lima"), Name: name, Logs: filepath.Join(filepath.Dir(b.log()), "vm", name)}
}

// set changes how the stand-in plays.
func (b *box) set(name, mode string) {
	b.t.Helper()
	if err := b.stage.Set(name, mode); err != nil {
		b.t.Fatal(err)
	}
}

// end deletes the instance and looks for processes of it.
func (b *box) end() {
	if b.t.Failed() {
		if text, err := os.ReadFile(b.log()); err == nil {
			b.t.Logf("end of %s:\n%s", b.log(), text[max(0, len(text)-8000):])
		}
	}
	b.delete()
	for pid, line := range b.processes() {
		b.t.Errorf("left behind: %s", line)
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	if err := os.RemoveAll(b.home); err != nil {
		b.t.Error(err)
	}
}

// delete deletes the instance, with guests that power off when asked.
func (b *box) delete() {
	for _, setting := range []string{"boot", "stop", "qemu", "prepare", "remove"} {
		_ = b.stage.Unset(setting)
	}
	b.set("stopped", "")
	b.set("booted", "")
	if b.t.Failed() { // perhaps because of a guest that doesn't power off
		b.run("svc", "stop", "--force")
	}
	if r := b.run("svc", "delete"); r.code != 0 {
		b.t.Errorf("delete the instance: %+v", r)
	}
}

// result is how a command went.
type result struct {
	code     int
	out, err string
	took     time.Duration
}

// command is rdd for this instance; Ctrl-C in the terminal of the test does not reach it.
func (b *box) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(dist(b.t), "bin", "rdd"), args...)
	cmd.Env = slices.DeleteFunc(os.Environ(), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return name == "HOME" || name == "KUBECONFIG" || strings.HasPrefix(name, "RDD_") || strings.HasPrefix(name, "XDG_")
	})
	cmd.Env = append(cmd.Env, "HOME="+b.home, "RDD_LIBEXEC="+b.libexec(), "RDD_INSTANCE="+b.instance)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// run runs rdd to its end. One that hangs is killed: its code is -1.
func (b *box) run(args ...string) result {
	ctx, cancel := context.WithTimeout(context.Background(), hang)
	defer cancel()
	var out, problem bytes.Buffer
	cmd := b.command(ctx, args...)
	cmd.Stdout, cmd.Stderr = &out, &problem
	began := time.Now()
	err := cmd.Run()
	r := result{cmd.ProcessState.ExitCode(), out.String(), problem.String(), time.Since(began)}
	if cmd.ProcessState == nil {
		r.err = err.Error()
	}
	return r
}

// must runs rdd, which must end with the code.
func (b *box) must(code int, args ...string) result {
	b.t.Helper()
	r := b.run(args...)
	if r.code != code {
		b.t.Fatalf("rdd %s: exit code %d after %s, want %d\n%s%s", strings.Join(args, " "), r.code, r.took, code, r.out, r.err)
	}
	return r
}

// record is what the service says of itself, whether it lives or not.
func (b *box) record() (rec lifecycle.Record) {
	b.t.Helper()
	text, err := os.ReadFile(filepath.Join(b.data(), "serve.json"))
	if err == nil {
		err = json.Unmarshal(text, &rec)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return rec
}

// start starts the service and returns its record.
func (b *box) start() lifecycle.Record {
	b.t.Helper()
	b.must(0, "svc", "start", "--progress", "quiet")
	return b.record()
}

// held says whether a process holds the lock.
func (b *box) held(path string) bool {
	b.t.Helper()
	held, err := proc.Held(path)
	if err != nil {
		b.t.Fatal(err)
	}
	return held
}

func (b *box) living() bool { b.t.Helper(); return b.held(filepath.Join(b.data(), "serve.lock")) }

// kill ends a process at once, and returns when the lock that it holds is free.
func (b *box) kill(pid int, lock string) {
	b.t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		b.t.Fatal(err)
	}
	b.eventually("free "+lock, func() bool { return !b.held(lock) })
}

// killService kills the service as a crash would.
func (b *box) killService() {
	b.t.Helper()
	b.kill(b.record().PID, filepath.Join(b.data(), "serve.lock"))
}

// killAgent kills a VM's hostagent.
func (b *box) killAgent(vm string) {
	b.t.Helper()
	rec, err := b.vm(vm).ReadRecord()
	if err != nil {
		b.t.Fatal(err)
	}
	b.kill(rec.PID, b.vm(vm).HostagentLock())
}

// killAll kills those of the home directory's processes that run the command.
func (b *box) killAll(command string) {
	for pid, line := range b.processes() {
		if strings.Contains(line, command+" ") {
			_ = syscall.Kill(pid, syscall.SIGKILL) // fails when it has just ended
		}
	}
}

// eventually waits until ok.
func (b *box) eventually(what string, ok func() bool) {
	b.t.Helper()
	testenv.Eventually(b.t, what, ok)
}

// processes are those of this home directory, without rdd itself, by PID. Their programs are in it.
func (b *box) processes() map[int]string {
	found := map[int]string{}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		b.t.Error(err)
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)) // gone meanwhile, or dead: empty
		if bytes.HasPrefix(line, []byte(b.libexec()+"/")) {
			found[pid] = strings.TrimSpace(strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return found
}

// playing counts the processes of this instance that play a command of rdd-lima.
func (b *box) playing(command string) (n int) {
	for _, line := range b.processes() {
		if strings.HasPrefix(line, b.stage.Program()+" "+command+" ") && strings.Contains(line, b.short()+"/") {
			n++
		}
	}
	return n
}

// client talks to the service that runs now.
func (b *box) client() dynamic.Interface {
	b.t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", filepath.Join(b.short(), "kube.config"))
	if err != nil {
		b.t.Fatal(err)
	}
	config.QPS = -1
	config.Dial = (&net.Dialer{}).DialContext // else client-go shares the connection of a run that was killed
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		b.t.Fatal(err)
	}
	return client
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
