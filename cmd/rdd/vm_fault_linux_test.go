package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

func init() {
	bootTests = append(bootTests,
		bootTest{"on a host whose disk is full", bootOnAFullDisk},
		bootTest{"with the service killed at random moments", killServiceAtRandomMoments},
		bootTest{"from a download that is cut in half", cutDownloadInHalf})
}

// bootTimeout is for all that includes a boot under emulation on a busy machine.
const bootTimeout = 10 * time.Minute

// realEnv is a home directory in which the programs that `make build` built run real VMs.
type realEnv struct {
	t    *testing.T
	home string
	dist string
}

func newRealEnv(t *testing.T) *realEnv {
	e := &realEnv{t: t, dist: dist(t)}
	var err error
	if e.home, err = os.MkdirTemp("", "rdd"); err != nil { // short, for sockets
		t.Fatal(err)
	}
	mustKeepProbe(t, e.lima())
	t.Cleanup(func() {
		if out, err := e.run(t.Context(), "svc", "delete"); err != nil && !t.Failed() {
			t.Error(err, out)
		}
		if err := os.RemoveAll(e.home); err != nil && !t.Failed() {
			t.Error(err)
		}
	})
	return e
}

func (e *realEnv) guest() string {
	return filepath.Join(e.dist, "share", "rdd", "guest", "rdd-guest.yaml")
}
func (e *realEnv) lima(name ...string) string {
	return filepath.Join(append([]string{e.home, ".rdd", "default", "lima"}, name...)...)
}

// run runs rdd and returns its output.
func (e *realEnv) run(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(context.WithoutCancel(ctx), filepath.Join(e.dist, "bin", "rdd"), args...)
	cmd.Env = append(os.Environ(), "HOME="+e.home, "DOCKER_CONFIG=", "RDD_LIBEXEC="+filepath.Join(e.dist, "libexec", "rdd"))
	for _, kind := range []string{"CONFIG", "DATA", "STATE", "CACHE"} {
		cmd.Env = append(cmd.Env, "XDG_"+kind+"_HOME=")
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// must runs rdd, fails the test unless it succeeds, and returns its output.
func (e *realEnv) must(args ...string) string {
	e.t.Helper()
	out, err := e.run(e.t.Context(), args...)
	if err != nil {
		e.t.Fatalf("rdd %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// waitForReason waits until a condition of the VM has this reason.
func (e *realEnv) waitForReason(vm, condition, reason string) {
	e.t.Helper()
	e.must("ctl", "wait", "limavm/"+vm, "--timeout", bootTimeout.String(), fmt.Sprintf(`--for=jsonpath={.status.conditions[?(@.type==%q)].reason}=%s`, condition, reason))
}

// message returns the message of a condition of the VM.
func (e *realEnv) message(vm, condition string) string {
	e.t.Helper()
	return e.must("ctl", "get", "limavm", vm, "-o", fmt.Sprintf(`jsonpath={.status.conditions[?(@.type==%q)].message}`, condition))
}

// processes returns the command lines that contain this Lima home, one per line.
func (e *realEnv) processes() string {
	out, _ := exec.Command("pgrep", "-af", e.lima()).Output() // fails when there are none
	return string(out)
}

// mountDisk mounts a disk with room for any VM as the Lima home. leave fills it until only this many MiB are free.
func (e *realEnv) mountDisk() (leave func(mib int)) {
	if os.Geteuid() != 0 {
		e.t.Skip("mounting a disk needs root")
	}
	image := filepath.Join(e.home, "disk.img")
	if err := errors.Join(os.MkdirAll(e.lima(), 0o700), os.WriteFile(image, nil, 0o600), os.Truncate(image, 32<<30)); err != nil {
		e.t.Fatal(err)
	}
	if out, err := exec.Command("mkfs.ext4", "-q", "-m", "0", image).CombinedOutput(); err != nil {
		e.t.Fatal(err, string(out))
	}
	if out, err := exec.Command("mount", "-o", "loop", image, e.lima()).CombinedOutput(); err != nil {
		e.t.Skipf("this machine can't mount a file as a disk: %v %s", err, out)
	}
	e.t.Cleanup(func() {
		if out, err := e.run(context.Background(), "svc", "stop"); err != nil {
			e.t.Error(err, out)
		}
		if err := syscall.Unmount(e.lima(), 0); err != nil {
			e.t.Error(err)
		}
	})
	mustKeepProbe(e.t, e.lima())
	return func(mib int) {
		filler := e.lima("filler")
		if err := os.Remove(filler); err != nil && !errors.Is(err, os.ErrNotExist) {
			e.t.Fatal(err)
		}
		var fs syscall.Statfs_t
		if err := syscall.Statfs(e.lima(), &fs); err != nil {
			e.t.Fatal(err)
		}
		fill := int64(fs.Bavail)*fs.Bsize - int64(mib)<<20
		if out, err := exec.Command("fallocate", "-l", strconv.FormatInt(fill, 10), filler).CombinedOutput(); err != nil {
			e.t.Fatal(err, string(out))
		}
	}
}

func bootOnAFullDisk(t *testing.T) {
	e := newRealEnv(t)
	leave := e.mountDisk()
	leave(400)

	// During creation: nothing is begun that doesn't fit, and creation continues once there is space.
	e.must("vm", "create", "demo", e.guest(), "--start", "--wait=false")
	e.waitForReason("demo", "Created", "CreateFailed")
	if said := e.message("demo", "Created"); !strings.Contains(said, e.lima()+" is full") || !strings.Contains(said, "are needed") || !strings.Contains(said, "free some space") {
		t.Error(said)
	}
	leave(1024)
	e.must("vm", "start", "demo", "--timeout", bootTimeout.String())

	// While the VM runs: the guest is paused, and resumed once there is space.
	leave(1)
	written := make(chan string, 1)
	go func() {
		out, err := e.run(t.Context(), "vm", "shell", "demo", "sh", "-c", "head -c 64M /dev/urandom >big && sync && echo written")
		written <- fmt.Sprint(out, err)
	}()
	e.waitForReason("demo", "Running", "Paused")
	if said := e.message("demo", "Running"); !strings.Contains(said, "is full. Nothing is lost: free some space") {
		t.Error(said)
	}
	leave(1024)
	e.waitForReason("demo", "Running", "Started")
	if said := <-written; !strings.Contains(said, "written") {
		t.Error(said)
	}
	e.must("vm", "delete", "demo")
}

// killService kills the service, whatever it is doing, and starts it again.
func (e *realEnv) killService() {
	e.t.Helper()
	var status struct{ PID int }
	out, _ := e.run(e.t.Context(), "svc", "status", "--output", "json") // the exit code shows the state
	if err := json.NewDecoder(strings.NewReader(out)).Decode(&status); err != nil || status.PID < 2 {
		e.t.Fatalf("no service to kill: %v %s", err, out)
	}
	if err := syscall.Kill(status.PID, syscall.SIGKILL); err != nil {
		e.t.Fatal(err)
	}
	e.must("svc", "start")
}

func killServiceAtRandomMoments(t *testing.T) {
	e := newRealEnv(t)
	survived, choose := 0, seededRandom(t)
	kill := func(latest time.Duration) {
		t.Helper()
		moment := time.Duration(choose.Int64N(int64(latest)))
		time.Sleep(moment) // no synchronization: the test must pass for every moment
		t.Logf("kill %d comes after %s of %s", survived+1, moment, latest)
		e.killService()
		survived++
	}
	e.must("vm", "create", "demo", e.guest(), "--start", "--wait=false")
	kill(4 * time.Second) // while it is prepared or QEMU starts
	kill(15 * time.Second)
	e.must("vm", "start", "demo", "--timeout", bootTimeout.String())
	before, err := os.ReadFile(e.lima("demo", "qemu.pid"))
	if err != nil {
		t.Fatal(err)
	}
	kill(time.Second) // it keeps running
	e.must("vm", "start", "demo")
	if after, err := os.ReadFile(e.lima("demo", "qemu.pid")); err != nil || !bytes.Equal(before, after) {
		t.Errorf("a running guest was booted again: %v", err)
	}
	e.must("vm", "stop", "demo", "--wait=false")
	kill(3 * time.Second)
	e.must("vm", "stop", "demo")
	if left := e.processes(); strings.Contains(left, "qemu") || strings.Contains(left, "hostagent") {
		t.Error("left after the stop:\n", left)
	}
	e.must("vm", "delete", "demo", "--wait=false")
	kill(time.Second)
	e.must("ctl", "wait", "limavm/demo", "--for=delete", "--timeout=2m")
	if left := e.must("ctl", "get", "configmaps", "-n", "rdd-system", "-o", "name"); strings.Contains(left, "limavm-") {
		t.Error("left after the delete:", left)
	}
	e.must("svc", "stop")
	if left := e.processes(); left != "" {
		t.Error("left after the service:\n", left)
	}
	t.Logf("survived %d kills of the service", survived)
}

func cutDownloadInHalf(t *testing.T) {
	e := newRealEnv(t)
	var asked atomic.Int32
	rest := make(chan string, 1) // the range that was requested once the server was back
	image := bytes.Repeat([]byte("picture "), 1<<20)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch asked.Add(1) {
		case 1: // half of the image, and then the server is down for a while
			w.Header().Set("Content-Length", strconv.Itoa(len(image)))
			_, _ = w.Write(image[:len(image)/2])
			panic(http.ErrAbortHandler)
		case 2, 3:
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		case 4:
			rest <- r.Header.Get("Range")
		}
		http.ServeContent(w, r, "image.raw", time.Time{}, bytes.NewReader(image))
	}))
	defer server.Close()
	template := func(digest string) string {
		path := filepath.Join(t.TempDir(), "t.yaml")
		text := fmt.Sprintf("plain: true\nfirmware: {legacyBIOS: true}\ndisk: 32MiB\nuser: {name: rdd, uid: 1000}\nimages: [{location: %s/image.raw, digest: %q}]\n", server.URL, digest)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	out := e.must("vm", "create", "cut", template(fmt.Sprintf("sha256:%x", sha256.Sum256(image))), "--timeout", "2m")
	if half := fmt.Sprintf("bytes=%d-", len(image)/2); <-rest != half || !strings.Contains(out, "is created") {
		t.Errorf("not only the second half was requested:\n%s", out)
	}
	// A wrong digest is a permanent error, which names the field.
	out, err := e.run(t.Context(), "vm", "create", "wrong", template("sha256:"+strings.Repeat("0", 64)), "--timeout", "2m")
	if err == nil || !strings.Contains(out, "images[0].digest") || strings.Contains(out, "deadline") {
		t.Errorf("%v\n%s", err, out)
	}
	// A server that is down is retried until the deadline, and the last error is shown.
	server.Close()
	other := template("sha256:" + strings.Repeat("1", 64))
	out, err = e.run(t.Context(), "vm", "create", "gone", other, "--timeout", "30s")
	if err == nil || !strings.Contains(out, "connection refused") || !strings.Contains(out, "deadline exceeded") {
		t.Errorf("%v\n%s", err, out)
	}
}
