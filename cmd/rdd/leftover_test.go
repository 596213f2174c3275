//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/fsnotify/fsnotify"

	"rancherdesktop.io/rdd/internal/atomicfile"
	"rancherdesktop.io/rdd/internal/lifecycle"
	"rancherdesktop.io/rdd/internal/proc"
)

// The record, the port, the PID and the ConfigMap that a crashed run leaves are not taken for a running service, even
// if another process uses the port or the PID by then.
func TestLeftoversOfACrashAreNotTakenForAService(t *testing.T) {
	t.Parallel()
	e := newTestEnv(t)
	var old lifecycle.Record
	e.eventually("the port of the dead run is this test's", func() bool { // another test may get the port first
		old = e.start()
		e.killService()
		return listenOn(t, old.Server)
	})
	sleeper := e.otherProcess()
	e.rewriteRecord(func(rec *lifecycle.Record) { rec.PID = sleeper.Process.Pid })

	e.must(6, "svc", "status")
	e.must(1, "vm", "list")
	if r := e.must(0, "svc", "stop"); !strings.Contains(r.err, "was not running") {
		t.Error(r.err)
	}
	mustLive(t, sleeper)
	e.rewriteRecord(func(rec *lifecycle.Record) { rec.Phase = lifecycle.Ready })
	now := e.start()
	if now.Nonce == old.Nonce || now.Server == old.Server || now.Phase != lifecycle.Ready {
		t.Fatalf("started %+v after %+v", now, old)
	}
	r := e.must(0, "ctl", "get", "configmap", "rdd-controller-manager", "--namespace", "rdd-system", "-o", "jsonpath={.data.nonce}")
	if r.out != now.Nonce {
		t.Errorf("the ConfigMap says %q, the record %q", r.out, now.Nonce)
	}
	mustLive(t, sleeper)
}

// A process holds the lock and has not written its record yet, so there is still the record of a dead run. No command
// may trust that record, or remove files without the lock.
func TestRecordOfADeadRunUnderAHeldLock(t *testing.T) {
	t.Parallel()
	e := newTestEnv(t)
	e.start()
	e.must(0, "ctl", "create", "configmap", "keep", "--from-literal=a=b")
	e.killService()
	sleeper := e.otherProcess()
	e.rewriteRecord(func(rec *lifecycle.Record) { rec.PID = sleeper.Process.Pid })
	lock, err := proc.Acquire(filepath.Join(e.dataDir(), "serve.lock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lock.Release() }) // if the test failed before it released the lock
	before := e.instanceFiles()
	const short = "500ms"
	e.must(7, "svc", "status")
	e.must(4, "svc", "start", "--timeout", short)
	e.must(4, "svc", "stop", "--timeout", short)
	e.must(4, "svc", "delete", "--timeout", short)
	e.must(1, "vm", "list")
	if err := os.WriteFile(filepath.Join(e.dataDir(), "serve.json"), []byte("{"), 0o600); err != nil { // half a record
		t.Fatal(err)
	}
	e.must(4, "svc", "delete", "--timeout", short)
	if after := e.instanceFiles(); strings.Join(before, "\n") != strings.Join(after, "\n") {
		t.Errorf("files were removed without the lock: now %s\nbefore %s", after, before)
	}
	mustLive(t, sleeper)
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
	e.start()
	e.must(0, "ctl", "get", "configmap", "keep")
}

func TestDeleteThatTimesOutLeavesAnInstanceThatWorks(t *testing.T) {
	t.Parallel()
	e := newTestEnv(t)
	e.start()
	e.must(0, "vm", "create", "demo", e.template, "--start")
	e.must(0, "ctl", "create", "configmap", "keep", "--from-literal=a=b")
	e.setFake("stop", "slow")
	before := e.instanceFiles()
	e.must(4, "svc", "delete", "--timeout", "1ms")
	if after := e.instanceFiles(); strings.Join(before, "\n") != strings.Join(after, "\n") {
		t.Errorf("files were removed: now %s\nbefore %s", after, before)
	}
	e.setFake("stopped", "")
	e.start()
	e.must(0, "ctl", "get", "configmap", "keep")
	e.must(0, "vm", "start", "demo")
	e.must(0, "svc", "delete")
	e.must(9, "svc", "status")
	for _, dir := range []string{e.dataDir(), e.shortDir(), filepath.Dir(e.serviceLog())} {
		if _, err := os.Lstat(dir); !os.IsNotExist(err) {
			t.Error(dir, "is still there", err)
		}
	}
}

// After a crash and an emptied data directory, a deletion said that there is no instance. Its VM ran on.
func TestDeleteFindsTheVMsOfAnInstanceWithoutData(t *testing.T) {
	t.Parallel()
	e := newTestEnv(t)
	e.start()
	e.must(0, "vm", "create", "demo", e.template, "--start")
	e.killService()
	if err := errors.Join(os.RemoveAll(e.dataDir()), os.Mkdir(e.dataDir(), 0o700)); err != nil {
		t.Fatal(err)
	}
	e.must(6, "svc", "status")
	e.must(0, "svc", "delete")
	e.must(9, "svc", "status")
	if _, err := os.Lstat(e.shortDir()); !os.IsNotExist(err) {
		t.Error(e.shortDir(), "is still there", err)
	}
}

// instanceFiles returns the instance's files, except those that a running service creates and removes all the time.
func (e *testEnv) instanceFiles() (paths []string) {
	e.t.Helper()
	for _, pattern := range []string{"*.json", "*.lock", "store/state.db", "controlplane/*"} {
		found, err := filepath.Glob(filepath.Join(e.dataDir(), pattern))
		if err != nil {
			e.t.Fatal(err)
		}
		paths = append(paths, found...)
	}
	found, err := filepath.Glob(filepath.Join(e.shortDir(), "lima", "*", "disk"))
	if err != nil || len(paths) == 0 {
		e.t.Fatal("there are no files", err)
	}
	return append(paths, found...)
}

// otherProcess starts a process that does not belong to RDD.
func (e *testEnv) otherProcess() *exec.Cmd {
	e.t.Helper()
	cmd := exec.Command("sleep", "600")
	if err := cmd.Start(); err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

func mustLive(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	var status syscall.WaitStatus
	if pid, err := syscall.Wait4(cmd.Process.Pid, &status, syscall.WNOHANG, nil); pid != 0 || err != nil {
		t.Fatal("another program's process was ended:", status, err)
	}
}

// rewriteRecord changes the record of a dead run.
func (e *testEnv) rewriteRecord(change func(*lifecycle.Record)) {
	e.t.Helper()
	rec := e.record()
	change(&rec)
	text, err := json.Marshal(rec)
	if err == nil {
		err = atomicfile.Write(filepath.Join(e.dataDir(), "serve.json"), text)
	}
	if err != nil {
		e.t.Fatal(err)
	}
}

// Each kill of a service that was writing its record left a temporary file.
func TestTheNextStartLeavesNoTemporaryFileOfAKilledService(t *testing.T) {
	t.Parallel()
	e := newTestEnv(t)
	for _, nth := range []int{2, 5, 8} {
		e.start()
		e.killService()
		e.startAndKillAtWrite(nth)
		e.start()
		e.eventually("no temporary file", func() bool {
			for _, dir := range []string{e.dataDir(), e.shortDir()} {
				if left, err := filepath.Glob(filepath.Join(dir, ".*.[0-9]*")); err != nil || len(left) > 0 {
					return false
				}
			}
			return true
		})
	}
}

// startAndKillAtWrite starts the service and kills it as soon as its data directory has got the nth temporary file.
func (e *testEnv) startAndKillAtWrite(nth int) {
	e.t.Helper()
	watcher, err := fsnotify.NewWatcher()
	if err == nil {
		defer watcher.Close()
		err = watcher.Add(e.dataDir())
	}
	if err != nil {
		e.t.Fatal(err)
	}
	ended := make(chan result, 1)
	go func() { ended <- e.run("svc", "start") }()
	for {
		select {
		case event := <-watcher.Events:
			if event.Has(fsnotify.Create) && strings.HasPrefix(filepath.Base(event.Name), ".") {
				nth--
			}
			if nth <= 0 {
				e.killProcesses("rddd serve")
			}
		case <-ended:
			e.killProcesses("rddd serve") // if it was too late
			e.eventually("the end of the service", func() bool { return !e.serviceRuns() })
			return
		}
	}
}

// listenOn listens at the address of a dead server. Its answers are plain HTTP. It returns false when another process listens
// there.
func listenOn(t *testing.T, server string) bool {
	t.Helper()
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", u.Host)
	if errors.Is(err, syscall.EADDRINUSE) {
		return false
	}
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
	return true
}
