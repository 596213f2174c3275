//go:build linux

package main

import (
	"encoding/json"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"rancherdesktop.io/rdd/internal/atomicfile"
	"rancherdesktop.io/rdd/internal/lifecycle"
	"rancherdesktop.io/rdd/internal/proc"
)

// What a crash leaves, read again within the same second, says nothing about the next run: neither
// the record, nor the port, which may be somebody else's by then, nor the PID, nor the ConfigMap.
func TestLeftoversOfACrashAreNotTakenForAService(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	old := b.start()
	b.killService()
	sleeper := b.bystander()
	b.rewrite(func(rec *lifecycle.Record) { rec.PID = sleeper.Process.Pid })
	takePort(t, old.Server)

	b.must(6, "svc", "status")
	b.must(1, "vm", "list")
	if r := b.must(0, "svc", "stop"); !strings.Contains(r.err, "was not running") {
		t.Error(r.err)
	}
	mustLive(t, sleeper)
	b.rewrite(func(rec *lifecycle.Record) { rec.Phase = lifecycle.Ready })
	now := b.start()
	if now.Nonce == old.Nonce || now.Server == old.Server || now.Phase != lifecycle.Ready {
		t.Fatalf("started %+v after %+v", now, old)
	}
	r := b.must(0, "ctl", "get", "configmap", "rdd-controller-manager", "--namespace", "rdd-system", "-o", "jsonpath={.data.nonce}")
	if r.out != now.Nonce {
		t.Errorf("the ConfigMap says %q, the record %q", r.out, now.Nonce)
	}
	mustLive(t, sleeper)
}

// A process that has taken the lock and not yet said who it is finds the record of a dead run there.
// Nobody may believe that record meanwhile, nor remove files without the lock.
func TestRecordOfADeadRunUnderAHeldLock(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.start()
	b.must(0, "ctl", "create", "configmap", "keep", "--from-literal=a=b")
	b.killService()
	sleeper := b.bystander()
	b.rewrite(func(rec *lifecycle.Record) { rec.PID = sleeper.Process.Pid })
	lock, err := proc.Acquire(filepath.Join(b.data(), "serve.lock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lock.Release() }) // if it is still held
	before := b.files()
	const short = "500ms"
	b.must(7, "svc", "status")
	b.must(4, "svc", "start", "--timeout", short)
	b.must(4, "svc", "stop", "--timeout", short)
	b.must(4, "svc", "delete", "--timeout", short)
	b.must(1, "vm", "list")
	if err := os.WriteFile(filepath.Join(b.data(), "serve.json"), []byte("{"), 0o600); err != nil { // half of one
		t.Fatal(err)
	}
	b.must(4, "svc", "delete", "--timeout", short)
	if after := b.files(); strings.Join(before, "\n") != strings.Join(after, "\n") {
		t.Errorf("files went without the lock: %s\nare left of %s", after, before)
	}
	mustLive(t, sleeper)
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
	b.start()
	b.must(0, "ctl", "get", "configmap", "keep")
}

func TestDeleteThatTimesOutLeavesAnInstanceThatWorks(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.start()
	b.must(0, "vm", "create", "demo", b.template, "--start")
	b.must(0, "ctl", "create", "configmap", "keep", "--from-literal=a=b")
	b.set("stop", "slow")
	before := b.files()
	b.must(4, "svc", "delete", "--timeout", "1ms")
	if after := b.files(); strings.Join(before, "\n") != strings.Join(after, "\n") {
		t.Errorf("files are gone: %s\nare left of %s", after, before)
	}
	b.set("stopped", "")
	b.start()
	b.must(0, "ctl", "get", "configmap", "keep")
	b.must(0, "vm", "start", "demo")
	b.must(0, "svc", "delete")
	b.must(9, "svc", "status")
	for _, dir := range []string{b.data(), b.short(), filepath.Dir(b.log())} {
		if _, err := os.Lstat(dir); !os.IsNotExist(err) {
			t.Error(dir, "is still there", err)
		}
	}
}

// files are those of the instance that a living service doesn't make and remove all the time.
func (b *box) files() (paths []string) {
	b.t.Helper()
	for _, pattern := range []string{"*.json", "*.lock", "store/state.db", "controlplane/*"} {
		found, err := filepath.Glob(filepath.Join(b.data(), pattern))
		if err != nil {
			b.t.Fatal(err)
		}
		paths = append(paths, found...)
	}
	found, err := filepath.Glob(filepath.Join(b.short(), "lima", "*", "disk"))
	if err != nil || len(paths) == 0 {
		b.t.Fatal("there are no files", err)
	}
	return append(paths, found...)
}

// bystander is a process that has nothing to do with us.
func (b *box) bystander() *exec.Cmd {
	b.t.Helper()
	cmd := exec.Command("sleep", "600")
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

func mustLive(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	var status syscall.WaitStatus
	if pid, err := syscall.Wait4(cmd.Process.Pid, &status, syscall.WNOHANG, nil); pid != 0 || err != nil {
		t.Fatal("somebody else's process was ended:", status, err)
	}
}

// rewrite changes the record that a dead run has left.
func (b *box) rewrite(change func(*lifecycle.Record)) {
	b.t.Helper()
	rec := b.record()
	change(&rec)
	text, err := json.Marshal(rec)
	if err == nil {
		err = atomicfile.Write(filepath.Join(b.data(), "serve.json"), text)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

// takePort listens where a dead server did, and answers nothing that makes sense.
func takePort(t *testing.T, server string) {
	t.Helper()
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for c, err := l.Accept(); err == nil; c, err = l.Accept() {
			_, _ = c.Write([]byte("HTTP/1.1 200 OK\r\n\r\n"))
			_ = c.Close()
		}
	}()
}
