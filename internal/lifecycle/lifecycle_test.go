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
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"rancherdesktop.io/rdd/internal/instance"
	"rancherdesktop.io/rdd/internal/proc"
)

// TestMain lets the test binary play the service, so that the tests cross real processes.
func TestMain(m *testing.M) {
	if mode := os.Getenv("DAEMON_TEST_MODE"); mode != "" {
		os.Exit(playService(mode))
	}
	os.Exit(m.Run())
}

func testInstance(root string) instance.Instance { return instance.At(root, "t", root) }

func playService(mode string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	inst := testInstance(os.Getenv("DAEMON_TEST_ROOT"))
	flags := flag.NewFlagSet("play", flag.ExitOnError)
	nonce, ids := flags.String(FlagNonce, "", ""), flags.String(FlagClaim, "", "")
	_ = flags.Parse(os.Args[1:]) // ExitOnError
	if mode == "late" {          // it has done nothing at all until the test lets it go
		<-ctx.Done()
		stop()
		ctx, stop = signal.NotifyContext(context.Background(), os.Interrupt)
		defer stop()
	}
	claim, err := Inherited(inst, *nonce, *ids)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	err = playRun(ctx, inst, claim, mode)
	if err != nil {
		fmt.Println(err)
	}
	if mode == "slowend" { // to look what is to follow
		awaitFile(filepath.Join(inst.DataDir(), "follow"))
	}
	if err = errors.Join(err, claim.Follow(inst)); err != nil {
		return 1
	}
	return 0
}

func playRun(ctx context.Context, inst instance.Instance, claim *Claim, mode string) error {
	return Run(ctx, inst, claim, "test", slog.New(slog.DiscardHandler), func(ctx context.Context, publish func(Record)) error {
		switch mode {
		case "crash":
			os.Exit(7)
		case "cut": // a start that is interrupted in the middle of a step
			publish(Record{Phase: Starting, Step: "opening the datastore"})
			<-ctx.Done()
			return fmt.Errorf("datastore: %w", context.Cause(ctx))
		case "fail":
			return errors.New("unknown flag: --nope")
		case "unrecorded": // from now on, no file has room for a byte
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
		if mode == "slow" { // to say that it stops
			awaitFile(filepath.Join(inst.DataDir(), "go"))
		}
		publish(Record{Phase: Stopping, Step: "last words"})
		if mode == "slowstop" || mode == "slowend" { // until the test lets it go
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

type rig struct {
	t    *testing.T
	inst instance.Instance
	root string

	mu      sync.Mutex
	spawned int
	steps   []string
	words   bytes.Buffer // of the spawned process

	late chan *os.Process // gets those that are spawned, unless it is nil
}

func newRig(t *testing.T) *rig {
	t.Helper()
	root, err := os.MkdirTemp("", "rdd") // shorter than the test's own, for sockets
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, root: root, inst: testInstance(root)}
	if err := r.inst.Create(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if rec, live, _ := Find(r.inst); live && rec.PID != 0 { // one that followed another
			r.kill(rec.PID)
		}
		if err := os.RemoveAll(root); err != nil {
			t.Error(err)
		}
	})
	return r
}

func (r *rig) ensure(mode string, timeout time.Duration) (spawned bool, err error) {
	ctx, cancel := context.WithTimeout(r.t.Context(), timeout)
	defer cancel()
	return Ensure(ctx, r.inst, r.client(mode))
}

func (r *rig) client(mode string) Client {
	return Client{Spawn: r.spawner(mode), Next: r.next(mode), Hello: hello, LastWords: r.words.String, Step: func(s string) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.steps = append(r.steps, s)
	}}
}

// next is a run that the test did not spawn; it ends with the test.
func (r *rig) next(mode string) func() (Next, error) {
	return func() (Next, error) {
		return Next{Program: os.Args[0], Dir: r.root, Env: append(os.Environ(), "DAEMON_TEST_MODE="+mode, "DAEMON_TEST_ROOT="+r.root)}, nil
	}
}

func (r *rig) spawner(mode string) Spawn {
	return func(claim *Claim) (<-chan error, error) {
		r.mu.Lock()
		r.spawned++
		r.mu.Unlock()
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "DAEMON_TEST_MODE="+mode, "DAEMON_TEST_ROOT="+r.root)
		if mode == "unrecorded" { // the others may run side by side
			cmd.Stdout = &r.words
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
		r.t.Cleanup(func() { _ = cmd.Process.Kill(); <-ended })
		if r.late != nil {
			r.late <- cmd.Process
		}
		return exited, nil
	}
}

// hello reads the nonce that the listening process states.
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

const long = 30 * time.Second

func (r *rig) mustEnsure(mode string, wantSpawned bool) Record {
	r.t.Helper()
	spawned, err := r.ensure(mode, long)
	if err != nil || spawned != wantSpawned {
		r.t.Fatalf("spawned %t, %v; want %t", spawned, err, wantSpawned)
	}
	rec, live, err := Find(r.inst)
	if err != nil || !live || rec.Phase != Ready {
		r.t.Fatal(rec, live, err)
	}
	return rec
}

func TestEnsureStartsOnce(t *testing.T) {
	r := newRig(t)
	first := r.mustEnsure("ok", true)
	if second := r.mustEnsure("ok", false); second.Nonce != first.Nonce || r.spawned != 1 {
		t.Fatal("the second call must find the first run", second, r.spawned)
	}
}

func TestStartupFailureIsReportedAtOnce(t *testing.T) {
	_, err := newRig(t).ensure("fail", 10*time.Minute)
	if !errors.Is(err, ErrExited) || !strings.Contains(err.Error(), "--nope") {
		t.Fatal(err)
	}
}

func TestCrashNamesTheLog(t *testing.T) {
	r := newRig(t)
	_, err := r.ensure("crash", 10*time.Minute)
	if !errors.Is(err, ErrExited) || !strings.Contains(err.Error(), r.inst.ServiceLog()) {
		t.Fatal(err)
	}
}

// On a full disk a run can't say how far it is: nobody would ever find it ready.
func TestRunThatCanNotWriteItsRecordEndsAtOnceAndSaysWhy(t *testing.T) {
	r := newRig(t)
	_, err := r.ensure("unrecorded", 10*time.Minute)
	if !errors.Is(err, ErrExited) || !strings.Contains(err.Error(), "write the service's record "+r.inst.RecordFile()) || !strings.Contains(err.Error(), "file too large") {
		t.Fatal(err)
	}
	if _, live, err := Find(r.inst); live || err != nil {
		t.Fatal("it lives on", err)
	}
}

func TestWarningStaysToTheEndOfTheRun(t *testing.T) {
	inst := newRig(t).inst
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
	r := newRig(t)
	if _, err := Configure(r.inst, ConfigChange{Controllers: &[]string{"limavm"}}); err != nil {
		t.Fatal(err)
	}
	files := map[string]bool{ // whether it stays
		filepath.Join(r.inst.StoreDir(), "state.db"):      false,
		filepath.Join(r.inst.LimaHome(), "a", "diffdisk"): false,
		filepath.Join(r.inst.VMLogDir(), "a", "log"):      false,
		r.inst.RecordFile():                               false,
		filepath.Join(r.inst.BackupDir(), "b.db"):         true,
		filepath.Join(r.inst.ControlPlaneDir(), "token"):  true,
		r.inst.ServiceLog():                               true,
		r.inst.ConfigFile():                               true,
	}
	for path := range files {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte("{}"), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	lock, err := proc.Acquire(r.inst.LockFile())
	if err != nil {
		t.Fatal(err)
	}
	if err := Reset(r.inst); !errors.Is(err, ErrNotStopped) {
		t.Fatal("it was reset under a service", err)
	}
	for path := range files {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
	if err := errors.Join(lock.Release(), Reset(r.inst)); err != nil {
		t.Fatal(err)
	}
	for path, stays := range files {
		if _, err := os.Stat(path); (err == nil) != stays {
			t.Errorf("%s: %v, stays: %t", path, err, stays)
		}
	}
}

// A stop that nobody waited for leaves a service that is still dying. Starting again must wait for
// its end and then start a new run, not wait for the old one to be ready.
func TestStartWhileStopping(t *testing.T) {
	r := newRig(t)
	first := r.mustEnsure("slowstop", true)
	if _, was, err := Request(t.Context(), r.inst, false); !was || err != nil {
		t.Fatal(was, err)
	}
	started := make(chan error, 1)
	waiting := make(chan struct{})
	go func() {
		_, err := Ensure(t.Context(), r.inst, Client{Spawn: r.spawner("ok"), Next: r.next("ok"), Hello: hello, Step: func(s string) {
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
	if err := os.WriteFile(filepath.Join(r.inst.DataDir(), "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	now, live, err := Find(r.inst)
	if err != nil || !live || now.Nonce == first.Nonce || r.spawned != 1 {
		t.Fatal(now, live, err, r.spawned)
	}
}

// A start that asked a run in its last moments said that the service ran already.
func TestStartThatAsksARunAtItsVeryEndHasStartedTheNext(t *testing.T) {
	r := newRig(t)
	first := r.mustEnsure("slowend", true)
	if _, was, err := Request(t.Context(), r.inst, false); !was || err != nil {
		t.Fatal(was, err)
	}
	let := func(file string) {
		if err := os.WriteFile(filepath.Join(r.inst.DataDir(), file), nil, 0o600); err != nil {
			t.Error(err)
		}
	}
	client := r.client("ok")
	client.Next = func() (Next, error) {
		let("go")
		for rec, live, _ := Find(r.inst); live && rec.Nonce == first.Nonce; rec, live, _ = Find(r.inst) {
			time.Sleep(time.Millisecond)
		}
		return r.next("ok")()
	}
	asking := make(chan struct{})
	go func() {
		defer close(asking)
		for a, _ := readAsk(r.inst, first.Nonce); a.Next == nil && t.Context().Err() == nil; a, _ = readAsk(r.inst, first.Nonce) {
			time.Sleep(time.Millisecond)
		}
		let("follow")
	}()
	started, err := Ensure(t.Context(), r.inst, client)
	<-asking
	if err != nil || !started {
		t.Errorf("started %t, %v", started, err)
	}
}

func TestStopSaysStoppedOnlyAfterTheProcessIsGone(t *testing.T) {
	r := newRig(t)
	r.mustEnsure("slowstop", true)
	// The deadline passes once the run has told a step of its stop, however busy the machine is.
	ctx, expire := context.WithCancelCause(t.Context())
	defer expire(nil)
	deadline := time.AfterFunc(long, func() { expire(errors.New("no step of the stop was told")) })
	defer deadline.Stop()
	was, err := Stop(ctx, r.inst, func(s string) {
		if s == "last words" {
			expire(context.DeadlineExceeded)
		}
	})
	if !was || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(was, err)
	}
	if err := Remove(r.inst); err == nil || !r.inst.Exists() {
		t.Fatal("files must stay while the process lives")
	}
	if err := os.WriteFile(filepath.Join(r.inst.DataDir(), "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if was, err := Stop(t.Context(), r.inst, func(string) {}); err != nil {
		t.Fatal(was, err)
	}
	if err := Remove(r.inst); err != nil || r.inst.Exists() {
		t.Fatal(err)
	}
}

func TestStopOfAStoppedService(t *testing.T) {
	if was, err := Stop(t.Context(), newRig(t).inst, func(string) {}); was || err != nil {
		t.Fatal(was, err)
	}
}

func TestAfterKillNineItStartsAgain(t *testing.T) {
	r := newRig(t)
	rec := r.mustEnsure("ok", true)
	if err := syscall.Kill(rec.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := awaitExit(t.Context(), r.inst, rec.Nonce, func(string) {}); err != nil {
		t.Fatal(err)
	}
	r.mustEnsure("ok", true)
}

func TestConcurrentStartsMakeOneService(t *testing.T) {
	r := newRig(t)
	errs := make(chan error, 4)
	for range 4 {
		go func() {
			_, err := r.ensure("ok", long)
			errs <- err
		}()
	}
	for range 4 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

// A record left by a killed run, read in the instant after its successor took the lock, must not
// pass for the successor's.
func TestStaleReadyRecordIsNotBelieved(t *testing.T) {
	r := newRig(t)
	if err := write(r.inst, Record{Nonce: "old", Phase: Ready, Server: "127.0.0.1:1"}); err != nil {
		t.Fatal(err)
	}
	lock, err := proc.Acquire(r.inst.LockFile())
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Release()
	if _, err := r.ensure("ok", 300*time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
}

// A PID in the record that now belongs to somebody else must never be signalled.
func TestForeignProcessIsNeverSignalled(t *testing.T) {
	r := newRig(t)
	bystander := exec.Command("sleep", "60")
	if err := bystander.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = bystander.Process.Kill(); _ = bystander.Wait() }()
	if err := write(r.inst, Record{Nonce: "old", PID: bystander.Process.Pid, Phase: Ready}); err != nil {
		t.Fatal(err)
	}
	if was, err := Stop(t.Context(), r.inst, func(string) {}); was || err != nil {
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
	r := newRig(t)
	endpoint := "postgres://u:secret@db/rdd"
	if _, err := Configure(r.inst, ConfigChange{DatastoreEndpoint: &endpoint}); err != nil {
		t.Fatal(err)
	}
	r.mustEnsure("ok", true)
	for _, path := range []string{r.inst.ConfigFile(), r.inst.RecordFile()} {
		if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o600 {
			t.Error(path, fi.Mode(), err)
		}
	}
}

// A stop in the instant in which a new run has taken the lock, and the record is still that of a
// killed one, must not believe that record: it would signal somebody else's process, and wait for
// ever for a run that nobody asked to stop.
func TestStopRightAfterACrashStopsTheNewRun(t *testing.T) {
	r := newRig(t)
	bystander := exec.Command("sleep", "60")
	if err := bystander.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = bystander.Process.Kill(); _ = bystander.Wait() }()
	if err := write(r.inst, Record{Nonce: "old", PID: bystander.Process.Pid, Phase: Ready}); err != nil {
		t.Fatal(err)
	}
	lock, err := proc.Acquire(r.inst.LockFile()) // as a run that has not written its record yet
	if err != nil {
		t.Fatal(err)
	}
	stopped := make(chan error, 1)
	go func() {
		_, err := Stop(t.Context(), r.inst, func(string) {})
		stopped <- err
	}()
	if rec, live, err := Find(r.inst); rec.Nonce != "" || !live || err != nil {
		t.Error("a dead run's record is believed:", rec, live, err)
	}
	if was, err := r.request(100 * time.Millisecond); was || !errors.Is(err, context.DeadlineExceeded) {
		t.Error("nobody was asked to stop:", was, err)
	}
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.ensure("ok", long); err != nil && !errors.Is(err, ErrExited) { // which the stop may end before it is ready
		t.Fatal(err)
	}
	if _, err := Stop(t.Context(), r.inst, func(string) {}); err != nil { // the other stop may have come before the run
		t.Fatal(err)
	}
	select {
	case err := <-stopped:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(long):
		t.Fatal("the stop waits for a run that has ended")
	}
	if err := bystander.Process.Signal(syscall.Signal(0)); err != nil {
		t.Fatal("the bystander was signalled:", err)
	}
}

func (r *rig) request(timeout time.Duration) (was bool, err error) {
	ctx, cancel := context.WithTimeout(r.t.Context(), timeout)
	defer cancel()
	_, was, err = Request(ctx, r.inst, false)
	return was, err
}

// A stop that waits must end with its run, though somebody starts another one at once.
func TestStopEndsWithItsRunThoughAnotherFollows(t *testing.T) {
	r := newRig(t)
	r.mustEnsure("ok", true)
	stopped := make(chan error, 1)
	go func() { stopped <- awaitExit(t.Context(), r.inst, "of the run before", func(string) {}) }()
	select {
	case err := <-stopped:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(long):
		t.Fatal("the stop waits for a run that nobody stops")
	}
}

// A start whose own claim comes too late joins the run that has the instance.
func TestStartThatLosesTheRaceJoins(t *testing.T) {
	r := newRig(t)
	claim, err := Take(r.inst, "winner")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.client("ok").begin(r.inst); !errors.Is(err, ErrRunning) || r.spawned != 0 {
		t.Fatal("two have claimed one instance:", err)
	}
	if err := claim.Release(); err != nil {
		t.Fatal(err)
	}
	r.mustEnsure("ok", true)
}

// A service that is stopped while it is starting has been stopped; nothing is broken.
func TestStopWhileStartingIsNoFailure(t *testing.T) {
	r := newRig(t)
	starting, started := make(chan struct{}), make(chan error, 1)
	go func() {
		_, err := Ensure(t.Context(), r.inst, Client{Spawn: r.spawner("cut"), Hello: hello, Step: func(s string) {
			if s == "opening the datastore" {
				close(starting)
			}
		}})
		started <- err
	}()
	<-starting
	if was, err := Stop(t.Context(), r.inst, func(string) {}); !was || err != nil {
		t.Fatal(was, err)
	}
	if err := <-started; !errors.Is(err, ErrExited) || !strings.Contains(err.Error(), "asked to stop meanwhile") {
		t.Error(err)
	}
	if rec, err := Last(r.inst); err != nil || rec.Phase != Stopped {
		t.Error(rec, err)
	}
}

// A start that looks late, when its run was stopped and another one has come and gone since, was stopped.
func TestStopWhileStartingIsNoFailureThoughAnotherRunFollowed(t *testing.T) {
	r := newRig(t)
	stop := func(exited <-chan error) error {
		_, err := Stop(t.Context(), r.inst, func(string) {})
		return errors.Join(err, <-exited)
	}
	looked := errors.New("it looks late")
	_, err := Ensure(t.Context(), r.inst, Client{Step: func(string) {}, Hello: func(context.Context, Record) error { return looked }, Spawn: func(claim *Claim) (<-chan error, error) {
		first, err := r.spawner("ok")(claim)
		exited := make(chan error, 1)
		go func() {
			err := stop(first)
			_, second, began := r.client("ok").begin(r.inst)
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
	r := newRig(t)
	first := r.mustEnsure("ok", true)
	_, err := Ensure(t.Context(), r.inst, Client{Spawn: r.spawner("ok"), Next: r.next("ok"), Step: func(string) {}, Hello: func(ctx context.Context, rec Record) error {
		if rec.Nonce == first.Nonce {
			r.kill(rec.PID)
			return errors.New("it is gone")
		}
		return hello(ctx, rec)
	}})
	if err != nil {
		t.Fatal(err)
	}
	if now, _, err := Find(r.inst); err != nil || now.Nonce == first.Nonce {
		t.Fatal(now, err)
	}
}

// kill kills the service and returns when its lock is free.
func (r *rig) kill(pid int) {
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		r.t.Error(err)
	}
	for held := true; held; {
		var err error
		if held, err = proc.Held(r.inst.LockFile()); err != nil {
			r.t.Error(err)
		}
	}
}

// A stop right after a start that waits for nothing said that nothing ran, and was lost: the process
// that was started took its lock only then.
func TestStopOfAProcessThatHasDoneNothingYetIsNotLost(t *testing.T) {
	for _, tc := range []struct {
		name  string
		start func(r *rig) error
	}{
		{"after a start that waits for nothing", func(r *rig) error {
			_, err := Begin(t.Context(), r.inst, r.client("late"))
			return err
		}},
		{"after a start that timed out", func(r *rig) error {
			if _, err := r.ensure("late", 30*time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
				return fmt.Errorf("it did not time out: %w", err)
			}
			return nil
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t)
			r.late = make(chan *os.Process, 1)
			if err := tc.start(r); err != nil {
				t.Fatal(err)
			}
			service := <-r.late
			if rec, live, err := Find(r.inst); !live || err != nil || rec.Nonce == "" || rec.Phase != Starting {
				t.Fatal("nobody sees that it is started:", rec, live, err)
			}
			if was, err := r.request(long); !was || err != nil {
				t.Fatal(was, err)
			}
			if rec, live, err := Find(r.inst); !live || err != nil || rec.Phase != Stopping {
				t.Fatal("a start would take it for one that goes on:", rec, live, err)
			}
			if err := Remove(r.inst); !errors.Is(err, ErrNotStopped) {
				t.Fatal("its files are removed under it:", err)
			}
			if err := service.Signal(os.Interrupt); err != nil { // lets it go on
				t.Fatal(err)
			}
			if was, err := Stop(t.Context(), r.inst, func(string) {}); err != nil {
				t.Fatal(was, err)
			}
			if rec, err := Last(r.inst); err != nil || rec.Phase != Stopped {
				t.Fatal(rec, err)
			}
		})
	}
}

// A restart whose waiting ended while the service stopped left it stopped.
func TestRestartGoesOnWhenNobodyWaits(t *testing.T) {
	r := newRig(t)
	first := r.mustEnsure("slowstop", true)
	for range 2 { // a second one in the middle changes nothing
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if was, live, err := Restart(ctx, r.inst, r.client("ok"), false); !live || err != nil || was.Nonce != first.Nonce {
			t.Fatal(was, live, err)
		}
	}
	if err := os.WriteFile(filepath.Join(r.inst.DataDir(), "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := awaitExit(t.Context(), r.inst, first.Nonce, func(string) {}); err != nil {
		t.Fatal(err)
	}
	second, live, err := Find(r.inst)
	if !live || err != nil || second.Nonce == first.Nonce || r.spawned != 1 {
		t.Fatal("nothing follows at once:", second, live, err, r.spawned)
	}
	if started, err := r.ensure("ok", long); started || err != nil {
		t.Fatal(started, err)
	}
	if _, err := os.Stat(r.inst.AskFile()); err == nil {
		t.Error("what was asked is still there")
	}
}

// The last request counts, waiting or not.
func TestStopAfterARestartThatNobodyWaitsForStops(t *testing.T) {
	r := newRig(t)
	r.mustEnsure("slowstop", true)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, live, err := Restart(ctx, r.inst, r.client("ok"), false); !live || err != nil {
		t.Fatal(live, err)
	}
	if was, err := r.request(long); !was || err != nil {
		t.Fatal(was, err)
	}
	if err := os.WriteFile(filepath.Join(r.inst.DataDir(), "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Stop(t.Context(), r.inst, func(string) {}); err != nil {
		t.Fatal(err)
	}
	if rec, live, err := Find(r.inst); live || err != nil {
		t.Fatal("it runs:", rec, err)
	}
}

// A start that waits for a stop to end, and whose own waiting ends first, said that it goes on.
func TestStartWhileStoppingGoesOnWhenNobodyWaits(t *testing.T) {
	r := newRig(t)
	first := r.mustEnsure("slowstop", true)
	if was, err := r.request(long); !was || err != nil {
		t.Fatal(was, err)
	}
	if _, err := r.ensure("ok", 50*time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(r.inst.DataDir(), "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := awaitExit(t.Context(), r.inst, first.Nonce, func(string) {}); err != nil {
		t.Fatal(err)
	}
	if rec, live, err := Find(r.inst); !live || err != nil || rec.Nonce == "" {
		t.Fatal("nothing follows:", rec, live, err)
	}
	if started, err := r.ensure("ok", long); started || err != nil {
		t.Fatal(started, err)
	}
}

// A start that meets a command at work asks for nothing, and must not say that something goes on.
func TestWaitThatEndsBeforeAnythingWasAskedSaysSo(t *testing.T) {
	r := newRig(t)
	err := WhileStopped(r.inst, func() error {
		_, err := r.ensure("ok", 30*time.Millisecond)
		return err
	})
	if _, unbegun := errors.AsType[*NotStartedError](err); !unbegun || !errors.Is(err, context.DeadlineExceeded) || r.spawned != 0 {
		t.Fatal(err, r.spawned)
	}
}

// A start that waits for a deletion begins as soon as the lock is gone, while the last folder goes.
func TestStartRightAfterADeletionMakesAWholeInstance(t *testing.T) {
	r := newRig(t)
	for range 60 {
		if err := r.inst.Create(); err != nil {
			t.Fatal(err)
		}
		lock, err := acquireStopped(r.inst)
		if err != nil {
			t.Fatal(err)
		}
		removed := make(chan error, 1)
		go func() { removed <- removeLocked(r.inst, lock) }()
		c := Client{Spawn: func(claim *Claim) (<-chan error, error) {
			err := <-removed
			rec, live, found := Find(r.inst)
			if found != nil || err != nil || !live || rec.Nonce != claim.Nonce {
				return nil, fmt.Errorf("the deletion (%w) took what is not its own: %+v %t %w", err, rec, live, found)
			}
			return nil, nil
		}}
		for begun := false; !begun; {
			if _, live, err := Find(r.inst); live || err != nil {
				continue
			}
			switch _, _, err := c.begin(r.inst); {
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
	t.Parallel() // it takes as long as a stop waits to be heard
	r := newRig(t)
	rec := r.mustEnsure("slow", true)
	if err := Force(r.inst); err == nil {
		t.Fatal("a run that nobody has asked to stop is forced")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, was, err := Request(ctx, r.inst, false); !was || err != nil {
		t.Fatal(was, err)
	}
	if now, _, err := Find(r.inst); err != nil || now.Phase != Ready {
		t.Fatal("it has reacted:", now, err)
	}
	if err := Force(r.inst); err != nil {
		t.Fatal(err)
	}
	if err := AwaitForce(t.Context(), r.inst, rec.Nonce); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(r.inst.DataDir(), "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Stop(t.Context(), r.inst, func(string) {}); err != nil {
		t.Fatal(err)
	}
}

// One stop has the lock for what a crash left. A forced one that comes at the same moment forces it.
func TestAForcedStopThatMeetsAnotherOneForcesIt(t *testing.T) {
	inst := testInstance(t.TempDir())
	if err := inst.Create(); err != nil {
		t.Fatal(err)
	}
	other, err := TakeLeftovers(inst)
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
		err = unforced(inst) // as the other one does when it begins, perhaps only now
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
