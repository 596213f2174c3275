//go:build unix

package machine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"rancherdesktop.io/rdd/internal/machine/event"
	"rancherdesktop.io/rdd/internal/machine/layout"
	"rancherdesktop.io/rdd/internal/machine/machinetest"
	"rancherdesktop.io/rdd/internal/proc"
	"rancherdesktop.io/rdd/internal/testenv"
)

// TestMain makes the test binary the fake rdd-lima, so that the tests use real processes.
func TestMain(m *testing.M) {
	machinetest.Main()
	os.Exit(m.Run())
}

const timeout = testenv.Timeout

// testEnv is a Lima home with fake VMs.
type testEnv struct {
	t    *testing.T
	dir  string
	home string
	vm   layout.VM
	fake machinetest.Fake
}

func newTestEnv(t *testing.T) *testEnv {
	dir := t.TempDir()
	fake, err := machinetest.New(filepath.Join(dir, "fake"))
	if err != nil {
		t.Fatal(err)
	}
	env := &testEnv{t: t, dir: dir, home: filepath.Join(dir, "lima"), fake: fake}
	env.vm = layout.VM{Home: env.home, Name: "rd", Logs: filepath.Join(dir, "log", "rd")}
	return env
}

// service is the Manager of one run of the service, with a channel that receives each change.
type service struct {
	*Manager
	env     *testEnv
	changed chan struct{}
}

func (env *testEnv) service() *service {
	s := &service{env: env, changed: make(chan struct{}, 1)}
	s.Manager = New(Config{
		LimaHome: env.home, Program: env.fake.Program(), ShareDir: env.dir, LogDir: filepath.Join(env.dir, "log"),
		Log: slog.New(slog.DiscardHandler),
		Changed: func(string) {
			select {
			case s.changed <- struct{}{}:
			default:
			}
		},
	})
	s.timeouts.busyInterval, s.timeouts.runningInterval, s.timeouts.retryInterval = 5*time.Millisecond, 5*time.Millisecond, 5*time.Millisecond
	env.t.Cleanup(func() {
		env.set("poweroff", "")
		env.set("stopped", "")
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		if err := s.Close(ctx, func(string) {}); err != nil && !env.t.Failed() {
			env.t.Error(err)
		}
	})
	return s
}

// set changes a setting of the fake rdd-lima.
func (env *testEnv) set(name, mode string) {
	env.t.Helper()
	if err := env.fake.Set(name, mode); err != nil {
		env.t.Fatal(err)
	}
}

// counted returns how often something has happened.
func (env *testEnv) counted(what string) int { return env.fake.Counted(what) }

// await waits until the VM's state is as wanted.
func (s *service) await(what string, ok func(State) bool) State {
	s.env.t.Helper()
	late := time.After(timeout)
	for {
		if st := s.State("rd"); ok(st) {
			return st
		}
		select {
		case <-s.changed:
		case <-late:
			s.env.t.Fatalf("%s: not within %s: %+v failure %+v", what, timeout, s.State("rd"), s.State("rd").Failure)
		}
	}
}

func (s *service) awaitPhase(p Phase) State {
	s.env.t.Helper()
	return s.await(string(p), func(st State) bool { return st.Phase == p })
}

func failed(st State) bool { return st.Failure != nil }

// crash ends the service as SIGKILL would: workers and children go, hostagents stay.
func (s *service) crash() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, w := range s.workers {
		w.end()
		<-w.done
	}
	s.workers = nil
}

func start(acceleration string) Request {
	return Request{Action: Start, Template: []byte("images: []"), Acceleration: acceleration}
}

func TestLife(t *testing.T) {
	env := newTestEnv(t)
	s := env.service()
	s.awaitPhase(Absent)
	s.Do("rd", Request{Action: Prepare})
	s.awaitPhase(Stopped)
	s.Do("rd", start("Auto"))
	st := s.awaitPhase(Running)
	if st.SSHPort != 2222 || st.Accelerator.Reason != event.HardwareHangs || st.Progress != nil || st.Failure != nil {
		t.Fatalf("%+v", st)
	}
	s.Do("rd", Request{Action: Stop})
	st = s.awaitPhase(Stopped)
	if st.SSHPort != 0 || st.Exits != 0 || st.Failure != nil {
		t.Fatalf("%+v", st)
	}
	if held, _ := proc.Held(env.vm.HostagentLock()); held {
		t.Fatal("said stopped while the hostagent lives")
	}
	s.Do("rd", Request{Action: Remove})
	s.awaitPhase(Absent)
	if layout.Exists(env.vm.Dir()) {
		t.Fatal("the VM's directory is still there")
	}
}

func TestPrepareFailures(t *testing.T) {
	for _, tc := range []struct {
		mode, says string
		permanent  bool
	}{
		{"die", "the sky fell", false},
		{"garbage", "without a result", false},
		{"fail", "disk: no", false},
		{"permanent", "disk: no", true},
	} {
		t.Run(tc.mode, func(t *testing.T) {
			env := newTestEnv(t)
			s := env.service()
			env.set("prepare", tc.mode)
			s.Do("rd", Request{Action: Prepare})
			st := s.await("failure", failed)
			if st.Phase != Absent || st.Failure.Permanent != tc.permanent || !strings.Contains(st.Failure.Message, tc.says) || st.Failure.Action != Prepare {
				t.Fatalf("%+v %+v", st, st.Failure)
			}
			env.set("prepare", "")
			s.Do("rd", start(""))
			if st := s.awaitPhase(Running); st.Failure != nil {
				t.Fatal(st.Failure)
			}
		})
	}
}

func TestStalledChildIsNamedAndEnded(t *testing.T) {
	env := newTestEnv(t)
	s := env.service()
	// Longer than a busy machine takes to start the child, which then says its phase.
	s.timeouts.stallTimeout, s.timeouts.interruptTimeout = 2*time.Second, 10*time.Millisecond
	env.set("prepare", "deaf")
	s.Do("rd", Request{Action: Prepare})
	st := s.await("failure", failed)
	if !strings.Contains(st.Failure.Message, `stalled in the phase "image"`) || st.Failure.Permanent {
		t.Fatal(st.Failure)
	}
}

func TestStopCancelsPrepare(t *testing.T) {
	env := newTestEnv(t)
	s := env.service()
	env.set("prepare", "hang")
	s.Do("rd", start(""))
	st := s.await("progress", func(st State) bool { return st.Progress != nil && st.Progress.Bytes == 5 })
	if st.Phase != Preparing || st.Progress.Total != 10 || st.Progress.Steps != 2+event.BootSteps {
		t.Fatalf("%+v", st)
	}
	s.Do("rd", Request{Action: Stop})
	if st := s.awaitPhase(Absent); st.Failure != nil || env.counted("interrupted") != 1 {
		t.Fatal(st.Failure, env.counted("interrupted"))
	}
}

// A boot counts on where the preparation before it has ended, so that a bar only ever grows.
func TestStepsOfABootAreCountedOnFromThePreparation(t *testing.T) {
	env := newTestEnv(t)
	s := env.service()
	var mu sync.Mutex
	var steps, of []int32
	changed := s.config.Changed
	s.config.Changed = func(vm string) {
		if p := s.State(vm).Progress; p != nil && p.Steps > 0 {
			mu.Lock()
			steps, of = append(steps, p.Step), append(of, p.Steps)
			mu.Unlock()
		}
		changed(vm)
	}
	env.set("prepare", "20ms")
	env.set("boot", "20ms")
	s.Do("rd", start(""))
	s.awaitPhase(Running)
	mu.Lock()
	defer mu.Unlock()
	const prepared = 4
	if !slices.IsSorted(steps) || steps[0] > prepared || steps[len(steps)-1] <= prepared {
		t.Errorf("steps %v", steps)
	}
	if slices.Min(of) != prepared+event.BootSteps || slices.Max(of) != prepared+event.BootSteps {
		t.Errorf("of %v", of)
	}
}

func TestSameRequestTwiceIsOne(t *testing.T) {
	env := newTestEnv(t)
	s := env.service()
	for range 20 {
		s.Do("rd", start("Auto"))
	}
	s.awaitPhase(Running)
	for range 20 {
		s.Do("rd", start("Auto"))
	}
	s.awaitPhase(Running)
	if n := env.counted("agents"); n != 1 {
		t.Fatal(n, "hostagents were started")
	}
}

func TestBootFailures(t *testing.T) {
	for _, tc := range []struct {
		mode, says string
		permanent  bool
	}{
		{"crash", "exit status 7", false},
		{"refuse", "no hardware", true},
	} {
		t.Run(tc.mode, func(t *testing.T) {
			env := newTestEnv(t)
			s := env.service()
			env.set("boot", tc.mode)
			s.Do("rd", start(""))
			st := s.await("failure", failed)
			if st.Phase != Stopped || st.Exits != 0 || st.Failure.Action != Start || st.Failure.Permanent != tc.permanent {
				t.Fatalf("%+v %+v", st, st.Failure)
			}
			for _, want := range []string{tc.says, env.vm.HostagentLog()} {
				if !strings.Contains(st.Failure.Message, want) {
					t.Errorf("%q does not say %q", st.Failure.Message, want)
				}
			}
			if tc.mode == "crash" && !strings.Contains(st.Failure.Message, "Kernel panic[0m - no init") {
				t.Errorf("the console is missing, or could steer a terminal: %q", st.Failure.Message)
			}
		})
	}
}

func TestHostagentThatDiesIsReported(t *testing.T) {
	env := newTestEnv(t)
	s := env.service()
	s.Do("rd", start(""))
	s.awaitPhase(Running)
	rec, err := env.vm.ReadRecord()
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(rec.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.awaitPhase(Stopped)
	st := s.await("exit counted", func(st State) bool { return st.Exits == 1 && failed(st) })
	if !strings.Contains(st.Failure.Message, "killed") {
		t.Fatal(st.Failure)
	}
	s.Do("rd", start(""))
	if st := s.awaitPhase(Running); st.Exits != 1 || st.Failure != nil {
		t.Fatalf("%+v", st)
	}
}

func TestSlowStopIsReportedAndNotKilled(t *testing.T) {
	env := newTestEnv(t)
	s := env.service()
	s.timeouts.stopTimeout = 20 * time.Millisecond
	env.set("stop", "slow")
	s.Do("rd", start(""))
	s.awaitPhase(Running)
	s.Do("rd", Request{Action: Stop})
	st := s.await("late", failed)
	if st.Phase != Stopping || st.Failure.Action != Stop || !strings.Contains(st.Failure.Message, "--force") {
		t.Fatalf("%+v %+v", st, st.Failure)
	}
	env.set("stopped", "")
	if st := s.awaitPhase(Stopped); st.Failure != nil {
		t.Fatal(st.Failure)
	}
}

func TestKillEndsWhatIgnoresAStop(t *testing.T) {
	env := newTestEnv(t)
	s := env.service()
	env.set("stop", "deaf")
	s.Do("rd", start(""))
	s.awaitPhase(Running)
	s.Do("rd", Request{Action: Stop})
	s.awaitPhase(Stopping)
	s.Do("rd", Request{Action: Kill})
	if st := s.awaitPhase(Stopped); st.Exits != 0 {
		t.Fatalf("%+v", st)
	}
}

func TestStartWhileStoppingStartsAgain(t *testing.T) {
	env := newTestEnv(t)
	s := env.service()
	env.set("stop", "slow")
	s.Do("rd", start(""))
	s.awaitPhase(Running)
	s.Do("rd", Request{Action: Stop})
	s.awaitPhase(Stopping)
	s.Do("rd", start(""))
	env.set("stopped", "")
	s.await("second run", func(st State) bool { return st.Phase == Running && env.counted("agents") == 2 })
}

func TestRunningHostagentIsAdopted(t *testing.T) {
	env := newTestEnv(t)
	first := env.service()
	env.set("boot", "late")
	first.Do("rd", start(""))
	first.await("boot", func(st State) bool { return st.SSHPort != 0 })
	first.crash()
	second := env.service()
	if st := second.await("adoption", func(st State) bool { return st.SSHPort != 0 }); st.Phase != Starting || st.Accelerator.Name != "tcg" {
		t.Fatalf("%+v", st)
	}
	env.set("booted", "")
	second.await("the hostagent that was found", func(st State) bool { return st.Phase == Running && st.Found == foundHostagent })
	second.Do("rd", start(""))
	second.Do("rd", Request{Action: Stop})
	if st := second.awaitPhase(Stopped); st.Found != "" {
		t.Error("it is said still:", st.Found)
	}
	if n := env.counted("agents"); n != 1 {
		t.Fatal(n, "hostagents were started")
	}
}

func TestDeathOfAHostagentWhileNoServiceRanIsReportedOnce(t *testing.T) {
	env := newTestEnv(t)
	first := env.service()
	first.Do("rd", start(""))
	first.awaitPhase(Running)
	first.crash()
	rec, err := env.vm.ReadRecord()
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(rec.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for held := true; held; { // as after a while without a service: its QEMU has ended as well
		if held, err = anyHeld(env.vm.HostagentLock(), env.vm.QEMULock()); err != nil {
			t.Fatal(err)
		}
	}
	second := env.service()
	second.awaitPhase(Stopped)
	second.await("what was found", func(st State) bool { return st.Found == foundCrash })
	second.crash()
	third := env.service()
	third.awaitPhase(Stopped)
	third.Do("rd", start("")) // done after the look
	if st := third.awaitPhase(Running); st.Found != "" || st.Exits != 0 {
		t.Errorf("it is said again: %+v", st)
	}
	third.Do("rd", Request{Action: Stop})
	third.awaitPhase(Stopped)
	third.crash()
	fourth := env.service()
	fourth.Do("rd", start(""))
	if st := fourth.awaitPhase(Running); st.Found != "" {
		t.Errorf("an orderly stop was taken for a death: %+v", st)
	}
}

func TestAdoptedHostagentThatIsStoppingStops(t *testing.T) {
	env := newTestEnv(t)
	first := env.service()
	env.set("stop", "slow")
	first.Do("rd", start(""))
	first.awaitPhase(Running)
	first.Do("rd", Request{Action: Stop})
	first.await("powering off", func(st State) bool { return st.Progress != nil && st.Progress.Message == "powering off" })
	first.crash()
	second := env.service()
	second.awaitPhase(Stopping)
	env.set("stopped", "")
	if st := second.awaitPhase(Stopped); st.Exits != 0 || st.Failure != nil {
		t.Fatalf("%+v %+v", st, st.Failure)
	}
}

func TestTwoServicesNeverStartTwoHostagents(t *testing.T) {
	env := newTestEnv(t)
	services := []*service{env.service(), env.service(), env.service()}
	for _, s := range services { // else it may take the files of another's preparation for leftovers
		s.awaitPhase(Absent)
	}
	var wg sync.WaitGroup
	for _, s := range services {
		wg.Go(func() { s.Do("rd", start("")) })
	}
	wg.Wait()
	for _, s := range services {
		s.awaitPhase(Running)
	}
	if n := env.counted("agents"); n != 1 {
		t.Fatal(n, "hostagents lived")
	}
	services[0].Do("rd", Request{Action: Stop})
	for _, s := range services {
		if st := s.awaitPhase(Stopped); st.Exits != 0 {
			t.Fatalf("%+v", st)
		}
	}
}

// qemu starts a QEMU that outlived its hostagent.
func (env *testEnv) qemu() {
	env.t.Helper()
	cmd, err := env.fake.Orphan(env.vm)
	if err != nil {
		env.t.Fatal(err)
	}
	env.t.Cleanup(func() {
		_ = cmd.Process.Kill() // fails when it has ended, as it should
		_ = cmd.Wait()
	})
}

func TestQEMUWithoutHostagentIsEnded(t *testing.T) {
	env := newTestEnv(t)
	env.qemu()
	s := env.service()
	s.awaitPhase(Stopped) // it has left a disk
	s.await("what was found", func(st State) bool { return st.Found == foundQEMU })
	if env.counted("clear") != 1 {
		t.Fatal("it was not ended by rdd-lima clear")
	}
	if held, _ := proc.Held(env.vm.QEMULock()); held {
		t.Fatal("said stopped while QEMU lives")
	}
}

// The VM stayed in the phase Stopping, and was never started again.
func TestVMWhoseQEMUCouldNotBeEndedIsStoppedOnceItCan(t *testing.T) {
	for name, end := range map[string]func(env *testEnv) *service{
		"left by an earlier service": func(env *testEnv) *service {
			env.qemu()
			return env.service()
		},
		"left by a hostagent that was killed": func(env *testEnv) *service {
			s := env.runningOrphan()
			rec, err := env.vm.ReadRecord()
			if err == nil {
				err = syscall.Kill(rec.PID, syscall.SIGKILL)
			}
			if err != nil {
				env.t.Fatal(err)
			}
			return s
		},
		"after a forced stop": func(env *testEnv) *service {
			s := env.runningOrphan()
			s.Do("rd", Request{Action: Kill})
			return s
		},
	} {
		t.Run(name, func(t *testing.T) {
			env := newTestEnv(t)
			env.set("clear", "fail")
			s := end(env)
			testenv.Eventually(t, "a further attempt", func() bool { return s.State("rd").Phase == Stopping && env.counted("clear") > 1 })
			env.set("clear", "")
			// Why the hostagent has died is still to be seen then.
			s.await("stopped", func(st State) bool { return st.Phase == Stopped && failed(st) == strings.Contains(name, "killed") })
			if held, err := proc.Held(env.vm.QEMULock()); held || err != nil {
				t.Error("said stopped while QEMU lives", err)
			}
		})
	}
}

// runningOrphan starts a VM whose QEMU outlives its hostagent.
func (env *testEnv) runningOrphan() *service {
	env.t.Helper()
	env.set("qemu", "orphan")
	s := env.service()
	s.Do("rd", start(""))
	s.awaitPhase(Running)
	return s
}

// A deletion or a reset showed its first failure for good.
func TestRemovalThatFailsAfterItsMarkIsTriedAgain(t *testing.T) {
	env := newTestEnv(t)
	s := env.service()
	s.Do("rd", Request{Action: Prepare})
	s.awaitPhase(Stopped)
	env.set("remove", "marked")
	s.Do("rd", Request{Action: Remove})
	s.await("the failure", func(st State) bool { return st.Phase == Removing && failed(st) })
	n := env.counted("remove")
	s.await("a further attempt", func(st State) bool { return env.counted("remove") > n && st.Phase == Removing && failed(st) })
	env.set("remove", "")
	s.await("removed", func(st State) bool { return st.Phase == Absent && !failed(st) })
	if layout.Exists(env.vm.Dir()) {
		t.Error("said removed, and its directory is there")
	}
}

func TestFolderThatIsNotAnUnfinishedVMIsKept(t *testing.T) {
	env := newTestEnv(t)
	diary := filepath.Join(env.vm.Dir(), "diary.txt")
	if err := errors.Join(os.MkdirAll(env.vm.Dir(), 0o700), os.WriteFile(diary, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	s := env.service()
	s.awaitPhase(Stopped)
	s.Do("rd", start(""))
	if st := s.await("failure", failed); !st.Failure.Permanent || !strings.Contains(st.Failure.Message, env.vm.Dir()+" holds diary.txt") {
		t.Errorf("%+v", st.Failure)
	}
	if !layout.Exists(diary) {
		t.Error("somebody's file is gone")
	}
}

func TestUnfinishedVMIsRemoved(t *testing.T) {
	env := newTestEnv(t)
	if err := errors.Join(os.MkdirAll(env.vm.Dir(), 0o700), os.WriteFile(env.vm.Making(), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	s := env.service()
	s.awaitPhase(Absent)
	if layout.Exists(env.vm.Dir()) {
		t.Fatal("it is still there")
	}
}

// It was shown as a VM that was created.
func TestUnfinishedVMThatCanNotBeRemovedIsNotTakenForOne(t *testing.T) {
	env := newTestEnv(t)
	mustMkdir(t, env.vm.Dir())
	if err := os.WriteFile(env.vm.Making(), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	env.set("remove", "fail")
	s := env.service()
	if st := s.await("the failure", failed); st.Phase != Removing {
		t.Errorf("it is %s", st.Phase)
	}
	env.set("remove", "")
	s.await("removed", func(st State) bool { return st.Phase == Absent && !failed(st) })
}

// A removal that is killed before its last step, and a creation after its first one, leave an empty folder.
func TestEmptyFolderOfAVMIsRemoved(t *testing.T) {
	env := newTestEnv(t)
	mustMkdir(t, env.vm.Dir())
	env.service().awaitPhase(Absent)
	if layout.Exists(env.vm.Dir()) {
		t.Error("the folder is left")
	}
}

// The link shows where the user wants the next disk.
func TestLinkToAnEmptyFolderIsKept(t *testing.T) {
	env := newTestEnv(t)
	mustMkdir(t, filepath.Join(env.dir, "other"))
	mustMkdir(t, env.home)
	if err := os.Symlink(filepath.Join(env.dir, "other"), env.vm.Dir()); err != nil {
		t.Fatal(err)
	}
	env.service().awaitPhase(Absent)
	if !layout.Exists(env.vm.Dir()) {
		t.Error("the link is gone")
	}
}

// A service that was killed right after it had removed the disk has left the logs.
func TestLogsOfAVMWithoutFilesAreRemovedWithItsObject(t *testing.T) {
	env := newTestEnv(t)
	mustMkdir(t, env.vm.Logs)
	s := env.service()
	s.awaitPhase(Absent)
	s.Removed("rd")
	if layout.Exists(env.vm.Logs) {
		t.Error("the logs are left")
	}
}

func mustMkdir(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
}

func TestCloseStopsEveryHostagent(t *testing.T) {
	env := newTestEnv(t)
	first := env.service()
	for _, name := range []string{"rd", "other", "third"} {
		first.Do(name, start(""))
	}
	for _, name := range []string{"rd", "other", "third"} {
		for late := time.Now().Add(timeout); first.State(name).Phase != Running; {
			if time.Now().After(late) {
				t.Fatal(name, first.State(name))
			}
			<-first.changed
		}
	}
	first.crash()
	second := env.service() // has heard of none of them
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	var said []string
	if err := second.Close(ctx, func(step string) { said = append(said, step) }); err != nil {
		t.Fatal(err)
	}
	if len(said) != 6 {
		t.Error(said)
	}
	for _, name := range []string{"rd", "other", "third"} {
		if held, _ := proc.Held(layout.VM{Home: env.home, Name: name}.HostagentLock()); held {
			t.Error(name, "was left behind")
		}
	}
	second.Do("rd", start(""))
	if st := second.State("rd"); !reflect.DeepEqual(st, State{}) {
		t.Error("work was taken after Close", st)
	}
}

func TestCloseNamesTheVMThatIsLate(t *testing.T) {
	env := newTestEnv(t)
	s := env.service()
	env.set("stop", "slow")
	s.Do("rd", start(""))
	s.awaitPhase(Running)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	err := s.Close(ctx, func(string) {})
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "rd") {
		t.Fatal(err)
	}
	env.set("stopped", "")
	if err := s.Close(t.Context(), func(string) {}); err != nil {
		t.Fatal(err)
	}
}

// A removal that hangs, as on a disk that no longer answers, can't be given up after a creation that has failed.
func TestCloseDoesNotWaitForARemovalThatHangs(t *testing.T) {
	env := newTestEnv(t)
	s := env.service()
	s.timeouts.stallTimeout = time.Hour // rdd-lima reports that it goes on
	s.awaitPhase(Absent)
	if err := errors.Join(os.MkdirAll(env.vm.Dir(), 0o700), os.WriteFile(env.vm.Making(), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	env.set("prepare", "fail")
	env.set("remove", "hang")
	s.Do("rd", Request{Action: Prepare})
	testenv.Eventually(t, "the removal has begun", func() bool { return env.counted("remove") > 0 })
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	closed := make(chan error, 1)
	go func() { closed <- s.Close(ctx, func(string) {}) }()
	select {
	case err := <-closed:
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "rd") {
			t.Fatal(err)
		}
	case <-time.After(timeout):
		t.Fatal("it waits")
	}
}

func TestProblemsOfABootAreReported(t *testing.T) {
	env := newTestEnv(t)
	s := env.service()
	env.set("boot", "degraded")
	s.Do("rd", start(""))
	if st := s.awaitPhase(Running); !slices.Equal(st.Problems, []string{"no port forwards"}) {
		t.Fatalf("%+v", st)
	}
}

func TestOverdueBootNamesItsPhaseAndContinues(t *testing.T) {
	env := newTestEnv(t)
	s := env.service()
	s.timeouts.stepTimeouts = map[string]time.Duration{"boot": time.Millisecond}
	env.set("boot", "late")
	s.Do("rd", start(""))
	st := s.await("overdue", func(st State) bool {
		return st.Progress != nil && strings.HasPrefix(st.Progress.Message, overduePrefix)
	})
	if st.Phase != Starting || st.Failure != nil || !strings.Contains(st.Progress.Message, "boot") {
		t.Fatalf("%+v", st)
	}
	env.set("booted", "")
	s.awaitPhase(Running)
}

// When the service was killed right after it had started a hostagent, the next one saw none. The VM was said to be stopped, and
// booted.
func TestHostagentThatHasDoneNothingYetIsFound(t *testing.T) {
	if _, err := proc.Holder(t.TempDir()); errors.Is(err, errors.ErrUnsupported) {
		t.Skip("this system doesn't tell which process holds a lock")
	}
	for _, tc := range []struct {
		name   string
		before func(s *service)
	}{
		{"first start", func(*service) {}},
		{"later start", func(s *service) { // there is a record, and there are events, of another hostagent
			s.Do("rd", start(""))
			s.awaitPhase(Running)
			s.Do("rd", Request{Action: Kill})
			s.awaitPhase(Stopped)
		}},
	} {
		for _, action := range []Action{None, Stop, Kill} {
			test := func(t *testing.T, recorded bool) {
				env := newTestEnv(t)
				t.Cleanup(func() { env.set("begun", "") })
				s := env.service()
				tc.before(s)
				agents := env.counted("agents")
				earlier, err := env.vm.ReadRecord()
				if err != nil {
					t.Fatal(err)
				}
				env.set("hostagent", "late")
				s.Do("rd", start(""))
				s.awaitPhase(Starting)
				s.crash()
				if !recorded {
					if err := env.vm.WriteRecord(earlier); err != nil {
						t.Fatal(err)
					}
				}
				s = env.service()
				if st := s.await("it was looked for", func(st State) bool { return st.Phase != Unknown }); st.Phase != Starting {
					t.Fatalf("%+v", st)
				}
				if action == None {
					env.set("begun", "")
					s.await("it runs, or has failed", func(st State) bool { return st.Phase == Running || st.Failure != nil })
					action = Stop
				}
				if st := s.State("rd"); st.Failure != nil || st.Exits != 0 {
					t.Fatalf("%+v %+v", st, st.Failure)
				}
				s.Do("rd", Request{Action: action})
				s.awaitPhase(Stopped)
				if held, err := anyHeld(env.vm.HostagentLock(), env.vm.QEMULock()); held || err != nil {
					t.Fatal("said to be stopped, but it runs", err)
				}
				if n := env.counted("agents") - agents; n > 1 {
					t.Fatal(n, "hostagents lived")
				}
			}
			name := tc.name + ", then " + cmp.Or(string(action), "nothing")
			t.Run(name, func(t *testing.T) { test(t, true) })
			t.Run(name+", before its record was written", func(t *testing.T) { test(t, false) })
		}
	}
}

// A process that is about to end holds its locks a little longer than /proc shows its files. Its VM was said to be stopped.
func TestHostagentIsNotSaidToHaveEndedWhileItHoldsItsLock(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux shows which files a process has open")
	}
	for _, action := range []Action{Stop, Kill} {
		for _, when := range []string{"before it was found", "after it was found"} {
			t.Run(string(action)+", "+when, func(t *testing.T) {
				env := newTestEnv(t)
				t.Cleanup(func() { env.set("begun", "") })
				s := env.service()
				env.set("hostagent", "dying")
				if when == "before it was found" {
					env.set("dies", "")
				}
				s.Do("rd", start(""))
				testenv.Eventually(t, "its hostagent lives", func() bool { return env.counted("hostagent") > 0 })
				s.crash()
				if err := env.vm.WriteRecord(layout.Record{}); err != nil {
					t.Fatal(err)
				}
				if when == "before it was found" {
					testenv.Eventually(t, "its files are hidden", func() bool {
						_, err := proc.Holder(env.vm.HostagentLock())
						return errors.Is(err, proc.ErrGone)
					})
				}
				s = env.service()
				if when == "after it was found" {
					s.awaitPhase(Starting)
					env.set("dies", "")
				}
				s.Do("rd", Request{Action: action})
				begun := make(chan struct{})
				timer := time.AfterFunc(100*time.Millisecond, func() {
					defer close(begun)
					env.set("begun", "")
				})
				s.awaitPhase(Stopped)
				if !timer.Stop() { // it must not outlive the test
					<-begun
				}
				if held, err := anyHeld(env.vm.HostagentLock()); held || err != nil {
					t.Fatal("said to be stopped, but it runs", err)
				}
			})
		}
	}
}

func TestForgottenVMKeepsItsHostagent(t *testing.T) {
	env := newTestEnv(t)
	s := env.service()
	s.Do("rd", start(""))
	s.awaitPhase(Running)
	s.Forget("rd")
	s.awaitPhase(Running) // a new worker adopts it
	if n := env.counted("agents"); n != 1 {
		t.Fatal(n)
	}
}

func TestValidate(t *testing.T) {
	env := newTestEnv(t)
	s := env.service()
	if err := s.Validate(t.Context(), "rd", []byte("x"), map[string]string{"a": "b"}); err != nil {
		t.Fatal(err)
	}
	env.set("validate", "permanent")
	err := s.Validate(t.Context(), "", nil, nil)
	if te, ok := errors.AsType[*TemplateError](err); !ok || te.Field != "disk" || te.Error() != "disk: no" {
		t.Fatal(err)
	}
	env.set("validate", "die")
	err = s.Validate(t.Context(), "", nil, nil)
	if _, ok := errors.AsType[*TemplateError](err); ok || err == nil || !strings.Contains(err.Error(), "the sky fell") {
		t.Fatal(err)
	}
}

// A hostagent takes its lock before it writes its record, so a service may find an earlier one's record.
func TestStopOfAHostagentWithAnEarlierRecordSignalsNoOtherProcess(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux says which process holds a lock")
	}
	for _, action := range []Action{Stop, Kill} {
		t.Run(string(action), func(t *testing.T) {
			env := newTestEnv(t)
			other := sleeper(t, nil)
			if err := os.MkdirAll(env.vm.Run(), 0o700); err != nil {
				t.Fatal(err)
			}
			lock, err := proc.Acquire(env.vm.HostagentLock())
			if err != nil {
				t.Fatal(err)
			}
			sleeper(t, lock) // it stands for the hostagent
			if err := errors.Join(lock.Release(), env.vm.WriteRecord(layout.Record{Nonce: "earlier", PID: other.Process.Pid, Logs: env.vm.Logs})); err != nil {
				t.Fatal(err)
			}
			s := env.service()
			s.awaitPhase(Starting)
			s.Do("rd", Request{Action: action})
			s.awaitPhase(Absent)
			if err := other.Process.Signal(syscall.SIGCONT); err != nil {
				t.Fatal("a process that has the number of an earlier hostagent was ended:", err)
			}
			if state, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", other.Process.Pid)); err != nil || strings.Contains(string(state), ") Z ") {
				t.Fatal("a process that has the number of an earlier hostagent was ended:", err)
			}
		})
	}
}

// sleeper starts a process that holds the lock, if there is one, until a signal ends it.
func sleeper(t *testing.T, lock *proc.Lock) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("sleep", "1000")
	if lock != nil {
		if _, err := lock.Pass(cmd); err != nil {
			t.Fatal(err)
		}
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

// A hostagent whose record was gone was never asked to stop, and a forced stop waited for it forever.
func TestRunningVMWhoseRecordIsGoneOrDamagedCanBeStopped(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux says which process holds a lock")
	}
	for _, action := range []Action{Stop, Kill} {
		for name, spoil := range map[string]func(path string) error{
			"gone":    os.Remove,
			"damaged": func(path string) error { return os.WriteFile(path, make([]byte, 10), 0o600) },
		} {
			t.Run(string(action)+" "+name, func(t *testing.T) {
				env := newTestEnv(t)
				first := env.service()
				first.Do("rd", start(""))
				first.awaitPhase(Running)
				first.crash()
				if err := spoil(filepath.Join(env.vm.Run(), "hostagent.json")); err != nil {
					t.Fatal(err)
				}
				second := env.service()
				second.await("the hostagent that was found", func(st State) bool { return st.Phase == Running && st.Found == foundHostagent })
				second.Do("rd", Request{Action: action})
				second.awaitPhase(Stopped)
				if alive, err := anyHeld(env.vm.HostagentLock(), env.vm.QEMULock()); alive || err != nil {
					t.Error("said stopped, and it lives", err)
				}
			})
		}
	}
}

func TestJobEndsTogetherWithItsFailure(t *testing.T) {
	env := newTestEnv(t)
	env.set("prepare", "fail")
	s := env.service()
	s.Do("rd", start(""))
	<-s.worker("rd").submit(start("")) // joins it
	if st := s.State("rd"); st.Failure == nil {
		t.Errorf("%+v", st)
	}
}

// A reset makes a new disk, and a deletion may come before that.
func TestDataDiskStaysThroughAResetAndGoesWithTheVM(t *testing.T) {
	env := newTestEnv(t)
	s := env.service()
	r := start("")
	r.DataDisk = 1 << 30
	s.Do("rd", r)
	s.awaitPhase(Running)
	s.Do("rd", Request{Action: Remove, KeepData: true})
	s.await("the reset", func(st State) bool { return st.Phase == Absent && st.HasData })
	if !env.vm.HasData() || !env.vm.Orphaned() {
		t.Error("the data is gone, or nobody would find it")
	}
	s.Do("rd", Request{Action: Remove})
	s.await("the deletion", func(st State) bool { return st.Phase == Absent && !st.HasData })
	if env.vm.HasData() {
		t.Error("the data disk is left")
	}
}

// The service completes a removal that was killed, and doesn't know whether it was a reset's.
func TestKilledResetKeepsTheDataDisk(t *testing.T) {
	env := newTestEnv(t)
	s := env.service()
	r := start("")
	r.Action, r.DataDisk = Prepare, 1<<30
	s.Do("rd", r)
	s.awaitPhase(Stopped)
	s.Forget("rd")
	if err := os.Rename(env.vm.Prepared(), env.vm.Removing()); err != nil {
		t.Fatal(err)
	}
	if st := env.service().await("the rest of the removal", func(st State) bool { return st.Phase == Absent }); !st.HasData || !env.vm.HasData() {
		t.Error("the data disk is gone")
	}
}
