package cli

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/internal/instance"
	"rancherdesktop.io/rdd/internal/lifecycle"
)

// readOnly lists the commands that change no state. Every other command waits, unless it is in another list below.
var readOnly = []string{
	"rdd completion bash", "rdd completion fish", "rdd completion powershell", "rdd completion zsh",
	"rdd dashboard", "rdd diagnose", "rdd help", "rdd version",
	"rdd shell", "rdd shell-profile", "rdd status",
	"rdd ctl", "rdd nerdctl", // kubectl and nerdctl have their own flags for waiting
	"rdd vm list", "rdd vm logs", "rdd vm shell", "rdd vm show",
	"rdd service config", "rdd service log", "rdd service paths", "rdd service status",
}

// immediate lists the commands that change a state and have nothing to wait for.
var immediate = []string{
	"rdd service create",  // it writes directories and settings
	"rdd service install", // these write or remove files that the system reads at the next login
	"rdd service uninstall",
	"rdd nerdctl install", // it ends with its download
}

// onlyWaits lists the commands that can't do without waiting: the first changes nothing, the second runs a command afterwards.
var onlyWaits = []string{"rdd ctl wait-condition", "rdd run"}

// timeouts lists the defaults of --timeout that are not 5 minutes.
var timeouts = map[string]time.Duration{"rdd service start": 90 * time.Second}

// newProgram returns rdd in an empty home, and its stderr.
func newProgram(t *testing.T) (*Program, *bytes.Buffer) {
	t.Setenv("HOME", t.TempDir())
	stderr := &bytes.Buffer{}
	return &Program{Out: io.Discard, Err: stderr, In: strings.NewReader(""), Open: func(name string) (*core.Core, error) {
		inst, err := instance.Resolve(name)
		return core.New(inst, "test"), err
	}}, stderr
}

// walk calls do for each command that can be run.
func walk(cmd *cobra.Command, do func(*cobra.Command)) {
	if cmd.Runnable() && (!cmd.HasSubCommands() || cmd.DisableFlagParsing) {
		do(cmd)
	}
	for _, child := range cmd.Commands() {
		walk(child, do)
	}
}

// lineFor returns a command line for cmd with all arguments that it requires.
func lineFor(cmd *cobra.Command, flags ...string) []string {
	args := strings.Fields(cmd.CommandPath())[1:]
	for _, word := range strings.Fields(cmd.Use)[1:] {
		if !strings.HasPrefix(word, "[") {
			args = append(args, strings.ToLower(strings.Trim(word, "[]")))
		}
	}
	return append(args, flags...)
}

func TestEveryCommandThatChangesAStateWaitsInOneWay(t *testing.T) {
	p, stderr := newProgram(t)
	root := p.Command()
	root.InitDefaultCompletionCmd()
	root.InitDefaultHelpCmd()
	refuses := func(cmd *cobra.Command, flags ...string) {
		t.Helper()
		stderr.Reset()
		if code := p.Run(t.Context(), lineFor(cmd, flags...)); code != exitUsage || !strings.Contains(stderr.String(), "timeout") && !strings.Contains(stderr.String(), "--wait=false") {
			t.Errorf("%s %v: exit code %d, %s", cmd.CommandPath(), flags, code, stderr)
		}
	}
	waiting := 0
	walk(root, func(cmd *cobra.Command) {
		path := cmd.CommandPath()
		wait, timeout := cmd.Flags().Lookup("wait"), cmd.Flags().Lookup("timeout")
		if slices.Contains(readOnly, path) || slices.Contains(immediate, path) {
			if wait != nil || timeout != nil {
				t.Errorf("%s waits, but is in a list of commands that don't", path)
			}
			return
		}
		if timeout == nil || (wait == nil) != slices.Contains(onlyWaits, path) {
			t.Errorf("%s changes a state and has no --wait or no --timeout: add both with waits, or add it to a list of this test", path)
			return
		}
		waiting++
		if wait != nil && (wait.Usage != "wait until the operation is done; --wait=false returns when it is accepted" || wait.DefValue != "true") {
			t.Errorf("%s --wait: %q, default %s", path, wait.Usage, wait.DefValue)
		}
		want := timeouts[path]
		if want == 0 {
			want = 5 * time.Minute
		}
		if timeout.Usage != "how long to wait, such as 90s or 5m; 0 waits forever" || timeout.DefValue != want.String() {
			t.Errorf("%s --timeout: %q, default %s", path, timeout.Usage, timeout.DefValue)
		}
		if slices.Contains(onlyWaits, path) {
			return // its arguments have a syntax; see TestWaitCondition
		}
		refuses(cmd, "--timeout=-1s")
		refuses(cmd, "--timeout=soon")
		refuses(cmd, "--timeout=1s", "--wait=false")
	})
	if waiting < 8 {
		t.Errorf("the walk found only %d commands that wait", waiting)
	}
}

// parses returns an error unless the text is a valid command line.
func parses(p *Program, text string) error {
	cmd, rest, err := p.Command().Traverse(strings.Fields(text)[1:])
	if err != nil {
		return err
	}
	if err := cmd.ParseFlags(rest); err != nil {
		return err
	}
	return cmd.ValidateArgs(cmd.Flags().Args())
}

func TestTheCommandThatWaitsAgainIsValid(t *testing.T) {
	p, _ := newProgram(t)
	walk(p.Command(), func(cmd *cobra.Command) {
		if cmd.Annotations[waitAgain] == "" {
			return
		}
		if err := cmd.ParseFlags([]string{"demo"}); err != nil {
			t.Fatal(err)
		}
		_, text, ok := strings.Cut(again(cmd, false), "it again with: ")
		if !ok || strings.Contains(text, "%") {
			t.Errorf("%s: %q", cmd.CommandPath(), text)
		}
		if err := parses(p, text); err != nil {
			t.Errorf("%s: %q: %v", cmd.CommandPath(), text, err)
		}
	})
	if err := parses(p, "rdd vm start"); err == nil {
		t.Error("an invalid command line was accepted")
	}
}

// A stop that reaches its deadline says how to force it, and what is lost then.
func TestAStopThatTimesOutNamesForce(t *testing.T) {
	for _, tc := range []struct{ args, phase, force string }{
		{"svc stop", "stopping", "the virtual machines immediately and lose data that is not written to disk yet, run: rdd svc stop --force"},
		{"svc stop", "", "run: rdd svc stop --force"},
		{"svc restart", "stopping", "run: rdd svc restart --force"},
		{"svc delete", "stopping", "run: rdd svc stop --force"},
		{"svc reset", "stopping", "run: rdd svc stop --force"},
		{"svc --instance other stop", "stopping", "run: rdd --instance other svc stop --force"},
		{"vm stop demo", "stop", "the guest immediately and lose data that is not written to disk yet, run: rdd vm stop demo --force"},
		{"vm restart demo", "stop", "run: rdd vm restart demo --force"},
		{"vm reset demo", "stop", "run: rdd vm reset demo --force"},
		{"vm delete demo", "stop", "run: rdd vm delete demo --force"},
		{"svc stop --force", "stopping", ""},
		{"svc restart", "starting", ""},
		{"svc start", "stopping", ""},
		{"vm restart demo", "boot", ""},
		{"vm stop demo --force", "stop", ""},
	} {
		p, stderr := newProgram(t)
		root := p.Command()
		cmd, rest, err := root.Traverse(strings.Fields(tc.args))
		if err == nil {
			err = cmd.ParseFlags(rest)
		}
		if err != nil {
			t.Fatalf("%s: %v", tc.args, err)
		}
		late := &core.Error{Kind: core.Timeout, Err: &core.Expired{Last: core.Event{Phase: tc.phase}}}
		if code := p.finish(cmd, late); code != exitTimeout || !strings.Contains(stderr.String(), tc.force) || strings.Contains(stderr.String(), "--force") != (tc.force != "") {
			t.Errorf("%s: exit code %d, %s", tc.args, code, stderr)
		}
	}
}

func TestAnInterruptedCreateSaysHowToContinueOrUndoIt(t *testing.T) {
	p, stderr := newProgram(t)
	cmd, rest, err := p.Command().Traverse([]string{"vm", "create", "demo", "./a b.yaml", "--start", "--param", "a=1", "--param=b=2", "--timeout", "1m"})
	if err == nil {
		err = cmd.ParseFlags(rest)
	}
	if err != nil {
		t.Fatal(err)
	}
	undoneBy(cmd, "delete the VM", "rdd vm delete %s")
	p.finish(cmd, context.Canceled)
	if want := "rdd: interrupted: stopped waiting; an accepted operation continues in the background. Wait for it again with: rdd vm start demo\nTo delete the VM instead, run: rdd vm delete demo\n"; stderr.String() != want {
		t.Errorf("got %q, want %q", stderr, want)
	}
	stderr.Reset()
	p.finish(cmd, &lifecycle.NotStartedError{Err: context.Canceled})
	if want := "rdd: interrupted: nothing was done. Run it again with: rdd vm create demo './a b.yaml' --param a=1 --param b=2 --start\n"; stderr.String() != want {
		t.Errorf("got %q, want %q", stderr, want)
	}
}

func TestAnErrorInTheCommandLineNamesTheHelp(t *testing.T) {
	for args, want := range map[string]string{
		"foo":          "rdd: unknown command \"foo\" for \"rdd\"\nSee: rdd --help\n",
		"vm lst":       "rdd: unknown command \"lst\" for \"rdd vm\"; did you mean list?\nSee: rdd vm --help\n",
		"limavm start": "rdd: rdd vm start requires 1 argument, NAME; got 0\nSee: rdd vm start --help\n",
	} {
		p, stderr := newProgram(t)
		if code := p.Run(t.Context(), strings.Fields(args)); code != exitUsage || stderr.String() != want {
			t.Errorf("rdd %s: exit code %d\n got %q\nwant %q", args, code, stderr, want)
		}
	}
}

// An archive of nerdctl has some 250 MB.
func TestTheInstallOfNerdctlShowsHowFarItIs(t *testing.T) {
	p, stderr := newProgram(t)
	archive := filepath.Join(t.TempDir(), "a.tar.gz")
	if err := os.WriteFile(archive, make([]byte, 4<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	p.Run(t.Context(), []string{"nerdctl", "install", "--from", archive, "--digest", "sha256:" + strings.Repeat("0", 64)})
	for _, want := range []string{"download 50 % of 4MiB: reading " + archive + "\n", "download 100 % of 4MiB", "nothing was installed"} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("no %q in:\n%s", want, stderr)
		}
	}
}

func TestWaitCondition(t *testing.T) {
	p, stderr := newProgram(t)
	for _, tc := range []struct {
		args string
		code int
		says string
	}{
		{"limavm/a Running", exitOther, "not running"},
		{"limavm/a Running=False --reason Stopped --since startup --timeout 0", exitOther, "not running"},
		{"limavm/a Running=unknown --since 2026-01-02T15:04:05+01:00", exitOther, "not running"},
		{"limavm/a", exitUsage, "requires 2 arguments"},
		{"limavm Running", exitUsage, `expected TYPE/NAME, such as limavm/demo; got "limavm"`},
		{"limavm/ Running", exitUsage, "expected TYPE/NAME"},
		{"limavm/a/b Running", exitUsage, "expected TYPE/NAME"},
		{"limavm/a Running=Perhaps", exitUsage, "True, False or Unknown"},
		{"limavm/a =True", exitUsage, "expected CONDITION"},
		{"limavm/a Running --since yesterday", exitUsage, "--since requires a time"},
		{"limavm/a Running --timeout=-1s", exitUsage, "must not be negative"},
		{"limavm/a Running --timeout soon", exitUsage, "invalid argument"},
		{"limavm/a Running --wait=false", exitUsage, "unknown flag"},
	} {
		stderr.Reset()
		if code := p.Run(t.Context(), append([]string{"ctl", "wait-condition"}, strings.Fields(tc.args)...)); code != tc.code || !strings.Contains(stderr.String(), tc.says) {
			t.Errorf("%s: exit code %d, %s", tc.args, code, stderr)
		}
	}
}

func TestParams(t *testing.T) {
	for _, tc := range []struct {
		args    string
		set     map[string]string
		removed []string
		wrong   bool
	}{
		{"a=1 b= c-", map[string]string{"a": "1", "b": ""}, []string{"c"}, false},
		{"a=x=y-", map[string]string{"a": "x=y-"}, nil, false},
		{`a="hi" b=x,c=y`, map[string]string{"a": `"hi"`, "b": "x,c=y"}, nil, false},
		{"a", nil, nil, true},
		{"=1", nil, nil, true},
		{"-", nil, nil, true},
		{"a-=1", nil, nil, true},
		{"a=1 a=2", nil, nil, true},
		{"a=1 a-", nil, nil, true},
	} {
		set, removed, err := parseParams(strings.Fields(tc.args), "", true)
		if (err != nil) != tc.wrong {
			t.Errorf("%s: %v", tc.args, err)
		}
		if err == nil && (len(set) != len(tc.set) || !slices.Equal(removed, tc.removed)) {
			t.Errorf("%s: set %v, removed %v", tc.args, set, removed)
		}
		for key, value := range tc.set {
			if set[key] != value {
				t.Errorf("%s: %s is %q", tc.args, key, set[key])
			}
		}
	}
}
