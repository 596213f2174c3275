package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"rancherdesktop.io/rdd/internal/testenv"
	"rancherdesktop.io/rdd/internal/wait"
)

var (
	seedFlag = flag.Uint64("seed", 0, "seed of the random tests, as an earlier run printed it; 0: a new one each time")
	walkFlag = flag.Duration("walk", 8*time.Second, "duration of the random walk")
)

// seededRandom returns random numbers that -seed repeats.
func seededRandom(t testing.TB) *rand.Rand {
	t.Helper()
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("lots are drawn again with: go test -tags grpcnotrace ./cmd/rdd -run '^%s$' -args -seed %d", t.Name(), seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// states are the states that a service or a VM may have: several if the commands so far don't determine one.
type states []string

const (
	svcRuns, svcStopped, svcNone = "runs", "stopped", "none"
	vmGone, vmStopped, vmRuns    = "gone", "is stopped", "runs"
)

func (s states) or(more ...string) states {
	all := slices.Concat(s, more)
	slices.Sort(all)
	return slices.Compact(all)
}

func (s states) is(state string) bool    { return len(s) == 1 && s[0] == state }
func (s states) allow(state string) bool { return slices.Contains(s, state) }

// randomWalk runs commands in a random order, and disrupts them at random moments. It derives from their results which
// states are possible.
type randomWalk struct {
	*testEnv
	random         *rand.Rand
	service        states
	vms            map[string]states
	crashed        bool // the service was killed, and the VMs that it left were not stopped since
	settled        bool // nothing is in progress
	vmsSettled     bool // nor for a VM: a service that has stopped continues with its VMs when it starts again
	deletionKilled bool // a deletion was killed before its end
	history        []string
	counts         map[string]int
}

// disruption is what happens to a command before its end.
type disruption struct {
	how   string
	after time.Duration
}

// The kinds of disruptions.
const (
	disruptNothing     = ""
	disruptByDeadline  = "deadline"
	disruptByNoWait    = "accepted"
	disruptByInterrupt = "Ctrl-C"
	disruptByKill      = "SIGKILL"
	disruptService     = "the service is killed"
	disruptReap        = "what stops leftovers is killed"
	disruptHostagents  = "hostagents are killed"
	disruptByOther     = "another command"
)

// A command that reports success has done its work, also right after a command that timed out, was interrupted or was
// killed. Work that a command says goes on is completed.
func TestRandomWalkOverCommandsEndsInTheReportedStates(t *testing.T) {
	t.Parallel()
	e := newTestEnv(t)
	e.setFake("prepare", "20ms")
	e.setFake("boot", "80ms")
	e.setFake("stop", "60ms")
	e.setFake("remove", "10ms")
	w := &randomWalk{testEnv: e, random: seededRandom(t), service: states{svcNone}, settled: true, counts: map[string]int{},
		vms: map[string]states{"a": {vmGone}, "b": {vmGone}}}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the last steps:\n%s", strings.Join(w.history[max(0, len(w.history)-25):], "\n"))
		}
	})
	for until := time.Now().Add(*walkFlag); time.Now().Before(until); {
		w.step()
	}
	w.settle()
	t.Logf("%d steps: %v", len(w.history), w.counts)
}

// step runs one command, and in most cases waits until everything has settled.
func (w *randomWalk) step() {
	args := w.randomCommand()
	c := w.randomDisruption(args)
	switch c.how {
	case disruptByDeadline:
		args = append(args, "--timeout", c.after.String())
	case disruptByNoWait:
		args = append(args, "--wait=false")
	}
	before := fmt.Sprintf("service %v, VMs %v, settled %t, crashed %t", w.service, w.vms, w.settled, w.crashed)
	if c.how == disruptByOther {
		w.runTwo(c.after, args)
		return
	}
	r := w.runDisrupted(c, args)
	w.history = append(w.history, fmt.Sprintf("%s | rdd %s | %s after %s | exit code %d after %s: %s",
		before, strings.Join(args, " "), c.how, c.after, r.code, r.took.Round(time.Millisecond), strings.TrimSpace(r.err)))
	w.counts[c.how]++
	if r.code == 2 || r.code == -1 && r.took >= testenv.Timeout {
		w.t.Fatalf("rdd %s: %+v", strings.Join(args, " "), r)
	}
	if args[0] == "svc" {
		w.expectService(args[1], c, r)
	} else {
		w.expectVM(args[1], args[2], slices.Contains(args, "--start"), c, r)
	}
	w.settled = w.settled && r.code == 0 && (c.how == disruptNothing || c.how == disruptByDeadline || c.how == disruptByInterrupt)
	w.vmsSettled = w.vmsSettled && w.settled
	if w.deletionKilled || w.random.IntN(3) > 0 {
		w.settle()
	}
}

// runTwo runs a command, and meanwhile starts another one on the service. Both must end, and leave the service in one
// consistent state.
func (w *randomWalk) runTwo(after time.Duration, first []string) {
	w.t.Helper()
	second := []string{"svc", []string{"start", "stop", "restart", "delete", "reset"}[w.random.IntN(5)]}
	ended := make(chan result, 1)
	go func() { ended <- w.runDisrupted(disruption{}, first) }()
	time.Sleep(after) // a random moment
	b := w.runDisrupted(disruption{}, second)
	a := <-ended
	w.history = append(w.history, fmt.Sprintf("rdd %s: exit code %d: %s; %s later rdd %s: exit code %d: %s",
		strings.Join(first, " "), a.code, strings.TrimSpace(a.err), after, strings.Join(second, " "), b.code, strings.TrimSpace(b.err)))
	w.counts[disruptByOther]++
	for _, r := range []result{a, b} {
		if r.code == 2 || r.code < 0 || r.code == 130 {
			w.t.Fatal("a command hangs or has an unexpected exit code:", w.history[len(w.history)-1])
		}
	}
	w.service, w.vmsSettled = states{svcNone, svcRuns, svcStopped}, false
	for name := range w.vms {
		w.vms[name] = states{vmGone, vmStopped, vmRuns}
	}
	w.settle()
}

// randomCommand returns a random command. Some have nothing to do.
func (w *randomWalk) randomCommand() []string {
	vm := []string{"a", "b"}[w.random.IntN(2)]
	svc := func(verb string) []string { return []string{"svc", verb} }
	all := [][]string{
		svc("start"), svc("start"), svc("start"), svc("stop"), svc("stop"), svc("restart"), svc("restart"), svc("delete"), svc("reset"),
		{"svc", "stop", "--force"}, {"svc", "restart", "--force"},
		{"vm", "create", vm, w.template}, {"vm", "create", vm, w.template, "--start"}, {"vm", "start", vm}, {"vm", "start", vm},
		{"vm", "stop", vm}, {"vm", "stop", vm, "--force"}, {"vm", "restart", vm}, {"vm", "reset", vm}, {"vm", "delete", vm},
	}
	args := all[w.random.IntN(len(all))]
	if args[0] == "vm" && !w.service.allow(svcRuns) && w.random.IntN(4) > 0 {
		return svc("start")
	}
	return args
}

func (w *randomWalk) randomDisruption(args []string) disruption {
	span := []time.Duration{3 * time.Millisecond, 20 * time.Millisecond, 100 * time.Millisecond, 700 * time.Millisecond}[w.random.IntN(4)]
	c := disruption{after: time.Duration(w.random.Int64N(int64(span))) + time.Millisecond}
	c.how = []string{
		disruptNothing, disruptNothing, disruptNothing, disruptByDeadline, disruptByDeadline, disruptByNoWait, disruptByInterrupt, disruptByInterrupt, disruptByKill, disruptService, disruptReap, disruptHostagents, disruptByOther,
	}[w.random.IntN(13)]
	if c.how == disruptByNoWait && (args[1] == "delete" || args[1] == "reset") && args[0] == "svc" {
		c.how = disruptNothing // a usage error
	}
	return c
}

// runDisrupted runs the command with a disruption.
func (w *randomWalk) runDisrupted(c disruption, args []string) result {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testenv.Timeout)
	defer cancel()
	cmd := w.command(ctx, args...)
	var out, problem bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problem
	began := time.Now()
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	ended := make(chan struct{})
	disturbed := make(chan struct{})
	go func() {
		defer close(disturbed)
		select {
		case <-ended:
			return
		case <-time.After(c.after):
		}
		switch c.how {
		case disruptByInterrupt:
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGINT)
		case disruptByKill:
			_ = cmd.Process.Kill()
		case disruptService:
			w.killAndWait("rddd serve")
		case disruptReap:
			w.killAndWait("rddd reap")
		case disruptHostagents:
			w.killAndWait("rdd-lima hostagent")
		}
	}()
	_ = cmd.Wait()
	close(ended)
	<-disturbed
	return result{cmd.ProcessState.ExitCode(), out.String(), problem.String(), time.Since(began)}
}

// killAndWait kills the processes of a command, and waits until they have ended and released their locks.
func (w *randomWalk) killAndWait(command string) {
	for pid, line := range w.processes() {
		if !strings.Contains(line, command+" ") {
			continue
		}
		_ = syscall.Kill(pid, syscall.SIGKILL) // fails when it has just ended
		for dead := false; !dead; time.Sleep(time.Millisecond) {
			stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
			_, state, _ := strings.Cut(string(stat), ") ")
			threads, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid)) // the main thread may end before the others
			dead = err != nil || strings.HasPrefix(state, "Z") && len(threads) <= 1
		}
	}
}

// mayStop reports whether the disruption may end a service, or keep it from being started: what stops the leftovers of a
// crashed service also starts it again in a restart that an earlier command has requested.
func (c disruption) mayStop() bool { return c.how == disruptService || c.how == disruptReap }

// targetState returns the state of a service after a successful command.
func targetState(verb, state string) string {
	switch {
	case verb == "start" || verb == "restart":
		return svcRuns
	case verb == "delete" || state == svcNone:
		return svcNone
	}
	return svcStopped
}

// expectService updates the possible states after a command on the service.
func (w *randomWalk) expectService(verb string, c disruption, r result) {
	w.t.Helper()
	was, wasSettled := w.service, w.settled
	var aims states
	for _, state := range was {
		aims = aims.or(targetState(verb, state))
	}
	removes := verb == "delete" || verb == "reset"
	unclear := !wasSettled || c.mayStop() || c.how == disruptHostagents
	switch {
	case r.code == 0:
		w.service = aims
		if verb == "stop" && was.is(svcRuns) && !c.mayStop() && strings.Contains(r.err, "was not running") {
			w.t.Fatal("the service was started, but the command says that it was not running")
		}
	case (r.code == 4 || r.code == 130) && strings.Contains(strings.ToLower(r.err), "nothing was done"):
	case (r.code == 4 || r.code == 130) && removes:
		var left states
		for _, state := range was {
			left = left.or(targetState("stop", state))
		}
		w.service = left
	case r.code == 4 || r.code == 130:
		w.service = aims
	case r.code == -1 || unclear:
		w.service = was.or(aims...).or(svcStopped) // also after svcNone: the instance is created before its service starts
		w.deletionKilled = w.deletionKilled || removes
	default:
		w.t.Fatalf("svc %s: exit code %d in a settled state", verb, r.code)
	}
	if (r.code == 4 || r.code == 130) && c.how != disruptByDeadline && c.how != disruptByInterrupt {
		w.t.Fatalf("svc %s: exit code %d without a deadline or Ctrl-C", verb, r.code)
	}
	switch {
	case r.code == 0 && removes:
		for name := range w.vms {
			w.vms[name] = states{vmGone}
		}
	case w.deletionKilled:
		for name := range w.vms {
			w.vms[name] = w.vms[name].or(vmGone)
		}
	}
	if c.mayStop() && (r.code != 0 || verb != "stop" && !removes) {
		w.service = w.service.or(svcStopped)
	}
	stops := verb == "stop" || removes
	switch {
	case c.mayStop() || r.code == -1:
		w.crashed = !stops || r.code != 0 || w.crashed && r.code != 0
	case r.code == 0 && c.how != disruptByNoWait && stops:
		w.crashed = false
		w.checkNothingRuns()
	}
}

// checkNothingRuns checks that no process is left.
func (w *randomWalk) checkNothingRuns() {
	w.t.Helper()
	left := w.processes()
	if !strings.Contains(fmt.Sprint(left), "rddd serve") {
		left = w.left()
	}
	if len(left) > 0 {
		w.t.Fatal("the service is said to have stopped, but these run:", left)
	}
}

// expectVM updates the possible states after a command on a VM.
func (w *randomWalk) expectVM(verb, name string, start bool, c disruption, r result) {
	w.t.Helper()
	was := w.vms[name]
	wish := map[string]states{"create": {vmStopped}, "start": {vmRuns}, "restart": {vmRuns}, "stop": {vmStopped}, "reset": was, "delete": {vmGone}}[verb]
	if start {
		wish = states{vmRuns}
	}
	disturbed := c.mayStop() || c.how == disruptHostagents
	if verb == "create" { // it starts the service
		if starting := strings.Contains(r.err, "The service goes on starting"); starting && r.code == 4 && c.how == disruptByDeadline {
			w.service = states{svcRuns}
			return
		}
		if r.code == 0 {
			w.service = states{svcRuns}
		} else {
			w.service = w.service.or(svcRuns, svcStopped)
		}
	}
	certain := w.settled && !disturbed && w.service.is(svcRuns) && len(was) == 1
	if !certain && verb != "create" && was.allow(vmGone) { // it may be being deleted, and a stop succeeds meanwhile
		wish = wish.or(vmGone)
	}
	switch {
	case r.code == 0:
		w.vms[name] = wish
	case r.code == 4:
		if c.how != disruptByDeadline {
			w.t.Fatal("a timeout without a deadline")
		}
		w.vms[name] = wish.or(was...) // the creation may have been rolled back
		if verb != "create" {
			w.vms[name] = wish
		}
	case certain && r.code == 3 && verb == "create" && !was.is(vmGone), certain && r.code == 1 && verb != "create" && was.is(vmGone), r.code != -1 && r.code != 130 && w.service.is(svcStopped), r.code != -1 && w.service.is(svcNone):
	case r.code == 130 && c.how == disruptByInterrupt, r.code == -1, !certain:
		w.vms[name] = was.or(wish...)
	default:
		w.t.Fatalf("vm %s %s: exit code %d in a settled state", verb, name, r.code)
	}
	if c.mayStop() {
		w.service = w.service.or(svcStopped)
		w.crashed = true
	}
	if r.code == 0 && !disturbed && c.how != disruptByNoWait && w.service.is(svcRuns) && len(w.vms[name]) == 1 {
		w.checkVM(name, w.vms[name][0])
	}
}

// checkVM checks that the VM's processes and files match its state. If earlier commands may have left something in progress,
// it waits for that: the service notices only within a second that a hostagent which it had found at its start was killed, and
// a VM counts as stopped before its directory is made.
func (w *randomWalk) checkVM(name, state string) {
	w.t.Helper()
	var wrong string
	matches := func() bool {
		wrong = w.mismatch(name, state)
		return wrong == ""
	}
	if !matches() && (w.vmsSettled || !testenv.Within(matches)) {
		w.t.Fatal(wrong)
	}
}

// mismatch says which of the VM's processes and files don't match its state; empty if all do.
func (w *randomWalk) mismatch(name, state string) string {
	w.t.Helper()
	for what, lock := range map[string]string{"hostagent": w.vm(name).HostagentLock(), "QEMU": w.vm(name).QEMULock()} {
		if w.lockHeld(lock) != (state == vmRuns) {
			return fmt.Sprintf("VM %s %s; its %s runs: %t", name, state, what, state != vmRuns)
		}
	}
	if has := exists(w.vm(name).Dir()); has != (state != vmGone) {
		return fmt.Sprintf("VM %s %s; it has a directory: %t", name, state, has)
	}
	return ""
}

// settle waits until nothing is in progress, and checks that the actual state is a possible one.
func (w *randomWalk) settle() {
	w.t.Helper()
	if w.deletionKilled { // a killed deletion is completed first
		w.must(0, "svc", "delete")
		w.service, w.deletionKilled, w.crashed = states{svcNone}, false, false
		for name := range w.vms {
			w.vms[name] = states{vmGone}
		}
		w.checkNothingRuns()
	}
	var status result
	w.eventually("the service is not changing", func() bool { status = w.run("svc", "status"); return status.code != 7 })
	is, ok := map[int]string{0: svcRuns, 6: svcStopped, 9: svcNone}[status.code]
	if !ok || !w.service.allow(is) {
		w.t.Fatalf("the service should be in one of the states %v, but is %q: rdd svc status: %+v", w.service, is, status)
	}
	w.service, w.settled = states{is}, true
	serving := map[string]bool{} // by command line, with the nonce: a child that is just starting looks like its parent
	for _, line := range w.processes() {
		if strings.Contains(line, "rddd serve") {
			serving[line] = true
		}
	}
	switch {
	case len(serving) > 1, is == svcRuns && len(serving) != 1:
		w.t.Fatalf("the service %s; its processes: %v", is, w.processes())
	case is != svcRuns && !w.crashed:
		w.checkNothingRuns()
	case is == svcRuns:
		w.crashed = false
		w.settleVMs()
	}
}

// settleVMs waits until each VM has reached its requested state, and checks that it is a possible one. A hostagent may have
// been killed that the service, and so the status, still takes for running: then it waits again.
func (w *randomWalk) settleVMs() {
	w.t.Helper()
	for name, may := range w.vms {
		var wrong string
		matches := func() bool {
			state := w.settleVM(name)
			if !may.allow(state) {
				w.t.Fatalf("VM %s should be in one of the states %v, but is in %s", name, may, state)
			}
			w.vms[name] = states{state}
			wrong = w.mismatch(name, state)
			return wrong == ""
		}
		if !testenv.Within(matches) {
			w.t.Fatal(wrong)
		}
	}
	w.vmsSettled = true
}

// settleVM waits until the VM's status says that it has reached its requested state, and returns that state.
func (w *randomWalk) settleVM(name string) string {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testenv.Timeout)
	defer cancel()
	client := w.client()
	obj, err := client.Resource(limaVMs).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return vmGone
	}
	vm := decodeVM(obj)
	to, state := goalStopped, vmStopped
	switch {
	case vm.DeletionTimestamp != nil:
		to, state = goalGone, vmGone
	case vm.Spec.Running:
		to, state = goalRunning, vmRuns
	}
	err = (&chaosTest{testEnv: w.testEnv, vm: name}).await(ctx, client, vm, to)
	if err == nil && to != goalGone {
		err = wait.Until(ctx, client.Resource(limaVMs), name, func(obj *unstructured.Unstructured) (bool, error) { return vm.Expectation().Created(decodeVM(obj)) })
	}
	if err != nil {
		w.t.Fatalf("VM %s does not become %s: %v", name, to, err)
	}
	return state
}
