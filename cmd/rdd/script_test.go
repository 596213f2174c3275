package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"rancherdesktop.io/rdd/core"

	"rancherdesktop.io/rdd/internal/machine/machinetest"
	"rancherdesktop.io/rdd/internal/testenv"
)

func TestMain(m *testing.M) {
	machinetest.Main()
	testscript.Main(m, map[string]func(){"rdd": func() { os.Exit(run()) }})
}

// TestScripts runs rdd commands, with the programs that `make build` built.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, scripts(t, "testdata/script"))
}

// scripts returns the parameters of the scripts in a directory, with the commands that they use.
func scripts(t *testing.T, dir string) testscript.Params {
	t.Helper()
	dist := dist(t)
	need(t, filepath.Join(dist, "libexec", "rdd", "rddd"), "make build")
	deadline, _ := t.Deadline()
	return testscript.Params{
		Dir:                 dir,
		Deadline:            deadline,
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			// The path must be short, because it will hold sockets.
			home, err := os.MkdirTemp("", "rdd")
			if err != nil {
				return err
			}
			env.Setenv("HOME", home)
			env.Setenv("RDD_LIBEXEC", filepath.Join(dist, "libexec", "rdd"))
			env.Setenv("DIST", dist)
			env.Values[heldPorts{}] = map[string]net.Listener{}
			env.Defer(func() {
				if t, ok := env.T().(interface{ Failed() bool }); ok && t.Failed() {
					env.T().Log(guestEvidence(home, dist))
				}
				// Delete all instances of the script, also those in homes that it created below this one.
				instances, err := filepath.Glob(filepath.Join(home, "*", ".local", "share", "rdd", "*"))
				if err != nil {
					t.Error(err)
				}
				for _, instance := range append(instances, filepath.Join(home, ".local/share/rdd/default"), filepath.Join(home, ".local/share/rdd/other")) {
					cmd := exec.Command(filepath.Join(dist, "bin", "rdd"), "svc", "delete", "--instance", filepath.Base(instance))
					cmd.Env = append(os.Environ(), "HOME="+strings.TrimSuffix(filepath.Dir(instance), "/.local/share/rdd"))
					if out, err := cmd.CombinedOutput(); err != nil {
						t.Errorf("clean up %s: %v\n%s", instance, err, out)
					}
				}
				if err := os.RemoveAll(home); err != nil {
					t.Error(err)
				}
			})
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){"exits": exits, "mode": mode, "takeaddress": takeAddress, "keepprobe": keepProbeInScript, "cmpbytes": cmpBytes, "pings": pings, "echoes": echoes, "holds": holds, "freeports": freePorts, "takeport": takePort, "leaveport": leavePort, "registry": registry, "boximage": boxImage, "storm": storm, "newerrdd": newerRDD},
		Condition: func(name string) (bool, error) {
			if name == "mounts" {
				return exec.Command("unshare", "--mount", "true").Run() == nil, nil
			}
			if program, ok := strings.CutPrefix(name, "program:"); ok {
				return hasProgram(program)
			}
			return false, fmt.Errorf("unknown condition %q", name)
		},
	}
}

// programPackages are Debian's packages with the programs that scripts use.
var programPackages = map[string]string{"ctr": "containerd", "docker": "docker.io", "docker-compose": "docker-compose"}

// hasProgram reports whether there is a program that a script can't do without. With RDD_TEST_REQUIRE set, a missing one is an
// error, which fails the script.
func hasProgram(name string) (bool, error) {
	debian := programPackages[name]
	if debian == "" {
		return false, fmt.Errorf("programPackages has no %s", name)
	}
	_, err := exec.LookPath(name)
	if err != nil && testenv.Required() {
		return false, fmt.Errorf("there is no %s; install the package %s", name, debian)
	}
	return err == nil, nil
}

func TestAProgramThatScriptsNeedIsMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv("RDD_TEST_REQUIRE", "")
	if has, err := hasProgram("docker-compose"); has || err != nil {
		t.Errorf("not required: %t %v", has, err)
	}
	t.Setenv("RDD_TEST_REQUIRE", "1")
	if _, err := hasProgram("docker-compose"); err == nil || !strings.Contains(err.Error(), "install the package docker-compose") {
		t.Errorf("required: %v", err)
	}
}

// guestEvidence returns what the guests below a home have last said, and which jobs their systemd has, if they answer.
func guestEvidence(home, dist string) string {
	logs, _ := filepath.Glob(filepath.Join(home, ".local/state/rdd/*/log/vm/*/hostagent.log"))
	consoles, _ := filepath.Glob(filepath.Join(home, ".rdd/*/lima/*/serial.log"))
	var all strings.Builder
	for _, file := range append(consoles, logs...) {
		b, err := os.ReadFile(file)
		lines := strings.Split(string(b), "\n")
		fmt.Fprintf(&all, "%s: %v\n%s\n", file, err, strings.Join(lines[max(0, len(lines)-30):], "\n"))
	}
	for _, console := range consoles {
		vm := filepath.Dir(console)
		instance := filepath.Base(filepath.Dir(filepath.Dir(vm)))
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		cmd := exec.CommandContext(ctx, filepath.Join(dist, "bin", "rdd"), "--instance", instance, "vm", "shell", filepath.Base(vm), "--", "sh", "-c", "systemctl list-jobs --no-pager; ps -eo pid,stat,wchan:20,args")
		cmd.Env, cmd.WaitDelay = append(os.Environ(), "HOME="+home), time.Second
		out, err := cmd.CombinedOutput()
		cancel()
		fmt.Fprintf(&all, "jobs of %s: %v\n%s\n", filepath.Base(vm), err, out)
	}
	return all.String()
}

// exits CODE COMMAND... runs a command that must end with this exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%s: %v", args[1], err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("%v ended with exit code %d, want %d", args[1:], got, want)
	}
}

// takeAddress FILE listens, until the end of the script, at the address of the service whose status is in the file.
func takeAddress(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: takeaddress FILE")
	}
	var status core.ServiceStatus
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &status))
	l, err := net.Listen("tcp", strings.TrimPrefix(status.Server, "https://"))
	ts.Check(err)
	ts.Defer(func() { _ = l.Close() })
}

// freeports VAR... sets variables to ports that are free for TCP and UDP, and that no client gets by chance.
func freePorts(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: freeports VAR...")
	}
	for _, name := range args {
		port := ""
		if !testenv.Within(func() bool {
			port = strconv.Itoa(20000 + rand.IntN(12000))
			l, e1 := net.Listen("tcp", ":"+port)
			c, e2 := net.ListenPacket("udp", ":"+port)
			if e1 == nil {
				_ = l.Close()
			}
			if e2 == nil {
				_ = c.Close()
			}
			return e1 == nil && e2 == nil
		}) {
			ts.Fatalf("no port is free")
		}
		ts.Setenv(name, port)
	}
}

// heldPorts is the key of a script's map of the listeners of takeport, by port.
type heldPorts struct{}

// takeport PORT|SOCKET listens on a port of 127.0.0.1, or on a socket, until leaveport or the end of the script.
func takePort(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: takeport PORT|SOCKET")
	}
	network, address := "tcp4", "127.0.0.1:"+args[0]
	if filepath.IsAbs(args[0]) {
		network, address = "unix", args[0]
	}
	l, err := net.Listen(network, address)
	ts.Check(err)
	ts.Defer(func() { _ = l.Close() })
	ts.Value(heldPorts{}).(map[string]net.Listener)[args[0]] = l
}

func leavePort(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: leaveport PORT|SOCKET")
	}
	ts.Check(ts.Value(heldPorts{}).(map[string]net.Listener)[args[0]].Close())
}

// keepprobe stores the result of a probe of the host's acceleration, so that the default instance doesn't need its own.
func keepProbeInScript(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: keepprobe")
	}
	ts.Check(keepProbe(filepath.Join(ts.Getenv("HOME"), ".rdd", "default", "lima")))
}

// cmpbytes FILE TEXT compares a file, or stdout, with a text in Go's quoting, for bytes that a script can't contain.
func cmpBytes(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: cmpbytes FILE TEXT")
	}
	want, err := strconv.Unquote(`"` + args[1] + `"`)
	ts.Check(err)
	if got := ts.ReadFile(args[0]); got != want {
		ts.Fatalf("%s is %q, want %q", args[0], got, want)
	}
}

// pings SOCKET waits until Docker answers there.
func pings(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: pings SOCKET")
	}
	client := http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", args[0])
	}}}
	var last error
	if !testenv.Within(func() bool {
		answer, err := client.Get("http://docker/_ping")
		if last = err; err != nil {
			return false
		}
		_ = answer.Body.Close()
		return true
	}) {
		ts.Fatalf("Docker does not answer on %s: %v", args[0], last)
	}
}

// echoes NETWORK ADDRESS... waits until what is sent to each address comes back. Over TCP the answer is complete only if the
// end of what was sent arrives, and the answer comes after it.
func echoes(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: echoes NETWORK ADDRESS...")
	}
	for _, address := range args[1:] {
		var last error
		if !testenv.Within(func() bool { last = echo(args[0], address); return last == nil }) {
			ts.Fatalf("%s %s: %v", args[0], address, last)
		}
	}
}

// holds BUNDLE TEXT checks that a file of the archive has a text, in clear or within something in base64. After ! none may have it.
func holds(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: holds BUNDLE TEXT")
	}
	file, err := os.Open(ts.MkAbs(args[0]))
	ts.Check(err)
	defer file.Close()
	unzipped, err := gzip.NewReader(file)
	ts.Check(err)
	var found []string
	files := 0
	for r := tar.NewReader(unzipped); ; files++ {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		ts.Check(err)
		content, err := io.ReadAll(r)
		ts.Check(err)
		for _, form := range forms(args[1]) {
			if strings.Contains(string(content), form) {
				found = append(found, h.Name)
				break
			}
		}
	}
	if (found == nil) != neg {
		ts.Fatalf("of %d files, these hold %q: %q", files, args[1], found)
	}
}

// forms returns how a text looks in clear, and in the midst of something in base64.
func forms(text string) (all []string) {
	all = append(all, text)
	for before := range 3 {
		padded := strings.Repeat("x", before) + text
		// The characters at the ends depend on what is beside the text.
		first, last := (8*before+5)/6, 8*len(padded)/6
		for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			all = append(all, encoding.EncodeToString([]byte(padded))[first:last])
		}
	}
	return all
}

func TestFormsAreFoundInBase64(t *testing.T) {
	for before := range 6 {
		text := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("{", before) + "only-docker-knows-me" + `"}`))
		if !slices.ContainsFunc(forms("only-docker-knows-me"), func(form string) bool { return strings.Contains(text, form) }) {
			t.Errorf("%d before: %s holds none of %q", before, text, forms("only-docker-knows-me"))
		}
	}
}

func echo(network, address string) error {
	conn, err := net.DialTimeout(network, address, 30*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	const question = "is anybody there?"
	if _, err := conn.Write([]byte(question)); err != nil {
		return err
	}
	answer := make([]byte, 2*len(question))
	n := 0
	if half, ok := conn.(*net.TCPConn); ok {
		if err := half.CloseWrite(); err != nil {
			return err
		}
		n, err = io.ReadFull(conn, answer)
		if errors.Is(err, io.ErrUnexpectedEOF) { // it has ended
			err = nil
		}
	} else {
		n, err = conn.Read(answer)
	}
	if err == nil && string(answer[:n]) != question {
		err = fmt.Errorf("the answer is %q", answer[:n])
	}
	return err
}

// mode OCTAL FILE checks a file's permissions.
func mode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: mode OCTAL FILE")
	}
	want, err := strconv.ParseUint(args[0], 8, 32)
	ts.Check(err)
	fi, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := fi.Mode().Perm(); got != os.FileMode(want) {
		ts.Fatalf("%s has mode %o, want %o", args[1], got, want)
	}
}

// dist returns the folder into which `make build` builds.
func dist(t testing.TB) string {
	dir, err := filepath.Abs(filepath.Join("..", "..", "dist"))
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// need skips the test with -short. If a file is missing that a make target builds, it skips the test, or fails it in CI.
func need(t testing.TB, path, target string) {
	t.Helper()
	if testing.Short() {
		t.Skip("runs programs that make builds")
	}
	if _, err := os.Stat(path); err != nil {
		testenv.Missing(t, "%s is missing; make it with: %s", path, target)
	}
}
