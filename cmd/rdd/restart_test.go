//go:build linux

package main

import (
	"bufio"
	"context"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"rancherdesktop.io/rdd/internal/testenv"
)

// A start during a stop must wait for the end of the old run and then start a new one. It must not take the old run for
// ready, or wait for it until the deadline.
func TestStartRightAfterAStop(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		code int
		stop []string
	}{
		{"without waiting", 0, []string{"svc", "stop", "--wait=false"}},
		{"that timed out", 4, []string{"svc", "stop", "--timeout", "1ms"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := newTestEnv(t)
			e.setFake("stop", "slow")
			old := e.start()
			e.must(0, "vm", "create", "demo", e.template, "--start")
			e.must(tc.code, tc.stop...)
			waiting, started := e.startInBackground("waiting for the previous run to stop")
			select {
			case <-waiting:
			case r := <-started:
				t.Fatalf("it did not wait for the old run: %+v", r)
			}
			if now := e.record(); now.Nonce != old.Nonce || !e.lockHeld(e.vm("demo").HostagentLock()) {
				t.Fatal("the old run should still be stopping its VM", now)
			}
			e.setFake("stopped", "")
			if r := <-started; r.code != 0 {
				t.Fatalf("%+v", r)
			}
			if now := e.record(); now.Nonce == old.Nonce || now.Phase != "ready" {
				t.Fatal("not a new run that is ready:", now)
			}
			e.must(0, "vm", "start", "demo")
		})
	}
}

// startInBackground starts the service. said is closed when the command prints the text.
func (e *testEnv) startInBackground(text string) (said <-chan struct{}, ended <-chan result) {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testenv.Timeout)
	cmd := e.command(ctx, "svc", "start", "--progress", "json")
	stderr, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		e.t.Fatal(err)
	}
	heard, over := make(chan struct{}), make(chan result, 1)
	go func() {
		defer cancel()
		var all strings.Builder
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			all.WriteString(lines.Text() + "\n")
			if strings.Contains(lines.Text(), text) && heard != nil {
				close(heard)
				text = "\x00" // once
			}
		}
		_ = cmd.Wait() // the exit code is in the result
		over <- result{code: cmd.ProcessState.ExitCode(), err: all.String()}
	}()
	return heard, over
}

func TestFiftyStartsAtOnceMakeOneService(t *testing.T) {
	t.Parallel()
	e := newTestEnv(t)
	const starts = 50
	results := make([]result, starts)
	var all sync.WaitGroup
	for i := range results {
		all.Go(func() { results[i] = e.run("svc", "start") })
	}
	all.Wait()
	started := 0
	for _, r := range results {
		if r.code != 0 {
			t.Errorf("%+v", r)
		}
		if strings.Contains(r.err, "the service is ready") {
			started++
		}
	}
	if n := len(e.processes()); started != 1 || n != 1 {
		t.Errorf("%d of the starts say that they started the service; there are %d processes: %v", started, n, e.processes())
	}
}

// clientCount is how many clients start and stop the service at the same time.
const clientCount = 8

// Clients start and stop the service at the same time. Each command must end with an expected result, and at the end
// there is one service or none.
func TestStartsAndStopsInRandomOrderEndInOneState(t *testing.T) {
	t.Parallel()
	e := newTestEnv(t)
	const span, seed = time.Minute, 3
	until := time.Now().Add(span)
	var all sync.WaitGroup
	counts := make([]map[string]int, clientCount)
	for who := range clientCount {
		counts[who] = map[string]int{}
		all.Go(func() {
			choose := rand.New(rand.NewPCG(seed, uint64(who)))
			for time.Now().Before(until) {
				args := [][]string{
					{"svc", "start"}, {"svc", "start"}, {"svc", "stop"}, {"svc", "stop"},
					{"svc", "start", "--wait=false"}, {"svc", "stop", "--wait=false"}, {"svc", "stop", "--timeout", "1ms"}, {"svc", "status"},
				}[choose.IntN(8)]
				r := e.run(args...)
				if !endedWell(args, r) {
					t.Errorf("rdd %s: %+v", strings.Join(args, " "), r)
				}
				counts[who][args[1]]++
			}
		})
	}
	all.Wait()
	total := map[string]int{}
	for _, c := range counts {
		for command, n := range c {
			total[command] += n
		}
	}
	t.Logf("%d clients in %s: %v", clientCount, span, total)
	e.start()
	// Starts with --wait=false may still have processes that are about to find the running service.
	e.eventually("one process", func() bool { return len(e.processes()) == 1 })
	e.must(0, "svc", "stop")
	e.must(6, "svc", "status")
	if left := e.processes(); len(left) > 0 {
		t.Error("left behind:", left)
	}
}

// endedWell reports whether the result is one that a command may have when others run at the same time.
func endedWell(args []string, r result) bool {
	switch {
	case args[1] == "status":
		return r.code == 0 || r.code == 6 || r.code == 7 || r.code == 9
	case args[1] == "start" && r.code == 1:
		return strings.Contains(r.err, "asked to stop meanwhile")
	case strings.Contains(strings.Join(args, " "), "1ms"):
		return r.code == 0 || r.code == 4
	}
	return r.code == 0
}
