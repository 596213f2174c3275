package proc_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rancherdesktop.io/rdd/internal/proc"
	"rancherdesktop.io/rdd/internal/testenv"
)

// The test binary runs as the processes of the tests, so that locks and signals are used between real processes.
const (
	envRole = "PROC_TEST_ROLE" // what the process does
	envLock = "PROC_TEST_LOCK"
)

func TestMain(m *testing.M) {
	if role := os.Getenv(envRole); role != "" {
		runRole(role)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// runRole reports on stdout what it does. Every role ends when its stdin is closed, so that none outlives the test.
func runRole(role string) {
	switch role {
	case "owner": // of a lock
		lock, err := proc.Acquire(os.Getenv(envLock))
		if err != nil {
			fmt.Println(errors.Is(err, proc.ErrLocked), err)
			return
		}
		fmt.Println("held")
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = lock.Release()
	case "echo":
		ctx, stop, err := proc.Interruptible(context.Background())
		if err != nil {
			fmt.Println(err)
			return
		}
		defer stop()
		go func() {
			defer stop()
			fmt.Println("ready")
			_, _ = io.Copy(os.Stdout, os.Stdin)
		}()
		<-ctx.Done()
		fmt.Println("bye")
	case "parent": // of a detached echo that has its stdin and stdout
		child := self("echo")
		child.Stdin, child.Stdout = os.Stdin, os.Stdout
		if err := proc.Spawn(child); err != nil {
			fmt.Println(err)
		}
		_ = child.Wait()
	case "stubborn", "deserter", "orderly":
		root(role)
	case "stubborn child":
		signal.Ignore(os.Interrupt)
		fmt.Println("ready")
		_, _ = io.Copy(io.Discard, os.Stdin)
	default:
		runPlatformRole(role)
	}
}

// root starts a child that ignores interrupts, and reports when the child runs.
func root(role string) {
	signal.Ignore(os.Interrupt)
	child := self("stubborn child")
	child.Stdin, child.Stderr = os.Stdin, os.Stdout // open as long as the child lives
	out, err := child.StdoutPipe()
	if err == nil {
		err = child.Start()
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	switch role {
	case "deserter": // ends by itself, and leaves its child
		fmt.Print(line)
	case "stubborn": // has to be killed
		fmt.Print(line)
		_ = child.Wait()
	case "orderly": // ends when it is asked to, and leaves its child
		ctx, stop, _ := proc.Interruptible(context.Background())
		defer stop()
		fmt.Print(line)
		<-ctx.Done()
	}
}

func self(role string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(cmd.Environ(), envRole+"="+role)
	return cmd
}

// process is a process of the test binary with a role.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	stdin io.WriteCloser
	out   *bufio.Reader
}

// prepare connects a process to the test without starting it.
func prepare(t *testing.T, role string, env ...string) *process {
	t.Helper()
	cmd := self(role)
	cmd.Env = append(cmd.Env, env...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close() })
	return &process{t: t, cmd: cmd, stdin: in, out: bufio.NewReader(out)}
}

func start(t *testing.T, role string, env ...string) *process {
	t.Helper()
	p := prepare(t, role, env...)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.end() })
	return p
}

// end closes the process's stdin and waits for its end.
func (p *process) end() {
	_ = p.stdin.Close()
	_ = p.cmd.Wait()
}

// expect reads the next line from the process.
func (p *process) expect(want string) {
	p.t.Helper()
	line, err := within(p.t, func() (string, error) { return p.out.ReadString('\n') })
	if got := strings.TrimSpace(line); got != want || err != nil {
		p.t.Fatalf("got %q (%v), want %q", got, err, want)
	}
}

// mustAnswer checks that the process answers.
func (p *process) mustAnswer() {
	p.t.Helper()
	if _, err := io.WriteString(p.stdin, "alive?\n"); err != nil {
		p.t.Fatal(err)
	}
	p.expect("alive?")
}

// within fails the test when f does not return.
func within[T any](t *testing.T, f func() (T, error)) (T, error) {
	t.Helper()
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		v, err := f()
		done <- result{v, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-time.After(testenv.Timeout):
		t.Fatal("it takes forever")
		panic("unreachable")
	}
}

func held(t *testing.T, path string) bool {
	t.Helper()
	is, err := proc.Held(path)
	if err != nil {
		t.Fatal(err)
	}
	return is
}

func TestTwoProcessesNeverHoldOneLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	if held(t, path) {
		t.Error("held before anybody took it")
	}
	owner := start(t, "owner", envLock+"="+path)
	owner.expect("held")
	if !held(t, path) {
		t.Error("not held by a process that holds it")
	}
	if _, err := proc.Acquire(path); !errors.Is(err, proc.ErrLocked) {
		t.Errorf("a second owner: %v", err)
	}
	start(t, "owner", envLock+"="+path).expect(fmt.Sprintf("true %s: %v", path, proc.ErrLocked))

	// However it ends.
	if err := owner.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	owner.end()
	lock, err := proc.Acquire(path)
	if err != nil {
		t.Fatalf("the lock of a killed process: %v", err)
	}
	if !held(t, path) {
		t.Error("not held by this process")
	}
	if err := lock.Release(); err != nil || held(t, path) {
		t.Errorf("held after its release: %v", err)
	}
}

func TestOneOfManyRacingProcessesGetsTheLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	racers := make([]*process, 8)
	for i := range racers {
		racers[i] = start(t, "owner", envLock+"="+path)
	}
	winners := 0
	for _, r := range racers {
		line, err := within(t, func() (string, error) { return r.out.ReadString('\n') })
		if err != nil {
			t.Fatal(err)
		}
		if strings.TrimSpace(line) == "held" {
			winners++
		}
	}
	if winners != 1 {
		t.Errorf("%d processes hold one lock", winners)
	}
}

func TestHeldChangesNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "lock")
	if held(t, path) {
		t.Error("a missing file is held")
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("looking made %v, %v", entries, err)
	}
	if err := os.WriteFile(path, []byte("as it was"), 0o400); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if held(t, path) {
		t.Error("a file is held by nobody")
	}
	after, err := os.Stat(path)
	if err != nil || after.ModTime() != before.ModTime() || after.Mode() != before.Mode() {
		t.Errorf("%v, %v became %v", err, before, after)
	}
}

// `rdd svc status` in a loop must not keep a service from starting.
func TestHeldDoesNotPreventAcquire(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	stop, looked := make(chan struct{}), make(chan error)
	go func() {
		for {
			select {
			case <-stop:
				looked <- nil
				return
			default:
			}
			if _, err := proc.Held(path); err != nil {
				looked <- err
				return
			}
		}
	}()
	for range 2000 {
		lock, err := proc.Acquire(path)
		if errors.Is(err, proc.ErrLocked) { // the looker was suspended while it looked
			lock, err = proc.Acquire(path)
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := lock.Release(); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	if err := <-looked; err != nil {
		t.Error(err)
	}
}

func TestDetachedChildOutlivesItsParentsTerminal(t *testing.T) {
	parent := prepare(t, "parent")
	alone(parent.cmd)
	if err := parent.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	parent.expect("ready")
	hangUp(t, parent.cmd.Process) // as a closed terminal does to its processes
	if _, err := parent.cmd.Process.Wait(); err != nil {
		t.Fatal(err)
	}
	parent.mustAnswer() // its child has the pipe
	_ = parent.stdin.Close()
	parent.expect("bye")
}

func TestInterruptStopsInOrder(t *testing.T) {
	p := start(t, "echo")
	p.expect("ready")
	if err := proc.Interrupt(p.cmd.Process.Pid, func() bool { return true }); err != nil {
		t.Fatal(err)
	}
	p.expect("bye")
}

// The PID in a stale record may be anybody's by now.
func TestNoSignalForAnotherProcess(t *testing.T) {
	p := start(t, "echo")
	p.expect("ready")
	for name, signal := range map[string]func(int, func() bool) error{"interrupt": proc.Interrupt, "kill": proc.Kill} {
		if err := signal(p.cmd.Process.Pid, func() bool { return false }); !errors.Is(err, proc.ErrGone) {
			t.Errorf("%s: %v, want ErrGone", name, err)
		}
		for _, pid := range []int{1, 0, -1, -p.cmd.Process.Pid} { // a group, everybody, init
			asked := false
			err := signal(pid, func() bool { asked = true; return false })
			if !errors.Is(err, proc.ErrGone) || asked {
				t.Errorf("%s of %d: %v, asked: %t", name, pid, err, asked)
			}
		}
	}
	p.mustAnswer()
}

func TestNoSignalForAProcessThatHasEnded(t *testing.T) {
	p := start(t, "echo")
	p.expect("ready")
	p.end()
	if err := proc.Interrupt(p.cmd.Process.Pid, func() bool { return false }); !errors.Is(err, proc.ErrGone) {
		t.Errorf("%v, want ErrGone", err)
	}
}

// startTree starts a tree and returns when its root has reported that it and its child run.
func startTree(t *testing.T, role string, grace time.Duration) (p *process, tree *proc.Tree, cancel context.CancelFunc) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	p = prepare(t, role)
	tree, err := proc.Start(ctx, p.cmd, grace)
	if err != nil {
		t.Fatal(err)
	}
	p.expect("ready")
	return p, tree, cancel
}

// awaitAllEnded waits until every process that has the tree's stdout has ended.
func (p *process) awaitAllEnded() {
	p.t.Helper()
	if rest, err := within(p.t, func() ([]byte, error) { return io.ReadAll(p.out) }); err != nil {
		p.t.Errorf("%q, %v", rest, err)
	}
}

// A canceled download or conversion left qemu-img running.
func TestKilledCommandEndsWithItsChildren(t *testing.T) {
	p, tree, cancel := startTree(t, "stubborn", time.Millisecond)
	cancel()
	p.awaitAllEnded()
	if _, killed := errors.AsType[*exec.ExitError](tree.Wait()); !killed {
		t.Error("it ended by itself")
	}
}

func TestCommandThatEndsLeavesNoChildBehind(t *testing.T) {
	p, tree, _ := startTree(t, "deserter", time.Hour)
	p.awaitAllEnded()
	if err := tree.Wait(); err != nil {
		t.Error(err)
	}
}

func TestCanceledCommandMayEndInOrder(t *testing.T) {
	p, tree, cancel := startTree(t, "orderly", time.Hour)
	cancel()
	p.awaitAllEnded()
	if err := tree.Wait(); err != nil {
		t.Errorf("it was killed: %v", err)
	}
}

func TestCommandThatCannotStart(t *testing.T) {
	if _, err := proc.Start(t.Context(), exec.Command(filepath.Join(t.TempDir(), "missing")), 0); !errors.Is(err, os.ErrNotExist) && !errors.Is(err, exec.ErrNotFound) {
		t.Error(err)
	}
}

func TestHolderIsTheProcessWithTheLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	if _, err := proc.Holder(path); errors.Is(err, errors.ErrUnsupported) {
		t.Skip("this system doesn't tell")
	} else if !errors.Is(err, proc.ErrGone) {
		t.Fatal("nobody has it:", err)
	}
	owner := prepare(t, "owner")
	owner.cmd.Env = append(owner.cmd.Environ(), envLock+"="+path)
	if err := owner.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	owner.expect("held")
	looks, err := os.Open(path) // as Held does
	if err != nil {
		t.Fatal(err)
	}
	defer looks.Close()
	if pid, err := proc.Holder(path); err != nil || pid != owner.cmd.Process.Pid {
		t.Errorf("process %d %v instead of %d", pid, err, owner.cmd.Process.Pid)
	}
	if proc.Holds(os.Getpid(), path) || !proc.Holds(owner.cmd.Process.Pid, path) {
		t.Error("the wrong process is said to hold it")
	}
}
