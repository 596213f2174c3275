//go:build unix

package lifecycle

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"rancherdesktop.io/rdd/internal/atomicfile"
	"rancherdesktop.io/rdd/internal/datastore/storefile"
	"rancherdesktop.io/rdd/internal/instance"
	"rancherdesktop.io/rdd/internal/proc"
	"rancherdesktop.io/rdd/internal/testenv"
)

// TestMain makes the test binary act as the service, so that the tests use real processes.
func TestMain(m *testing.M) {
	if mode := os.Getenv("RDD_TEST_MODE"); mode != "" {
		os.Exit(fakeService(mode))
	}
	os.Exit(m.Run())
}

func testInstance(root string) instance.Instance { return instance.At(root, "t", root) }

func fakeService(mode string) int {
	inst := testInstance(os.Getenv("RDD_TEST_ROOT"))
	go endWithTest(os.Getenv("RDD_TEST_ROOT"))
	switch mode {
	case "reset":
		return exitCode(Reset(inst))
	case "remove":
		return exitCode(Remove(inst))
	}
	flags := flag.NewFlagSet("service", flag.ExitOnError)
	nonce, ids := flags.String(FlagNonce, "", ""), flags.String(FlagClaim, "", "")
	_ = flags.Parse(os.Args[1:]) // ExitOnError
	if mode == "late" {          // a process that does nothing until the test allows it
		awaitFile(filepath.Join(inst.DataDir(), "go"))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	claim, err := Inherited(inst, *nonce, *ids)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	err = fakeRun(ctx, inst, claim, mode)
	if err != nil {
		fmt.Println(err)
	}
	if mode == "slowend" { // it reads its stop request late
		awaitFile(filepath.Join(inst.DataDir(), "follow"))
	}
	if err = errors.Join(err, claim.Follow(inst)); err != nil {
		return 1
	}
	return 0
}

// holdTest locks a file until the returned file is closed or the test has been killed.
func holdTest(root string) (*os.File, error) {
	f, err := os.Create(filepath.Join(root, "test.lock"))
	if err != nil {
		return nil, err
	}
	return f, syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
}

// endWithTest ends this process once nothing holds that lock. A service that another one has started has no other tie to the
// test.
func endWithTest(root string) {
	f, err := os.Open(filepath.Join(root, "test.lock"))
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	for err = syscall.EINTR; errors.Is(err, syscall.EINTR); {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_SH)
	}
	os.Exit(1)
}

func exitCode(err error) int {
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

func fakeRun(ctx context.Context, inst instance.Instance, claim *Claim, mode string) error {
	return Run(ctx, inst, claim, "test", slog.New(slog.DiscardHandler), func(ctx context.Context, publish func(Record)) error {
		switch mode {
		case "crash":
			os.Exit(7)
		case "cut": // it is interrupted in the middle of a step of its start
			publish(Record{Phase: Starting, Step: "opening the datastore"})
			<-ctx.Done()
			return fmt.Errorf("datastore: %w", context.Cause(ctx))
		case "fail":
			return errors.New("unknown flag: --nope")
		case "unrecorded": // from now on it can write to no file
			signal.Ignore(syscall.SIGXFSZ)
			if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{}); err != nil {
				return err
			}
		}
		publish(Record{Phase: Starting, Step: "API server"})
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer l.Close()
		go func() {
			for c, err := l.Accept(); err == nil; c, err = l.Accept() {
				_, _ = io.WriteString(c, claim.Nonce)
				_ = c.Close()
			}
		}()
		publish(Record{Phase: Ready, Server: l.Addr().String()})
		<-ctx.Done()
		if mode == "slow" { // it reports late that it stops
			awaitFile(filepath.Join(inst.DataDir(), "go"))
		}
		publish(Record{Phase: Stopping, Step: "last words"})
		if mode == "slowstop" || mode == "slowend" { // it stops when the test allows it
			awaitFile(filepath.Join(inst.DataDir(), "go"))
		}
		return nil
	})
}

func awaitFile(path string) {
	for _, err := os.Stat(path); err != nil; _, err = os.Stat(path) {
		time.Sleep(5 * time.Millisecond)
	}
}

// testEnv is an instance in a directory of its own, and the fake services that run for it.
type testEnv struct {
	t    *testing.T
	inst instance.Instance
	root string

	mu      sync.Mutex
	spawned int
	steps   []string
	output  bytes.Buffer // of the spawned process
}

func newTestEnv(t *testing.T) *testEnv {
	t.Helper()
	root, err := os.MkdirTemp("", "rdd") // shorter than the test's own, for sockets
	if err != nil {
		t.Fatal(err)
	}
	held, err := holdTest(root)
	if err != nil {
		t.Fatal(err)
	}
	env := &testEnv{t: t, root: root, inst: testInstance(root)}
	if err := env.inst.Create(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if rec, live, _ := Find(env.inst); live && rec.PID != 0 { // a run that another run has started
			env.kill(rec.PID)
		}
		if err := errors.Join(held.Close(), os.RemoveAll(root)); err != nil {
			t.Error(err)
		}
	})
	return env
}

func (env *testEnv) ensure(mode string, timeout time.Duration) (spawned bool, err error) {
	ctx, cancel := context.WithTimeout(env.t.Context(), timeout)
	defer cancel()
	return Ensure(ctx, env.inst, env.client(mode))
}

func (env *testEnv) client(mode string) Client {
	return Client{Spawn: env.spawner(mode), Next: env.next(mode), Hello: hello, LastWords: env.output.String, Step: func(s string) {
		env.mu.Lock()
		defer env.mu.Unlock()
		env.steps = append(env.steps, s)
	}}
}

// next returns the command of a run that another run starts. It ends with the test.
func (env *testEnv) next(mode string) func() (Next, error) {
	return func() (Next, error) {
		return Next{Program: os.Args[0], Dir: env.root, Env: append(os.Environ(), "RDD_TEST_MODE="+mode, "RDD_TEST_ROOT="+env.root)}, nil
	}
}

// awaitNext waits until the run with that nonce was asked to start another one afterwards.
func (env *testEnv) awaitNext(nonce string) {
	asked := testenv.Within(func() bool {
		r, _ := readRequest(env.inst, nonce)
		return r.Next != nil
	})
	if !asked {
		env.t.Error("the run was not asked to start another one")
	}
}

func (env *testEnv) spawner(mode string) Spawn {
	return func(claim *Claim) (<-chan error, error) {
		env.mu.Lock()
		env.spawned++
		env.mu.Unlock()
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "RDD_TEST_MODE="+mode, "RDD_TEST_ROOT="+env.root)
		if mode == "unrecorded" { // in other modes several may run at once
			cmd.Stdout = &env.output
		}
		if err := claim.Pass(cmd); err != nil {
			return nil, err
		}
		if err := cmd.Start(); err != nil {
			return nil, err
		}
		exited, ended := make(chan error, 1), make(chan struct{})
		go func() {
			defer close(ended)
			exited <- cmd.Wait()
		}()
		env.t.Cleanup(func() { _ = cmd.Process.Kill(); <-ended })
		return exited, nil
	}
}

// hello reads the nonce that the listening process sends.
func hello(ctx context.Context, rec Record) error {
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", rec.Server)
	if err != nil {
		return err
	}
	defer c.Close()
	b, err := io.ReadAll(c)
	if err == nil && string(b) != rec.Nonce {
		err = fmt.Errorf("%s answers for run %q", rec.Server, b)
	}
	return err
}

const timeout = 30 * time.Second

func (env *testEnv) mustEnsure(mode string, wantSpawned bool) Record {
	env.t.Helper()
	spawned, err := env.ensure(mode, timeout)
	if err != nil || spawned != wantSpawned {
		env.t.Fatalf("spawned %t, %v; want %t", spawned, err, wantSpawned)
	}
	rec, live, err := Find(env.inst)
	if err != nil || !live || rec.Phase != Ready {
		env.t.Fatal(rec, live, err)
	}
	return rec
}

func TestEnsureStartsOnce(t *testing.T) {
	env := newTestEnv(t)
	first := env.mustEnsure("ok", true)
	if second := env.mustEnsure("ok", false); second.Nonce != first.Nonce || env.spawned != 1 {
		t.Fatal("the second call must find the first run", second, env.spawned)
	}
}

func TestStartupFailureIsReportedAtOnce(t *testing.T) {
	_, err := newTestEnv(t).ensure("fail", 10*time.Minute)
	if !errors.Is(err, ErrExited) || !strings.Contains(err.Error(), "--nope") {
		t.Fatal(err)
	}
}

func TestCrashNamesTheLog(t *testing.T) {
	env := newTestEnv(t)
	_, err := env.ensure("crash", 10*time.Minute)
	if !errors.Is(err, ErrExited) || !strings.Contains(err.Error(), env.inst.ServiceLog()) {
		t.Fatal(err)
	}
}

// On a full disk a run can't write its record: no client would ever see that it is ready.
func TestRunThatCanNotWriteItsRecordEndsAtOnceAndSaysWhy(t *testing.T) {
	env := newTestEnv(t)
	_, err := env.ensure("unrecorded", 10*time.Minute)
	if !errors.Is(err, ErrExited) || !strings.Contains(err.Error(), "write the service's record "+env.inst.RecordFile()) || !strings.Contains(err.Error(), "file too large") {
		t.Fatal(err)
	}
	if _, live, err := Find(env.inst); live || err != nil {
		t.Fatal("it lives on", err)
	}
}

func TestWarningStaysToTheEndOfTheRun(t *testing.T) {
	inst := newTestEnv(t).inst
	claim, err := Take(inst, "n")
	if err != nil {
		t.Fatal(err)
	}
	err = Run(t.Context(), inst, claim, "test", slog.New(slog.DiscardHandler), func(_ context.Context, publish func(Record)) error {
		publish(Record{Phase: Stopping, Warning: "no backup"})
		publish(Record{Phase: Stopping, Step: "last words"})
		return nil
	})
	if rec, _ := Last(inst); err != nil || rec.Phase != Stopped || rec.Warning != "no backup" {
		t.Fatal(rec, err)
	}
}

func TestResetKeepsSettingsBackupsAndTheLog(t *testing.T) {
	env := newTestEnv(t)
	if _, err := Configure(env.inst, ConfigChange{Controllers: &[]string{"limavm"}}); err != nil {
		t.Fatal(err)
	}
	files := map[string]bool{ // whether it stays
		filepath.Join(env.inst.StoreDir(), "state.db"):                             false,
		filepath.Join(storefile.Restoring(env.inst.StoreDir()), "new", "state.db"): false,
		filepath.Join(env.inst.LimaHome(), "a", "diffdisk"):                        false,
		filepath.Join(env.inst.VMLogDir(), "a", "log"):                             false,
		env.inst.RecordFile():                              false,
		filepath.Join(env.inst.BackupDir(), "b.db"):        true,
		filepath.Join(env.inst.ControlPlaneDir(), "token"): true,
		env.inst.ServiceLog():                              true,
		env.inst.ConfigFile():                              true,
	}
	for path := range files {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte("{}"), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	lock, err := proc.Acquire(env.inst.LockFile())
	if err != nil {
		t.Fatal(err)
	}
	if err := Reset(env.inst); !errors.Is(err, ErrNotStopped) {
		t.Fatal("it was reset under a service", err)
	}
	for path := range files {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
	if err := errors.Join(lock.Release(), Reset(env.inst)); err != nil {
		t.Fatal(err)
	}
	for path, stays := range files {
		if _, err := os.Stat(path); (err == nil) != stays {
			t.Errorf("%s: %v, stays: %t", path, err, stays)
		}
	}
}

// A reset or a deletion that was killed left a VM without some of its files, which could be neither started, reset nor deleted,
// or a mark that made the next start take the missing store or configuration for a loss.
func TestStartAfterAKilledResetOrDeletionFindsNoPartOfAnything(t *testing.T) {
	vm := func(inst instance.Instance) string { return filepath.Join(inst.LimaHome(), "a") }
	yaml := func(inst instance.Instance) string { return filepath.Join(vm(inst), "lima.yaml") }
	store := func(inst instance.Instance) string { return storefile.Database(inst.StoreDir()) }
	for _, tc := range []struct {
		name, mode string
		first      func(instance.Instance) string // the process is killed once this file is gone
		large      func(instance.Instance) string // the removal of this directory takes long
		external   bool
	}{
		{"reset of a VM", "reset", yaml, vm, false},
		{"deletion of a VM", "remove", yaml, vm, false},
		{"deletion of a store", "remove", store, instance.Instance.StoreDir, false},
		{"deletion of the configuration", "remove", instance.Instance.ConfigFile, instance.Instance.ControlPlaneDir, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			env := newTestEnv(t)
			inst := env.inst
			mustWrite(t, yaml(inst), "")
			mustWrite(t, store(inst), "SQLite format 3\x00")
			mustWrite(t, inst.ConfigFile(), "{}")
			if err := errors.Join(storefile.NoteUse(inst.StoreDir()), storefile.NoteExternal(inst.StoreDir(), tc.external)); err != nil {
				t.Fatal(err)
			}
			for n := range 2000 {
				mustWrite(t, filepath.Join(tc.large(inst), strconv.Itoa(n)), "")
			}
			whole, err := os.ReadDir(vm(inst))
			if err != nil {
				t.Fatal(err)
			}
			env.killOnceGone(tc.mode, tc.first(inst))

			if err := inst.Create(); err != nil {
				t.Fatal(err)
			}
			claim, err := Take(inst, "n")
			if err != nil {
				t.Fatal(err)
			}
			err = Run(t.Context(), inst, claim, "test", slog.New(slog.DiscardHandler), func(context.Context, func(Record)) error {
				if _, err := LoadConfig(inst); err != nil {
					t.Error(err)
				}
				if err := storefile.Check(inst.StoreDir()); err != nil && !errors.Is(err, os.ErrNotExist) {
					t.Error(err)
				}
				if left, err := os.ReadDir(vm(inst)); !errors.Is(err, os.ErrNotExist) && len(left) != len(whole) {
					t.Errorf("%d of the VM's %d files are left, %v", len(left), len(whole), err)
				}
				for _, dir := range discardable(inst) {
					if exists(discarded(dir)) {
						t.Errorf("%s is left", discarded(dir))
					}
				}
				return nil
			})
			if err := errors.Join(err, claim.Release()); err != nil {
				t.Error(err)
			}
		})
	}
}

// The removal of what a killed reset had left held up a stop, and nothing said what the start was doing.
func TestStartTellsThatItCompletesAKilledReset(t *testing.T) {
	for _, tc := range []struct {
		name       string
		left, stop bool
		step       string
	}{
		{"nothing is left", false, false, "taking over the instance"},
		{"something is left", true, false, "removing what an interrupted reset left"},
		{"it was asked to stop", true, true, "taking over the instance"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inst := newTestEnv(t).inst
			left := discarded(inst.LimaHome())
			if tc.left {
				mustWrite(t, filepath.Join(left, "a", "diffdisk"), "")
			}
			claim, err := Take(inst, "n")
			if err != nil {
				t.Fatal(err)
			}
			if tc.stop {
				if err := atomicfile.WriteJSON(inst.AskFile(), stopRequest{Nonce: "n"}); err != nil {
					t.Fatal(err)
				}
			}
			err = Run(t.Context(), inst, claim, "test", slog.New(slog.DiscardHandler), func(ctx context.Context, _ func(Record)) error {
				if rec, err := Last(inst); err != nil || rec.Step != tc.step || exists(left) != tc.stop {
					t.Errorf("the step is %q, %v; left: %t", rec.Step, err, exists(left))
				}
				return ctx.Err()
			})
			if err := errors.Join(err, claim.Release()); err != nil {
				t.Error(err)
			}
		})
	}
}

func mustWrite(t *testing.T, path, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
}

// killOnceGone runs a process in that mode and kills it once the path is gone.
func (env *testEnv) killOnceGone(mode, gone string) {
	env.t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "RDD_TEST_MODE="+mode, "RDD_TEST_ROOT="+env.root)
	if err := cmd.Start(); err != nil {
		env.t.Fatal(err)
	}
	for late := time.Now().Add(testenv.Timeout); exists(gone); {
		if time.Now().After(late) {
			env.t.Error("nothing was removed: ", gone)
			break
		}
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

// After a stop that did not wait, the service is still stopping. A start must wait for its end and then start a new run, not wait
// until the old one is ready.
func TestStartWhileStopping(t *testing.T) {
	env := newTestEnv(t)
	first := env.mustEnsure("slowstop", true)
	if _, was, err := Request(t.Context(), env.inst, false); !was || err != nil {
		t.Fatal(was, err)
	}
	started := make(chan error, 1)
	waiting := make(chan struct{})
	go func() {
		_, err := Ensure(t.Context(), env.inst, Client{Spawn: env.spawner("ok"), Next: env.next("ok"), Hello: hello, Step: func(s string) {
			if strings.Contains(s, "previous run") {
				close(waiting)
			}
		}})
		started <- err
	}()
	select {
	case <-waiting:
	case err := <-started:
		t.Fatal("it took the stopping run for its own", err)
	}
	env.awaitNext(first.Nonce)
	if err := os.WriteFile(filepath.Join(env.inst.DataDir(), "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	now, live, err := Find(env.inst)
	if err != nil || !live || now.Nonce == first.Nonce || env.spawned != 1 {
		t.Fatal(now, live, err, env.spawned)
	}
}

// A start that asked a run in its last moments said that the service ran already.
func TestStartThatAsksARunAtItsEndHasStartedTheNext(t *testing.T) {
	env := newTestEnv(t)
	first := env.mustEnsure("slowend", true)
	if _, was, err := Request(t.Context(), env.inst, false); !was || err != nil {
		t.Fatal(was, err)
	}
	let := func(file string) {
		if err := os.WriteFile(filepath.Join(env.inst.DataDir(), file), nil, 0o600); err != nil {
			t.Error(err)
		}
	}
	client := env.client("ok")
	client.Next = func() (Next, error) {
		let("go")
		for rec, live, _ := Find(env.inst); live && rec.Nonce == first.Nonce; rec, live, _ = Find(env.inst) {
			time.Sleep(time.Millisecond)
		}
		return env.next("ok")()
	}
	asking := make(chan struct{})
	go func() {
		defer close(asking)
		env.awaitNext(first.Nonce)
		let("follow")
	}()
	started, err := Ensure(t.Context(), env.inst, client)
	<-asking
	if err != nil || !started {
		t.Errorf("started %t, %v", started, err)
	}
}

func TestStopSaysStoppedOnlyAfterTheProcessIsGone(t *testing.T) {
	env := newTestEnv(t)
	env.mustEnsure("slowstop", true)
	// The deadline passes once the run has told a step of its stop, however busy the machine is.
	ctx, expire := context.WithCancelCause(t.Context())
	defer expire(nil)
	deadline := time.AfterFunc(timeout, func() { expire(errors.New("no step of the stop was told")) })
	defer deadline.Stop()
	was, err := stop(ctx, env.inst, func(s string) {
		if s == "last words" {
			expire(context.DeadlineExceeded)
		}
	})
	if !was || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(was, err)
	}
	if err := Remove(env.inst); err == nil || !env.inst.Exists() {
		t.Fatal("files must stay while the process lives")
	}
	if err := os.WriteFile(filepath.Join(env.inst.DataDir(), "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if was, err := stop(t.Context(), env.inst, func(string) {}); err != nil {
		t.Fatal(was, err)
	}
	if err := Remove(env.inst); err != nil || env.inst.Exists() {
		t.Fatal(err)
	}
}

func TestStopOfAStoppedService(t *testing.T) {
	if was, err := stop(t.Context(), newTestEnv(t).inst, func(string) {}); was || err != nil {
		t.Fatal(was, err)
	}
}

func TestServiceStartsAgainAfterKillNine(t *testing.T) {
	env := newTestEnv(t)
	rec := env.mustEnsure("ok", true)
	if err := syscall.Kill(rec.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := AwaitExit(t.Context(), env.inst, rec.Nonce, func(string) {}); err != nil {
		t.Fatal(err)
	}
	env.mustEnsure("ok", true)
}

func TestConcurrentStartsMakeOneService(t *testing.T) {
	env := newTestEnv(t)
	errs := make(chan error, 4)
	for range 4 {
		go func() {
			_, err := env.ensure("ok", timeout)
			errs <- err
		}()
	}
	for range 4 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

// A client that reads the record of a killed run, just after the next run has taken the lock, must not take it for the record of
// that run.
func TestStaleReadyRecordIsNotBelieved(t *testing.T) {
	env := newTestEnv(t)
	if err := write(env.inst, Record{Nonce: "old", Phase: Ready, Server: "127.0.0.1:1"}); err != nil {
		t.Fatal(err)
	}
	lock, err := proc.Acquire(env.inst.LockFile())
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Release()
	if _, err := env.ensure("ok", 300*time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
}

// The PID in an old record may belong to another process, which must never be signalled.
func TestForeignProcessIsNeverSignalled(t *testing.T) {
	env := newTestEnv(t)
	bystander := exec.Command("sleep", "60")
	if err := bystander.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = bystander.Process.Kill(); _ = bystander.Wait() }()
	if err := write(env.inst, Record{Nonce: "old", PID: bystander.Process.Pid, Phase: Ready}); err != nil {
		t.Fatal(err)
	}
	if was, err := stop(t.Context(), env.inst, func(string) {}); was || err != nil {
		t.Fatal(was, err)
	}
	if err := bystander.Process.Signal(syscall.Signal(0)); err != nil {
		t.Fatal("the bystander was signalled:", err)
	}
}

func TestConfig(t *testing.T) {
	for _, tc := range []struct {
		name, want string
		config     Config
	}{
		{"defaults", "", Config{}},
		{"postgres", "", Config{DatastoreEndpoint: "postgres://u:secret@db/rdd"}},
		{"etcd cluster", "", Config{DatastoreEndpoint: "https://a:2379,https://b:2379"}},
		{"unknown controller", `unknown controller "nope"`, Config{Controllers: []string{"nope"}}},
		{"left out", "", Config{Controllers: []string{"*", "-limavm"}}},
		{"unknown left out", `unknown controller "nope"`, Config{Controllers: []string{"-nope"}}},
		{"wanted and left out", "both", Config{Controllers: []string{"limavm", "-limavm"}}},
		{"mysql", "datastore-endpoint", Config{DatastoreEndpoint: "mysql://u:secret@db/rdd"}},
		{"no host", "datastore-endpoint", Config{DatastoreEndpoint: "postgres:///x"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := tc.config.Validate()
			if (err == nil) != (tc.want == "") || err != nil && (!strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "secret")) {
				t.Fatal(err)
			}
		})
	}
}

func TestControllersAreSelected(t *testing.T) {
	for _, tc := range []struct {
		list string
		runs bool // "b"
	}{
		{"", true}, {"*", true}, {"b", true}, {"a", false}, {"-b", false}, {"-a", true}, {"*,-b", false}, {"a,*", true}, {"a,-b", false},
	} {
		c := Config{}
		if tc.list != "" {
			c.Controllers = strings.Split(tc.list, ",")
		}
		if c.Runs("b") != tc.runs {
			t.Errorf("%q: runs b: %t", tc.list, !tc.runs)
		}
	}
}

func TestFilesWithCredentialsAreOwnersOnly(t *testing.T) {
	env := newTestEnv(t)
	endpoint := "postgres://u:secret@db/rdd"
	if _, err := Configure(env.inst, ConfigChange{DatastoreEndpoint: &endpoint}); err != nil {
		t.Fatal(err)
	}
	env.mustEnsure("ok", true)
	for _, path := range []string{env.inst.ConfigFile(), env.inst.RecordFile()} {
		if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o600 {
			t.Error(path, fi.Mode(), err)
		}
	}
}

// A stop that comes when a new run has taken the lock, and the record is still that of a killed run, must not use that record: it
// would signal another process, and wait forever for a run that was not asked to stop.
func TestStopRightAfterACrashStopsTheNewRun(t *testing.T) {
	env := newTestEnv(t)
	bystander := exec.Command("sleep", "60")
	if err := bystander.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = bystander.Process.Kill(); _ = bystander.Wait() }()
	if err := write(env.inst, Record{Nonce: "old", PID: bystander.Process.Pid, Phase: Ready}); err != nil {
		t.Fatal(err)
	}
	lock, err := proc.Acquire(env.inst.LockFile()) // as a run that has not written its record yet
	if err != nil {
		t.Fatal(err)
	}
	stopped := make(chan error, 1)
	go func() {
		_, err := stop(t.Context(), env.inst, func(string) {})
		stopped <- err
	}()
	if rec, live, err := Find(env.inst); rec.Nonce != "" || !live || err != nil {
		t.Error("a dead run's record is believed:", rec, live, err)
	}
	if was, err := env.request(100 * time.Millisecond); was || !errors.Is(err, context.DeadlineExceeded) {
		t.Error("nobody was asked to stop:", was, err)
	}
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
	if _, err := env.ensure("ok", timeout); err != nil && !errors.Is(err, ErrExited) { // which the stop may end before it is ready
		t.Fatal(err)
	}
	if _, err := stop(t.Context(), env.inst, func(string) {}); err != nil { // the other stop may have come before the run
		t.Fatal(err)
	}
	select {
	case err := <-stopped:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(timeout):
		t.Fatal("the stop waits for a run that has ended")
	}
	if err := bystander.Process.Signal(syscall.Signal(0)); err != nil {
		t.Fatal("the bystander was signalled:", err)
	}
}

// stop stops the service and waits until it has ended. It returns whether there was one.
func stop(ctx context.Context, inst instance.Instance, step func(string)) (was bool, err error) {
	run, was, err := Request(ctx, inst, false)
	if err != nil || !was {
		return was, err
	}
	return true, AwaitExit(ctx, inst, run.Nonce, step)
}

func (env *testEnv) request(timeout time.Duration) (was bool, err error) {
	ctx, cancel := context.WithTimeout(env.t.Context(), timeout)
	defer cancel()
	_, was, err = Request(ctx, env.inst, false)
	return was, err
}

// A stop that waits must return when its run has ended, even if another client starts a new run immediately.
func TestStopEndsWithItsRunThoughAnotherFollows(t *testing.T) {
	env := newTestEnv(t)
	env.mustEnsure("ok", true)
	stopped := make(chan error, 1)
	go func() { stopped <- AwaitExit(t.Context(), env.inst, "of the run before", func(string) {}) }()
	select {
	case err := <-stopped:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(timeout):
		t.Fatal("the stop waits for a run that nobody stops")
	}
}

// A start whose own claim comes too late joins the run that has the instance.
func TestStartThatLosesTheRaceJoins(t *testing.T) {
	env := newTestEnv(t)
	claim, err := Take(env.inst, "winner")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := env.client("ok").begin(env.inst); !errors.Is(err, ErrRunning) || env.spawned != 0 {
		t.Fatal("two have claimed one instance:", err)
	}
	if err := claim.Release(); err != nil {
		t.Fatal(err)
	}
	env.mustEnsure("ok", true)
}

// A service that is stopped while it is starting has been stopped; nothing is broken.
func TestStopWhileStartingIsNoFailure(t *testing.T) {
	env := newTestEnv(t)
	starting, started := make(chan struct{}), make(chan error, 1)
	go func() {
		_, err := Ensure(t.Context(), env.inst, Client{Spawn: env.spawner("cut"), Hello: hello, Step: func(s string) {
			if s == "opening the datastore" {
				close(starting)
			}
		}})
		started <- err
	}()
	<-starting
	if was, err := stop(t.Context(), env.inst, func(string) {}); !was || err != nil {
		t.Fatal(was, err)
	}
	if err := <-started; !errors.Is(err, ErrExited) || !strings.Contains(err.Error(), "asked to stop meanwhile") {
		t.Error(err)
	}
	if rec, err := Last(env.inst); err != nil || rec.Phase != Stopped {
		t.Error(rec, err)
	}
}

// A start that looks late, when its run was stopped and another one has come and gone since, was stopped.
func TestStopWhileStartingIsNoFailureThoughAnotherRunFollowed(t *testing.T) {
	env := newTestEnv(t)
	stop := func(exited <-chan error) error {
		_, err := stop(t.Context(), env.inst, func(string) {})
		return errors.Join(err, <-exited)
	}
	looked := errors.New("it looks late")
	_, err := Ensure(t.Context(), env.inst, Client{Step: func(string) {}, Hello: func(context.Context, Record) error { return looked }, Spawn: func(claim *Claim) (<-chan error, error) {
		first, err := env.spawner("ok")(claim)
		exited := make(chan error, 1)
		go func() {
			err := stop(first)
			_, second, began := env.client("ok").begin(env.inst)
			exited <- errors.Join(err, began, stop(second))
		}()
		return exited, err
	}})
	if !errors.Is(err, ErrExited) || !strings.Contains(err.Error(), "asked to stop meanwhile") {
		t.Error(err)
	}
}

// A start that finds a run just before that is killed starts another one.
func TestStartRightAfterKillNine(t *testing.T) {
	env := newTestEnv(t)
	first := env.mustEnsure("ok", true)
	_, err := Ensure(t.Context(), env.inst, Client{Spawn: env.spawner("ok"), Next: env.next("ok"), Step: func(string) {}, Hello: func(ctx context.Context, rec Record) error {
		if rec.Nonce == first.Nonce {
			env.kill(rec.PID)
			return errors.New("it is gone")
		}
		return hello(ctx, rec)
	}})
	if err != nil {
		t.Fatal(err)
	}
	if now, _, err := Find(env.inst); err != nil || now.Nonce == first.Nonce {
		t.Fatal(now, err)
	}
}

// kill kills the service and returns when its lock is free.
func (env *testEnv) kill(pid int) {
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		env.t.Error(err)
	}
	for held := true; held; {
		var err error
		if held, err = proc.Held(env.inst.LockFile()); err != nil {
			env.t.Error(err)
		}
	}
}

// A stop right after a start that waits for nothing said that nothing ran, and was lost: the process
// that was started took its lock only then.
func TestStopRightAfterTheStartOfAProcessIsNotLost(t *testing.T) {
	for _, tc := range []struct {
		name  string
		start func(env *testEnv) error
	}{
		{"after a start that waits for nothing", func(env *testEnv) error {
			_, err := Begin(t.Context(), env.inst, env.client("late"))
			return err
		}},
		{"after a start that timed out", func(env *testEnv) error {
			if _, err := env.ensure("late", 30*time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
				return fmt.Errorf("it did not time out: %w", err)
			}
			return nil
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			env := newTestEnv(t)
			if err := tc.start(env); err != nil {
				t.Fatal(err)
			}
			if rec, live, err := Find(env.inst); !live || err != nil || rec.Nonce == "" || rec.Phase != Starting {
				t.Fatal("nobody sees that it is started:", rec, live, err)
			}
			if was, err := env.request(timeout); !was || err != nil {
				t.Fatal(was, err)
			}
			if rec, live, err := Find(env.inst); !live || err != nil || rec.Phase != Stopping {
				t.Fatal("a start would take it for one that goes on:", rec, live, err)
			}
			if err := Remove(env.inst); !errors.Is(err, ErrNotStopped) {
				t.Fatal("its files are removed under it:", err)
			}
			if err := os.WriteFile(filepath.Join(env.inst.DataDir(), "go"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if was, err := stop(t.Context(), env.inst, func(string) {}); err != nil {
				t.Fatal(was, err)
			}
			if rec, err := Last(env.inst); err != nil || rec.Phase != Stopped {
				t.Fatal(rec, err)
			}
		})
	}
}

// A restart whose waiting ended while the service stopped left it stopped.
func TestRestartGoesOnWhenNobodyWaits(t *testing.T) {
	env := newTestEnv(t)
	first := env.mustEnsure("slowstop", true)
	for range 2 { // a second one in the middle changes nothing
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if was, live, err := Restart(ctx, env.inst, env.client("ok"), false); !live || err != nil || was.Nonce != first.Nonce {
			t.Fatal(was, live, err)
		}
	}
	if err := os.WriteFile(filepath.Join(env.inst.DataDir(), "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := AwaitExit(t.Context(), env.inst, first.Nonce, func(string) {}); err != nil {
		t.Fatal(err)
	}
	second, live, err := Find(env.inst)
	if !live || err != nil || second.Nonce == first.Nonce || env.spawned != 1 {
		t.Fatal("nothing follows at once:", second, live, err, env.spawned)
	}
	if started, err := env.ensure("ok", timeout); started || err != nil {
		t.Fatal(started, err)
	}
	if _, err := os.Stat(env.inst.AskFile()); err == nil {
		t.Error("what was asked is still there")
	}
}

// The last request counts, waiting or not.
func TestStopAfterARestartThatNobodyWaitsForStops(t *testing.T) {
	env := newTestEnv(t)
	env.mustEnsure("slowstop", true)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, live, err := Restart(ctx, env.inst, env.client("ok"), false); !live || err != nil {
		t.Fatal(live, err)
	}
	if was, err := env.request(timeout); !was || err != nil {
		t.Fatal(was, err)
	}
	if err := os.WriteFile(filepath.Join(env.inst.DataDir(), "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := stop(t.Context(), env.inst, func(string) {}); err != nil {
		t.Fatal(err)
	}
	if rec, live, err := Find(env.inst); live || err != nil {
		t.Fatal("it runs:", rec, err)
	}
}

// A restart after a crash that was killed, or whose guests did not power off, left its request to start the service. The next
// stop after a crash followed it.
func TestRequestOfAKilledRestartIsNotFollowedByTheNextStop(t *testing.T) {
	env := newTestEnv(t)
	restart, err := Take(env.inst, Leftovers)
	if err != nil {
		t.Fatal(err)
	}
	next, err := env.next("ok")()
	if err := errors.Join(err, restart.RequestNext(env.inst, next), restart.Release()); err != nil {
		t.Fatal(err)
	}
	stop, err := Take(env.inst, Leftovers)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(stop.Follow(env.inst), stop.Release()); err != nil {
		t.Fatal(err)
	}
	if rec, live, err := Find(env.inst); live || err != nil {
		t.Fatal("it runs:", rec, err)
	}
}

// A start that waits for a stop to end, and whose own waiting ends first, said that it goes on.
func TestStartWhileStoppingGoesOnWhenNobodyWaits(t *testing.T) {
	env := newTestEnv(t)
	first := env.mustEnsure("slowstop", true)
	if was, err := env.request(timeout); !was || err != nil {
		t.Fatal(was, err)
	}
	if _, err := env.ensure("ok", 50*time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(env.inst.DataDir(), "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := AwaitExit(t.Context(), env.inst, first.Nonce, func(string) {}); err != nil {
		t.Fatal(err)
	}
	if rec, live, err := Find(env.inst); !live || err != nil || rec.Nonce == "" {
		t.Fatal("nothing follows:", rec, live, err)
	}
	if started, err := env.ensure("ok", timeout); started || err != nil {
		t.Fatal(started, err)
	}
}

// A start that meets a command at work asks for nothing, and must not say that something goes on.
func TestWaitThatEndsBeforeAnyRequestSaysSo(t *testing.T) {
	env := newTestEnv(t)
	err := WhileStopped(env.inst, func() error {
		_, err := env.ensure("ok", 30*time.Millisecond)
		return err
	})
	if _, unbegun := errors.AsType[*NotStartedError](err); !unbegun || !errors.Is(err, context.DeadlineExceeded) || env.spawned != 0 {
		t.Fatal(err, env.spawned)
	}
}

// A start that waits for a deletion begins as soon as the lock is gone, while the last folder goes.
func TestStartRightAfterADeletionCreatesACompleteInstance(t *testing.T) {
	env := newTestEnv(t)
	for range 60 {
		if err := env.inst.Create(); err != nil {
			t.Fatal(err)
		}
		lock, err := acquireStopped(env.inst)
		if err != nil {
			t.Fatal(err)
		}
		removed := make(chan error, 1)
		go func() { removed <- removeLocked(env.inst, lock) }()
		c := Client{Spawn: func(claim *Claim) (<-chan error, error) {
			err := <-removed
			rec, live, found := Find(env.inst)
			if found != nil || err != nil || !live || rec.Nonce != claim.Nonce {
				return nil, fmt.Errorf("the deletion (%w) took what is not its own: %+v %t %w", err, rec, live, found)
			}
			return nil, nil
		}}
		for begun := false; !begun; {
			if _, live, err := Find(env.inst); live || err != nil {
				continue
			}
			switch _, _, err := c.begin(env.inst); {
			case err == nil:
				begun = true
			case !errors.Is(err, ErrRunning):
				t.Fatal(err)
			}
		}
	}
}

// A forced stop of a service that takes long to react, as on a busy machine, said that it is not stopping.
func TestForcedStopOfARunThatHasNotReactedYet(t *testing.T) {
	t.Parallel() // it takes stopAckTimeout
	env := newTestEnv(t)
	rec := env.mustEnsure("slow", true)
	if err := Force(env.inst); err == nil {
		t.Fatal("a run that nobody has asked to stop is forced")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, was, err := Request(ctx, env.inst, false); !was || err != nil {
		t.Fatal(was, err)
	}
	if now, _, err := Find(env.inst); err != nil || now.Phase != Ready {
		t.Fatal("it has reacted:", now, err)
	}
	if err := Force(env.inst); err != nil {
		t.Fatal(err)
	}
	if err := AwaitForce(t.Context(), env.inst, rec.Nonce); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(env.inst.DataDir(), "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := stop(t.Context(), env.inst, func(string) {}); err != nil {
		t.Fatal(err)
	}
}

// One stop has the lock for what a crash left. A forced one that comes at the same moment forces it.
func TestForcedStopForcesAnotherOneThatIsUnderWay(t *testing.T) {
	inst := testInstance(t.TempDir())
	if err := inst.Create(); err != nil {
		t.Fatal(err)
	}
	other, err := Take(inst, Leftovers)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	stopped := make(chan error, 1)
	go func() {
		_, was, err := Request(ctx, inst, true)
		if was {
			err = errors.Join(err, errors.New("there was a service"))
		}
		stopped <- err
	}()
	err = AwaitForce(ctx, inst, Leftovers)
	if err == nil {
		err = os.RemoveAll(inst.ForceFile()) // as the other one does when it begins, perhaps only now
	}
	if err == nil {
		err = AwaitForce(ctx, inst, Leftovers)
	}
	if err = errors.Join(err, other.Release()); err != nil {
		t.Fatal(err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}
