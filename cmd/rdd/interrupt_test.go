//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"rancherdesktop.io/rdd/internal/testenv"
)

const (
	presses = 10 // how many times Ctrl-C is pressed, at least
	tries   = 80 // and at most, until it comes while the command waits
)

// nextPress returns when to press Ctrl-C next if the last one came too early or too late. The moment at which a command begins
// to handle signals depends on the machine.
func nextPress(last time.Duration, code int) time.Duration {
	if code == 0 { // the command had ended
		return last * 9 / 10
	}
	return last*5/4 + 3*time.Millisecond
}

// A terminal sends Ctrl-C to the whole process group of the command. It must end only the waiting, and neither the
// service nor the VM.
func TestCtrlCEndsOnlyTheWaiting(t *testing.T) {
	t.Parallel()
	e := newTestEnv(t)
	e.setFake("boot", "300ms")
	before := e.start()
	e.must(0, "vm", "create", "demo", e.template)
	choose := rand.New(rand.NewPCG(1, 1))
	ended := map[int]int{}
	var after time.Duration
	var r result
	starts := 0
	for ; starts < presses || ended[130] == 0 && starts < tries; starts++ {
		after = nextPress(after, r.code)
		if starts < presses {
			after = time.Duration(choose.Int64N(int64(400 * time.Millisecond)))
		}
		r = e.runInterrupted(after, "vm", "start", "demo", "--wait")
		ended[r.code]++
		switch r.code {
		case 0: // the command was faster
		case 130:
			if !strings.Contains(r.err, "stopped waiting") {
				t.Errorf("it does not say that the work goes on: %s", r.err)
			}
		case -1: // ended by the signal before it could handle it
		default:
			t.Errorf("%+v", r)
		}
		if now := e.record(); now.Nonce != before.Nonce || !e.serviceRuns() {
			t.Fatal("the service has ended:", now)
		}
		e.must(0, "vm", "start", "demo", "--wait") // joins the start, or requests it if Ctrl-C came first
		e.must(0, "vm", "stop", "demo")
	}
	if e.fake.Counted("agents") > starts {
		t.Errorf("%d hostagents for %d starts: Ctrl-C ended some", e.fake.Counted("agents"), starts)
	}
	if ended[130] == 0 {
		t.Error("no command was interrupted: Ctrl-C always came too early or too late")
	}
	t.Logf("exit codes: %v", ended)
}

// changes has a command line for each command that is interrupted, and one that runs before it, so that there is
// something to wait for. %d is the number of the attempt. The list of commands is that of TestEveryWaitEndsInOneWay.
var changes = map[string]struct{ before, args string }{
	"rdd vm create":       {"", "vm create new%d TEMPLATE --start"},
	"rdd vm start":        {"vm stop demo", "vm start demo"},
	"rdd vm restart":      {"", "vm restart demo"},
	"rdd vm stop":         {"vm start demo", "vm stop demo"},
	"rdd vm params":       {"", "vm params demo color=c%d"},
	"rdd vm edit":         {"", "vm edit demo --file EDITED%d"},
	"rdd vm reset":        {"", "vm reset demo"},
	"rdd vm adopt":        {"vm create old%[1]d TEMPLATE", "vm adopt lost%d"}, // lost%d is a copy of old%d
	"rdd vm delete":       {"vm create old%[1]d TEMPLATE", "vm delete old%d"},
	"rdd service start":   {"svc stop", "svc start"},
	"rdd service stop":    {"svc start", "svc stop"},
	"rdd service restart": {"svc start", "svc restart"},
	"rdd service reset":   {"svc start", "svc reset"},
	"rdd service restore": {"svc stop", "svc restore"}, // of the backup that the stop made
	"rdd service delete":  {"svc start", "svc delete"},

	"rdd start":   {"stop", "start"},
	"rdd stop":    {"start", "stop"},
	"rdd restart": {"start", "restart"},
	"rdd set":     {"set virtualMachine.memory=1Gi", "set virtualMachine.memory=2Gi"}, // of an App that runs
	"rdd reset":   {"start", "reset --yes"},
	"rdd delete":  {"start", "delete --yes"},
}

func TestCtrlCEndsEveryCommandAndLeavesTheServiceRunning(t *testing.T) {
	t.Parallel()
	for path := range waits {
		change, ok := changes[path]
		if !ok {
			t.Errorf("%s has no entry in the table of this test", path)
			continue
		}
		t.Run(strings.TrimPrefix(path, "rdd "), func(t *testing.T) {
			e := newAppEnv(t)
			ofVM := strings.HasPrefix(path, "rdd vm ")
			ofApp := !ofVM && !strings.HasPrefix(path, "rdd service ")
			var after time.Duration
			var r result
			for n := range tries {
				e.writeTemplate(n)
				e.must(0, "svc", "start") // the last attempt may have stopped it, or deleted it with the VM
				if ofApp {
					e.must(0, "start")
				} else if r := e.run("vm", "show", "demo"); r.code != 0 {
					e.must(0, "vm", "create", "demo", fmt.Sprintf("%s/edited%d", e.home, n), "--start")
				}
				line := func(text string) []string {
					if strings.Contains(text, "%") {
						text = fmt.Sprintf(text, n)
					}
					text = strings.NewReplacer("TEMPLATE", e.template, "EDITED", e.home+"/edited").Replace(text)
					return strings.Fields(text)
				}
				if change.before != "" {
					e.must(0, line(change.before)...)
				}
				if path == "rdd vm adopt" {
					if err := os.CopyFS(e.vm(fmt.Sprintf("lost%d", n)).Dir(), os.DirFS(e.vm(fmt.Sprintf("old%d", n)).Dir())); err != nil {
						t.Fatal(err)
					}
				}
				was := e.record()
				after = nextPress(after, r.code)
				r = e.runInterrupted(after, line(change.args)...)
				switch r.code {
				case 0, -1: // the command was faster, or did not handle signals yet
					continue
				case 130:
				default:
					t.Fatalf("after %s: %+v", after, r)
				}
				if !strings.Contains(r.err, "it again with: rdd ") {
					t.Errorf("it does not say that the work goes on: %s", r.err)
				}
				e.must(0, "svc", "start")
				if now := e.record(); (ofVM || ofApp) && now.Nonce != was.Nonce {
					t.Errorf("the service has ended: %+v", now)
				}
				return
			}
			t.Errorf("none of %d Ctrl-C came while the command waited", tries)
		})
	}
}

// writeTemplate writes a template that differs from all others, to the file editedN.
func (e *testEnv) writeTemplate(n int) {
	e.t.Helper()
	text := fmt.Sprintf("images: []\nparam: {color: n%d}\n", n)
	if err := os.WriteFile(fmt.Sprintf("%s/edited%d", e.home, n), []byte(text), 0o600); err != nil {
		e.t.Fatal(err)
	}
}

// runInterrupted runs rdd and sends a SIGINT to its process group after this time.
func (e *testEnv) runInterrupted(after time.Duration, args ...string) result {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testenv.Timeout)
	defer cancel()
	cmd := e.command(ctx, args...)
	var out, problem bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problem
	if err := cmd.Start(); err != nil {
		e.t.Fatal(err)
	}
	timer := time.AfterFunc(after, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) })
	defer timer.Stop()
	err := cmd.Wait()
	if ctx.Err() != nil {
		e.t.Fatalf("rdd %s hangs after Ctrl-C: %s%s", strings.Join(args, " "), out.String(), problem.String())
	}
	if failed := (*exec.ExitError)(nil); err != nil && !errors.As(err, &failed) {
		e.t.Fatal(err)
	}
	return result{code: cmd.ProcessState.ExitCode(), out: out.String(), err: problem.String()}
}
