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

// bootLimit bounds whatever has a boot under emulation in it, on a busy machine.
const bootLimit = 10 * time.Minute

// user is somebody with a home of their own who uses rdd as `make build` made it.
type user struct {
	t    *testing.T
	home string
	dist string
}

func newUser(t *testing.T) *user {
	u := &user{t: t, dist: dist(t)}
	var err error
	if u.home, err = os.MkdirTemp("", "rdd"); err != nil { // short, for sockets
		t.Fatal(err)
	}
	mustKeepProbe(t, u.lima())
	t.Cleanup(func() {
		if out, err := u.run(t.Context(), "svc", "delete"); err != nil && !t.Failed() {
			t.Error(err, out)
		}
		if err := os.RemoveAll(u.home); err != nil && !t.Failed() {
			t.Error(err)
		}
	})
	return u
}

func (u *user) guest() string {
	return filepath.Join(u.dist, "share", "rdd", "guest", "rdd-guest.yaml")
}
func (u *user) lima(name ...string) string {
	return filepath.Join(append([]string{u.home, ".rdd", "default", "lima"}, name...)...)
}

// run runs rdd and returns all it says.
func (u *user) run(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(context.WithoutCancel(ctx), filepath.Join(u.dist, "bin", "rdd"), args...)
	cmd.Env = append(os.Environ(), "HOME="+u.home, "RDD_LIBEXEC="+filepath.Join(u.dist, "libexec", "rdd"))
	for _, kind := range []string{"CONFIG", "DATA", "STATE", "CACHE"} {
		cmd.Env = append(cmd.Env, "XDG_"+kind+"_HOME=")
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// rdd is run that must succeed.
func (u *user) rdd(args ...string) string {
	u.t.Helper()
	out, err := u.run(u.t.Context(), args...)
	if err != nil {
		u.t.Fatalf("rdd %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// await waits until the VM's condition of that type has that reason.
func (u *user) await(vm, condition, reason string) {
	u.t.Helper()
	u.rdd("ctl", "wait", "limavm/"+vm, "--timeout", bootLimit.String(), fmt.Sprintf(`--for=jsonpath={.status.conditions[?(@.type==%q)].reason}=%s`, condition, reason))
}

// says is the message of the VM's condition.
func (u *user) says(vm, condition string) string {
	u.t.Helper()
	return u.rdd("ctl", "get", "limavm", vm, "-o", fmt.Sprintf(`jsonpath={.status.conditions[?(@.type==%q)].message}`, condition))
}

// processes are those that name the user's Lima home, one a line.
func (u *user) processes() string {
	out, _ := exec.Command("pgrep", "-af", u.lima()).Output() // it fails when there are none
	return string(out)
}

// ownDisk mounts a disk with room for any VM as the user's Lima home. leave fills it until only so many
// MiB are free.
func (u *user) ownDisk() (leave func(mib int)) {
	if os.Geteuid() != 0 {
		u.t.Skip("mounting a disk needs root")
	}
	image := filepath.Join(u.home, "disk.img")
	if err := errors.Join(os.MkdirAll(u.lima(), 0o700), os.WriteFile(image, nil, 0o600), os.Truncate(image, 32<<30)); err != nil {
		u.t.Fatal(err)
	}
	if out, err := exec.Command("mkfs.ext4", "-q", "-m", "0", image).CombinedOutput(); err != nil {
		u.t.Fatal(err, string(out))
	}
	if out, err := exec.Command("mount", "-o", "loop", image, u.lima()).CombinedOutput(); err != nil {
		u.t.Skipf("this machine lets nobody mount a file as a disk: %v %s", err, out)
	}
	u.t.Cleanup(func() {
		if out, err := u.run(context.Background(), "svc", "stop"); err != nil {
			u.t.Error(err, out)
		}
		if err := syscall.Unmount(u.lima(), 0); err != nil {
			u.t.Error(err)
		}
	})
	mustKeepProbe(u.t, u.lima())
	return func(mib int) {
		filler := u.lima("filler")
		if err := os.Remove(filler); err != nil && !errors.Is(err, os.ErrNotExist) {
			u.t.Fatal(err)
		}
		var fs syscall.Statfs_t
		if err := syscall.Statfs(u.lima(), &fs); err != nil {
			u.t.Fatal(err)
		}
		fill := int64(fs.Bavail)*fs.Bsize - int64(mib)<<20
		if out, err := exec.Command("fallocate", "-l", strconv.FormatInt(fill, 10), filler).CombinedOutput(); err != nil {
			u.t.Fatal(err, string(out))
		}
	}
}

func bootOnAFullDisk(t *testing.T) {
	u := newUser(t)
	leave := u.ownDisk()
	leave(400)

	// While it is made: nothing is begun that doesn't fit, and it is made once there is space.
	u.rdd("vm", "create", "demo", u.guest(), "--start", "--wait=false")
	u.await("demo", "Created", "CreateFailed")
	if said := u.says("demo", "Created"); !strings.Contains(said, u.lima()+" is full") || !strings.Contains(said, "are needed") || !strings.Contains(said, "free some space") {
		t.Error(said)
	}
	leave(1024)
	u.rdd("vm", "start", "demo", "--timeout", bootLimit.String())

	// While it runs: the guest is held, and goes on.
	leave(1)
	written := make(chan string, 1)
	go func() {
		out, err := u.run(t.Context(), "vm", "shell", "demo", "sh", "-c", "head -c 64M /dev/urandom >big && sync && echo written")
		written <- fmt.Sprint(out, err)
	}()
	u.await("demo", "Running", "Paused")
	if said := u.says("demo", "Running"); !strings.Contains(said, "is full. Nothing is lost: free some space") {
		t.Error(said)
	}
	leave(1024)
	u.await("demo", "Running", "Started")
	if said := <-written; !strings.Contains(said, "written") {
		t.Error(said)
	}
	u.rdd("vm", "delete", "demo")
}

// killService kills the service, wherever it is, and starts it again.
func (u *user) killService() {
	u.t.Helper()
	var status struct{ PID int }
	out, _ := u.run(u.t.Context(), "svc", "status", "--output", "json") // its exit code is the state
	if err := json.NewDecoder(strings.NewReader(out)).Decode(&status); err != nil || status.PID < 2 {
		u.t.Fatalf("no service to kill: %v %s", err, out)
	}
	if err := syscall.Kill(status.PID, syscall.SIGKILL); err != nil {
		u.t.Fatal(err)
	}
	u.rdd("svc", "start")
}

func killServiceAtRandomMoments(t *testing.T) {
	u := newUser(t)
	survived, choose := 0, drawn(t)
	kill := func(latest time.Duration) {
		t.Helper()
		moment := time.Duration(choose.Int64N(int64(latest)))
		time.Sleep(moment) // which synchronises nothing: whatever the moment, all must be well
		t.Logf("kill %d comes after %s of %s", survived+1, moment, latest)
		u.killService()
		survived++
	}
	u.rdd("vm", "create", "demo", u.guest(), "--start", "--wait=false")
	kill(4 * time.Second) // it is prepared, or QEMU starts
	kill(15 * time.Second)
	u.rdd("vm", "start", "demo", "--timeout", bootLimit.String())
	before, err := os.ReadFile(u.lima("demo", "qemu.pid"))
	if err != nil {
		t.Fatal(err)
	}
	kill(time.Second) // it runs, and goes on
	u.rdd("vm", "start", "demo")
	if after, err := os.ReadFile(u.lima("demo", "qemu.pid")); err != nil || !bytes.Equal(before, after) {
		t.Errorf("a guest that ran was booted again: %v", err)
	}
	u.rdd("vm", "stop", "demo", "--wait=false")
	kill(3 * time.Second)
	u.rdd("vm", "stop", "demo")
	if left := u.processes(); strings.Contains(left, "qemu") || strings.Contains(left, "hostagent") {
		t.Error("left after the stop:\n", left)
	}
	u.rdd("vm", "delete", "demo", "--wait=false")
	kill(time.Second)
	u.rdd("ctl", "wait", "limavm/demo", "--for=delete", "--timeout=2m")
	if left := u.rdd("ctl", "get", "configmaps", "-n", "rdd-system", "-o", "name"); strings.Contains(left, "limavm-") {
		t.Error("left after the delete:", left)
	}
	u.rdd("svc", "stop")
	if left := u.processes(); left != "" {
		t.Error("left after the service:\n", left)
	}
	t.Logf("survived %d kills of the service", survived)
}

func cutDownloadInHalf(t *testing.T) {
	u := newUser(t)
	var asked atomic.Int32
	rest := make(chan string, 1) // what was asked for once the server was back
	image := bytes.Repeat([]byte("picture "), 1<<20)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch asked.Add(1) {
		case 1: // half of it, and then the server is gone for a while
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
	out := u.rdd("vm", "create", "cut", template(fmt.Sprintf("sha256:%x", sha256.Sum256(image))), "--timeout", "2m")
	if half := fmt.Sprintf("bytes=%d-", len(image)/2); <-rest != half || !strings.Contains(out, "is created") {
		t.Errorf("not the second half was asked for:\n%s", out)
	}
	// Another digest than the server's file has is for good, and says which field is wrong.
	out, err := u.run(t.Context(), "vm", "create", "wrong", template("sha256:"+strings.Repeat("0", 64)), "--timeout", "2m")
	if err == nil || !strings.Contains(out, "images[0].digest") || strings.Contains(out, "deadline") {
		t.Errorf("%v\n%s", err, out)
	}
	// A server that is gone is asked until the deadline, and its last error is shown.
	server.Close()
	other := template("sha256:" + strings.Repeat("1", 64))
	out, err = u.run(t.Context(), "vm", "create", "gone", other, "--timeout", "5s")
	if err == nil || !strings.Contains(out, "connection refused") || !strings.Contains(out, "deadline exceeded") {
		t.Errorf("%v\n%s", err, out)
	}
}
