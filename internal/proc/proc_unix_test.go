//go:build unix

package proc_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"rancherdesktop.io/rdd/internal/proc"
	"rancherdesktop.io/rdd/internal/testenv"
)

// runPlatformRole runs the roles that exist only on this system.
func runPlatformRole(role string) {
	child := self("stubborn child")
	child.Stdin, child.Stdout = os.Stdin, os.Stdout
	switch role {
	case "spawner": // it inherits file 3 and leaves a child
		if err := proc.Spawn(child); err != nil {
			fmt.Println(err)
		}
		if flags, err := unix.FcntlInt(3, unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC != 0 {
			fmt.Println("it can't pass its own file on any more:", err)
		}
	case "interrupted": // a terminal's Ctrl-C reaches it again and again while it spawns
		spawnWhileInterrupted()
	case "passer": // it passes a lock to a child
		lock, err := proc.Acquire(os.Getenv(envLock))
		if err == nil {
			var id string
			id, err = lock.Pass(child)
			child.Env = append(child.Environ(), envRole+"=lock holder", "PROC_TEST_ID="+id)
		}
		if err == nil {
			err = proc.Spawn(child)
		}
		if err != nil {
			fmt.Println(err)
		}
	case "lock holder": // it has a child that doesn't inherit the lock
		lock, err := proc.Inherited(os.Getenv("PROC_TEST_ID"), os.Getenv(envLock))
		if err == nil {
			err = child.Start()
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		go func() { _ = child.Wait() }()
		time.Sleep(time.Hour) // until it is killed
		_ = lock.Release()
	case "tree owner":
		root := self("tree root")
		root.Stdin, root.Stdout = os.Stdin, os.Stdout
		if tree, err := proc.Start(context.Background(), root, time.Hour); err == nil {
			_ = tree.Wait()
		}
	case "guard owner":
		root := self("guard")
		root.Stdin, root.Stdout = os.Stdin, os.Stdout
		if tree, err := proc.Start(context.Background(), root, time.Hour); err == nil {
			_ = tree.Wait()
		}
	case "tree root":
		if err := proc.EndWithParent(os.Getenv(proc.EnvTether)); err != nil {
			fmt.Println(err)
		}
		_ = child.Run()
	case "guard":
		if err := proc.EndWithParent(os.Getenv(proc.EnvTether)); err != nil {
			fmt.Println(err)
		}
		_ = os.Setenv(envRole, "stubborn child")
		code, err := proc.Guard(context.Background(), os.Stdout, os.Stdout, os.Args[0])
		fmt.Println(code, err)
	}
}

// spawnWhileInterrupted prints how many of its children were lost to a Ctrl-C.
func spawnWhileInterrupted() {
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, unix.SIGINT)
	go func() {
		for range time.Tick(5 * time.Millisecond) { // long enough that a try can succeed on a busy machine
			_ = unix.Kill(0, unix.SIGINT)
		}
	}()
	lost := 0
	for range 800 {
		sleeper := exec.Command("sleep", "1000")
		if err := proc.Spawn(sleeper); err != nil {
			fmt.Println(err)
			return
		}
		_ = sleeper.Process.Kill()
		if state, err := sleeper.Process.Wait(); err != nil || state.Sys().(syscall.WaitStatus).Signal() != unix.SIGKILL {
			lost++
		}
	}
	fmt.Println("lost", lost)
}

// alone puts cmd into a process group of its own, as a shell does.
func alone(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

func hangUp(t *testing.T, p *os.Process) {
	t.Helper()
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGHUP, syscall.SIGKILL} {
		if err := syscall.Kill(-p.Pid, s); err != nil {
			t.Fatal(err)
		}
	}
}

// QEMU inherits its lock from the program that became it.
func TestInheritedLockIsHeldUntilTheChildEnds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	lock, err := proc.Acquire(path)
	if err != nil {
		t.Fatal(err)
	}
	child := prepare(t, "echo")
	child.cmd.ExtraFiles = []*os.File{lock.File()}
	if err := child.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	child.expect("ready")
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
	if !held(t, path) {
		t.Error("the lock ended with its first owner")
	}
	child.end()
	if held(t, path) {
		t.Error("the lock is held after the end of the child")
	}
}

// A lock that was released stayed held for as long as another goroutine was starting a child.
func TestReleasedLockIsFreeWhileAChildIsStarting(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	done := make(chan struct{})
	var starting sync.WaitGroup
	for range 4 {
		starting.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					_ = exec.Command("true").Run()
				}
			}
		})
	}
	defer starting.Wait()
	defer close(done)
	for range 300 {
		lock, err := proc.Acquire(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := lock.Release(); err != nil {
			t.Fatal(err)
		}
		if held(t, path) {
			t.Fatal("it is still held")
		}
	}
}

// A script that holds a lock while it starts the service held it for as long as the service lived, and
// a pipe that reads from such a script never ended.
func TestSpawnedProcessInheritsNoFilesOfTheCaller(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	lock, err := proc.Acquire(path)
	if err != nil {
		t.Fatal(err)
	}
	p := prepare(t, "spawner")
	p.cmd.ExtraFiles = []*os.File{lock.File()}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
	p.expect("ready") // the child
	if err := p.cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if held(t, path) {
		t.Error("the child holds the caller's lock")
	}
}

// Between the start of a process and its first step, no process held its lock.
func TestPassedLockIsHeldByTheChildFromItsStartToItsEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	p := prepare(t, "passer", envLock+"="+path)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if state, err := p.cmd.Process.Wait(); err != nil || !state.Success() { // Wait of cmd would close the pipes
		t.Fatal(state, err)
	}
	if !held(t, path) {
		t.Fatal("nobody holds it once the parent has ended")
	}
	p.expect("ready") // the child of the lock holder
	if err := unix.Kill(lockHolder(t, path), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_, _ = within(t, func() (bool, error) {
		for held(t, path) {
			time.Sleep(time.Millisecond)
		}
		return true, nil
	})
	if _, err := io.WriteString(p.stdin, "\n"); err != nil {
		t.Error("the child of the lock holder has ended, too:", err)
	}
}

// lockHolder returns the process that has the file at path open.
func lockHolder(t *testing.T, path string) int {
	t.Helper()
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, link := range links {
		if to, _ := os.Readlink(link); to == path {
			var pid int
			if _, err := fmt.Sscanf(link, "/proc/%d/", &pid); err == nil && pid != os.Getpid() {
				return pid
			}
		}
	}
	t.Skip("this system does not say who holds a file open")
	return 0
}

// The test guest of a probe kept running at full speed when the process that had started it was killed.
func TestHelpersEndWithAKilledParent(t *testing.T) {
	for _, role := range []string{"tree owner", "guard owner", "guard"} {
		if role == "guard" && runtime.GOOS != "linux" {
			continue // elsewhere the child of a guard that is killed alone keeps running
		}
		t.Run(role, func(t *testing.T) {
			p := prepare(t, role)
			if err := p.cmd.Start(); err != nil {
				t.Fatal(err)
			}
			p.expect("ready")
			if err := p.cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			p.awaitAllEnded()
			_ = p.cmd.Wait()
		})
	}
}

func TestLockFileIsPrivate(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	path := filepath.Join(t.TempDir(), "lock")
	lock, err := proc.Acquire(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Release() }()
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// `rdd svc start` said that the work goes on after a Ctrl-C that had ended the service before it had its own session.
func TestCtrlCDoesNotReachASpawnedProcess(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("elsewhere it can't be seen in time")
	}
	cmd := self("interrupted")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if out, err := cmd.Output(); err != nil || string(out) != "lost 0\n" {
		t.Fatalf("%v %s", err, out)
	}
}

// The page in a browser left a file when the terminal was closed.
func TestAClosedTerminalIsARequestToStop(t *testing.T) {
	testenv.TakeHangups(t)
	p := start(t, "echo")
	p.expect("ready")
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	p.expect("bye")
}

func TestAProgramUnderNohupKeepsRunning(t *testing.T) {
	p := prepare(t, "echo")
	p.cmd.Path, p.cmd.Args = testenv.Program(t, "sh", "dash"), []string{"sh", "-c", `trap "" HUP; exec "$0"`, os.Args[0]}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer p.end()
	p.expect("ready")
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	for range 100 { // the signal may take a moment
		p.mustAnswer()
	}
}
