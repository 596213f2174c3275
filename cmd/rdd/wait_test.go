package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"rancherdesktop.io/rdd/app/cli"
)

// waitCase is a command that changes a state, and how to prepare something for it to wait for.
type waitCase struct {
	args      string
	before    string // commands, one per line, after which there is something to wait for
	forever   bool   // the requested state is never reached
	needsWait bool   // it can't continue without the command, so --wait=false is refused
	orphan    string // name of a VM without an object, a copy of good
}

// waits has every command that changes a state. The image of the VMs called bad is not reachable, so they never run.
// The VMs called good are never started.
var waits = map[string]waitCase{
	"rdd vm create":       {args: "vm create bad ./unreachable.yaml --start", before: "vm delete bad", forever: true},
	"rdd vm start":        {args: "vm start bad", before: "vm stop bad", forever: true},
	"rdd vm restart":      {args: "vm restart bad", before: "vm stop bad", forever: true},
	"rdd vm stop":         {args: "vm stop bad", before: "vm start bad --wait=false"},
	"rdd vm params":       {args: "vm params good color=blue", before: "vm params good color=red"},
	"rdd vm edit":         {args: "vm edit good --file ./good.yaml", before: "vm edit good --file ./better.yaml"},
	"rdd vm reset":        {args: "vm reset good"},
	"rdd vm adopt":        {args: "vm adopt lost", before: "ctl delete limavm lost --ignore-not-found", orphan: "lost"},
	"rdd vm delete":       {args: "vm delete gone", before: "ctl wait --for=delete limavm/gone --timeout=60s\nvm create gone ./good.yaml --wait=false"},
	"rdd service start":   {args: "svc start", before: "svc stop"},
	"rdd service stop":    {args: "svc stop", before: "svc start"},
	"rdd service restart": {args: "svc restart", before: "svc start"},
	"rdd service delete":  {args: "svc delete", before: "svc start", needsWait: true},
	"rdd service reset":   {args: "svc reset", before: "svc start", needsWait: true},
	"rdd service restore": {}, // with the backups: restore.txtar

	// With a fake engine: TestEveryCommandOfTheAppEndsInOneWay and TestTheEndOfWaitingForTheAppEndsNothingElse.
	"rdd start": {}, "rdd stop": {}, "rdd restart": {}, "rdd set": {}, "rdd reset": {}, "rdd delete": {},
}

// waitEnv is an instance in a home directory of its own, with all the programs that `make build` built.
type waitEnv struct {
	*testing.T
	home, dist string
}

func newWaitEnv(t *testing.T) *waitEnv {
	t.Parallel()
	e := &waitEnv{T: t, dist: dist(t)}
	need(t, filepath.Join(e.dist, "libexec", "rdd", "rddd"), "make build")
	var err error
	if e.home, err = os.MkdirTemp("", "rw"); err != nil { // short, because sockets live below it
		t.Fatal(err)
	}
	t.Cleanup(func() {
		e.must(0, "svc delete")
		if err := os.RemoveAll(e.home); err != nil {
			t.Error(err)
		}
	})
	const plain = "containerd: {user: false, system: false}\n"
	const param = plain + "param: {color: red}\nprovision: [{mode: system, script: 'echo {{.Param.color}}'}]\n"
	for name, text := range map[string]string{
		"unreachable.yaml": "images: [{location: 'http://127.0.0.1:1/image.raw'}]\n" + plain,
		"good.yaml":        "images: [{location: image.raw}]\ndisk: 64MiB\n" + param,
		"better.yaml":      "images: [{location: image.raw}]\ndisk: 96MiB\n" + param,
		"image.raw":        strings.Repeat("\x00", 1<<20),
	} {
		if err := os.WriteFile(filepath.Join(e.home, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return e
}

// command returns an rdd command for this instance, and its stderr.
func (e *waitEnv) command(args string) (*exec.Cmd, *bytes.Buffer) {
	said := &bytes.Buffer{}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // a bug must not block the suite
	e.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, filepath.Join(e.dist, "bin", "rdd"), strings.Fields(args)...)
	cmd.Dir, cmd.Stderr = e.home, said
	cmd.Env = append(os.Environ(), "HOME="+e.home, "DOCKER_CONFIG=", "XDG_DATA_HOME=", "XDG_STATE_HOME=", "RDD_INSTANCE=", "RDD_LIBEXEC="+filepath.Join(e.dist, "libexec", "rdd"))
	return cmd, said
}

// must runs rdd, fails the test unless it ends with this exit code, and returns its stderr.
func (e *waitEnv) must(code int, args string) string {
	e.Helper()
	cmd, said := e.command(args)
	if got := exitCode(cmd.Run()); got != code {
		e.Errorf("rdd %s: exit code %d, want %d\n%s", args, got, code, said)
	}
	return said.String()
}

func exitCode(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	return -1
}

// prepare runs the commands before w.
func (e *waitEnv) prepare(w waitCase) {
	e.Helper()
	for command := range strings.Lines(w.before) {
		e.must(0, command)
	}
	if w.orphan != "" {
		vms := filepath.Join(e.home, ".rdd", "default", "lima")
		if err := os.CopyFS(filepath.Join(vms, w.orphan), os.DirFS(filepath.Join(vms, "good"))); err != nil {
			e.Fatal(err)
		}
	}
}

// expire runs the command of w with a deadline that is too short for it, and returns its stderr. A command that is done
// before its deadline is right to say so; then it is repeated.
func (e *waitEnv) expire(w waitCase) string {
	e.Helper()
	for range 5 {
		e.prepare(w)
		cmd, said := e.command(w.args + " --timeout=1ms")
		switch code := exitCode(cmd.Run()); code {
		case 0:
			e.Logf("rdd %s was done within 1 ms", w.args)
		case 4:
			return said.String()
		default:
			e.Fatalf("rdd %s --timeout=1ms: exit code %d, want 4\n%s", w.args, code, said)
		}
	}
	e.Fatalf("rdd %s --timeout=1ms never reached its deadline", w.args)
	return ""
}

// interrupt runs rdd and sends it a SIGINT after its first line of output.
func (e *waitEnv) interrupt(args string) {
	e.Helper()
	cmd, _ := e.command(args)
	cmd.Stderr = nil
	pipe, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		e.Fatal(err)
	}
	said, interrupted := "", false
	for lines := bufio.NewScanner(pipe); lines.Scan(); {
		said += lines.Text() + "\n"
		if !interrupted {
			interrupted = true
			_ = cmd.Process.Signal(syscall.SIGINT)
		}
	}
	if got := exitCode(cmd.Wait()); got != 130 || !strings.Contains(said, "interrupted: stopped waiting") {
		e.Errorf("rdd %s, interrupted: exit code %d\n%s", args, got, said)
	}
}

// deadline matches the message of every wait at its deadline: the last state, what continues, and what to do next.
var deadline = regexp.MustCompile(`(?s)context deadline exceeded: not done after .*(?:last seen in phase|no progress was reported).*\n(The operation continues in the background\. Wait for|A stop of the service that has begun continues; no more files are deleted\. Run) it again with: rdd ([^\n]+)\n(?:To [^\n]+\n)*$`)

func TestEveryWaitEndsInOneWay(t *testing.T) {
	e := newWaitEnv(t)
	var paths []string
	eachCommand((&cli.Program{}).Command(), func(cmd *cobra.Command) {
		if cmd.Flags().Lookup("wait") == nil {
			return
		}
		if _, ok := waits[cmd.CommandPath()]; !ok {
			t.Errorf("%s has no entry in the table of this test", cmd.CommandPath())
		}
		paths = append(paths, cmd.CommandPath())
	})
	e.must(0, "svc start")
	e.must(0, "vm create good ./good.yaml")
	e.must(0, "vm create bad ./unreachable.yaml --wait=false")
	slices.SortStableFunc(paths, func(a, b string) int { return strings.Compare(b[:len("rdd s")], a[:len("rdd s")]) })
	for _, path := range paths { // commands on the service are last
		w := waits[path]
		if w.args == "" {
			continue
		}
		said := e.expire(w)
		m := deadline.FindStringSubmatch(said)
		switch {
		case m == nil || w.needsWait != strings.HasSuffix(m[1], "Run"):
			t.Errorf("rdd %s at its deadline:\n%s", w.args, said)
		case w.forever:
			e.must(4, m[2]+" --timeout=1ms")
		default:
			e.must(0, m[2])
		}

		e.prepare(w)
		if w.needsWait {
			e.must(2, w.args+" --wait=false")
		} else if said := e.must(0, w.args+" --wait=false"); !strings.Contains(said, "not waiting for it to finish") {
			t.Errorf("rdd %s --wait=false: %s", w.args, said)
		}

		e.prepare(w)
		if !w.forever {
			e.must(0, w.args+" --timeout=0")
			continue
		}
		e.interrupt(w.args + " --timeout=0")
		e.must(0, "svc status")
		cmd, _ := e.command("vm show bad -o json")
		if out, err := cmd.Output(); err != nil || !bytes.Contains(out, []byte(`"running": true`)) {
			t.Errorf("after Ctrl-C: %v\n%s", err, out)
		}
	}
}

// eachCommand calls do for cmd and all its subcommands.
func eachCommand(cmd *cobra.Command, do func(*cobra.Command)) {
	do(cmd)
	for _, child := range cmd.Commands() {
		eachCommand(child, do)
	}
}
