package cli

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"text/tabwriter"

	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/core/property"
	"rancherdesktop.io/rdd/internal/instance"
	"rancherdesktop.io/rdd/internal/lifecycle"
)

// fullReport is a report with all that it can have, as rdd status -o json prints it.
const fullReport = `{
  "instance": "default", "state": "running",
  "service": {"state": "running", "version": "v1.2.3", "log": "/log/rddd.log"},
  "virtualMachine": {"name": "rd", "state": "Running", "cpus": 4, "memory": 6442450944, "acceleration": "emulation", "restartNeeded": ["processors 2 → 4"]},
  "engine": {"name": "moby", "version": "26.1.5", "apiVersion": "1.45", "socket": "/home/me/.rdd/default/docker.sock", "containers": 2},
  "dockerContext": {"name": "rdd", "exists": true, "current": true, "used": true},
  "containers": {"total": 4, "states": {"running": 2, "exited": 1, "paused": 1}, "items": [
    {"name": "web", "id": "1", "image": "nginx:1.29", "state": "running"},
    {"name": "db", "id": "2", "image": "registry.example.com/a/rather/long/path/postgres:18", "state": "running"},
    {"name": "cache", "id": "3", "image": "redis", "state": "paused"},
    {"name": "job", "id": "4", "image": "busybox", "state": "exited"}]},
  "ports": [
    {"protocol": "tcp", "hostAddress": "127.0.0.1:8080", "guestAddress": "172.17.0.2:80", "container": "web", "state": "Forwarded"},
    {"protocol": "tcp", "hostAddress": "[::1]:8080", "guestAddress": "172.17.0.2:80", "container": "web", "state": "Forwarded"},
    {"protocol": "tcp", "hostAddress": "127.0.0.1:8443", "guestAddress": "172.17.0.2:443", "container": "web", "state": "Forwarded"},
    {"protocol": "tcp", "hostAddress": "[::1]:8443", "guestAddress": "172.17.0.2:443", "container": "web", "state": "Forwarded"},
    {"protocol": "udp", "hostAddress": "127.0.0.1:53", "guestAddress": "0.0.0.0:53", "state": "Busy", "message": "busy: systemd-resolved (process 812) has it"},
    {"protocol": "tcp", "hostAddress": "0.0.0.0:5432", "guestAddress": "172.17.0.3:5432", "container": "db", "state": "NotPermitted", "message": "not permitted; allow it with: rdd set ports.bindAddresses=0.0.0.0"}],
  "disk": {"name": "data", "used": 96636764160, "capacity": 107374182400, "allocated": 97710505984, "maximum": 107374182400, "percent": 90, "warning": "the data disk is 90 % full"},
  "problems": ["The clock of the guest is wrong.\nSee the log."]
}`

const fullText = `App              running
Service          running, version v1.2.3
VM               rd, Running, 4 processors, 6GiB of memory, slow: without hardware acceleration
Restart needed   processors 2 → 4; apply with: rdd --instance other restart
Engine           moby 26.1.5 (API 1.45)
Socket           /home/me/.rdd/default/docker.sock
Docker context   rdd, docker commands use it
Containers       2 running, 1 paused, 1 exited
                 web     nginx:1.29                                 up
                 db      registry.example.com/a/rather/long/path…   up
                 cache   redis                                      up
Ports            127.0.0.1:8080, [::1]:8080/tcp → web
                 127.0.0.1:8443, [::1]:8443/tcp → web
                 127.0.0.1:53/udp → 0.0.0.0:53, busy: systemd-resolved (process 812) has it
                 0.0.0.0:5432/tcp → db, not permitted; allow it with: rdd --instance other set ports.bindAddresses=0.0.0.0
Disk             90GiB used of 100GiB (90 %), 91GiB allocated on this computer
                 warning: the data disk is 90 % full
Problems         The clock of the guest is wrong.
                 See the log.
`

func TestStatusShowsAllOnOneScreen(t *testing.T) {
	var r core.AppReport
	if err := json.Unmarshal([]byte(fullReport), &r); err != nil {
		t.Fatal(err)
	}
	for i := range r.Containers.Items {
		r.Containers.Items[i].Summary = "up"
	}
	for _, tc := range []struct {
		change func(r *core.AppReport)
		want   string
	}{
		{func(*core.AppReport) {}, fullText},
		{
			func(r *core.AppReport) {
				*r = core.AppReport{State: core.AppNotCreated, Service: core.ServiceReport{State: core.ServiceNotCreated}}
			},
			"App       not-created\nService   not-created\n\nStart it with: rdd --instance other start\n",
		},
		{
			func(r *core.AppReport) {
				*r = core.AppReport{State: core.AppBroken, Message: "StartFailed: no QEMU\nmore", Service: core.ServiceReport{State: core.ServiceRunning, Version: "v1"}}
			},
			"App       broken: StartFailed: no QEMU …\nService   running, version v1\n\nLook for the cause with: rdd --instance other diagnose; try it again with: rdd --instance other start\n",
		},
		{
			func(r *core.AppReport) {
				*r = core.AppReport{State: core.AppBroken, Message: "the service is broken: x", Service: core.ServiceReport{State: core.ServiceBroken, Error: "x", Log: "/l"}}
			},
			"App       broken: the service is broken: x\nService   broken, see its log: /l\n\nLook for the cause with: rdd --instance other diagnose\n",
		},
	} {
		p, _ := newProgram(t)
		s := &session{Program: p, root: p.Command(), instance: "other"}
		report := r
		tc.change(&report)
		var out bytes.Buffer
		w := tabwriter.NewWriter(&out, 0, 0, 3, ' ', 0)
		s.printReport(w, &report)
		_ = w.Flush()
		if out.String() != tc.want {
			t.Errorf("got:\n%s\nwant:\n%s", &out, tc.want)
		}
	}
}

// docker can't list the containers of containerd.
func TestTheReportNamesTheClientOfTheEngine(t *testing.T) {
	running := &core.ContainersReport{Total: maxContainers + 2, States: map[string]int{"running": maxContainers + 2}}
	for range running.Total {
		running.Items = append(running.Items, core.ContainerReport{Name: "web", State: "running"})
	}
	for name, want := range map[core.EngineName]string{core.Moby: "and 2 more; see: docker ps\n", core.Containerd: "and 2 more; see: rdd nerdctl ps\n"} {
		p, _ := newProgram(t)
		s := &session{Program: p, root: p.Command()}
		var r core.AppReport
		if err := json.Unmarshal([]byte(fullReport), &r); err != nil {
			t.Fatal(err)
		}
		r.Engine.Name, r.Containers = name, running
		var out bytes.Buffer
		s.printReport(&out, &r)
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s: got:\n%s\nwant %q", name, &out, want)
		}
	}
}

func TestStartSaysHowDockerReachesTheApp(t *testing.T) {
	for _, tc := range []struct {
		context core.DockerContext
		want    string
	}{
		{core.DockerContext{Name: "rdd", Exists: true, Current: true, Used: true}, `docker commands use it (docker context "rdd")`},
		{core.DockerContext{Name: "rdd", Exists: true}, "docker commands use another context; use this one with: rdd run docker, or: docker context use rdd"},
		{core.DockerContext{Name: "rdd", Exists: true, Current: true, Override: "DOCKER_HOST is set"}, "docker commands do not use it, except those in rdd run: DOCKER_HOST is set"},
		{core.DockerContext{Name: "rdd"}, "or set DOCKER_HOST=unix:///s"},
	} {
		if got := dockerHint(tc.context, "unix:///s"); !strings.Contains(got, tc.want) {
			t.Errorf("%+v: %q, want %q", tc.context, got, tc.want)
		}
	}
}

// What --watch prints twice in a row says nothing.
func TestTheScreenShowsChanges(t *testing.T) {
	for _, tc := range []struct {
		clears bool
		texts  string
		want   string
	}{
		{false, "a|a|b", "a\nb\n"},
		{false, "a\nb|a\nc", "a\nb\n\na\nc\n"},
		{false, "---\na|---\nb", "---\na\n---\nb\n"},
		{true, "a|a|b", "\x1b[H\x1b[2J\x1b[3Ja\n\x1b[H\x1b[2J\x1b[3Jb\n"},
	} {
		var out bytes.Buffer
		screen := &screen{out: &out, clears: tc.clears}
		for text := range strings.SplitSeq(tc.texts, "|") {
			if err := screen.show(text + "\n"); err != nil {
				t.Fatal(err)
			}
		}
		if out.String() != tc.want {
			t.Errorf("%q: %q, want %q", tc.texts, &out, tc.want)
		}
	}
}

func TestDeletionNeedsAnAnswer(t *testing.T) {
	for _, tc := range []struct {
		command string
		asks    bool
		answer  string
		yes     bool
		goes    bool
		code    int
		says    string
	}{
		{asks: true, answer: "y\n", goes: true, says: "Continue? [y/N]"},
		{command: "svc delete", asks: true, answer: "y\n", goes: true, says: "Continue? [y/N]"},
		{asks: true, answer: "YES\n", goes: true},
		{asks: true, answer: "n\n", code: exitOther, says: "nothing was deleted"},
		{asks: true, answer: "", code: exitOther, says: "nothing was deleted"},
		{yes: true, goes: true, says: "what it deletes"},
		{code: exitUsage, says: "here is no terminal for the answer; use --yes"},
	} {
		p, stderr := newProgram(t)
		p.Asks, p.In = tc.asks, strings.NewReader(tc.answer)
		s := &session{Program: p}
		s.root = p.Command()
		cmd, _, err := s.root.Find(strings.Fields(cmp.Or(tc.command, "delete")))
		if err != nil {
			t.Fatal(err)
		}
		cmd.SetContext(t.Context())
		ends := cmd.Annotations[endsWithUs]
		_, err = s.confirm(cmd, tc.yes, core.Wait{}, "what it deletes")
		code := p.finish(cmd, err)
		if (err == nil) != tc.goes || code != tc.code || !strings.Contains(stderr.String(), tc.says) {
			t.Errorf("%+v: exit code %d, %v\n%s", tc, code, err, stderr)
		}
		if now := cmd.Annotations[endsWithUs]; tc.goes && now != ends {
			t.Errorf("%s: what ends with the command: %q, after the answer %q", cmd.CommandPath(), ends, now)
		}
	}
}

// createInstance creates the instance that p uses.
func createInstance(t *testing.T, p *Program) instance.Instance {
	t.Helper()
	root, err := os.MkdirTemp("", "rdd") // the path of t.TempDir is too long for a socket's
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	c := core.New(instance.At(root, "default", ""), "test")
	p.Open = func(string) (*core.Core, error) { return c, nil }
	if _, err := c.Service().Create(core.ServiceConfig{}); err != nil {
		t.Fatal(err)
	}
	return c.Instance()
}

// A user was told to start what was starting already, or to start the service when the App was needed.
func TestTheAdviceFitsWhatTheServiceIsDoing(t *testing.T) {
	const claimed, notRunning = "no record of a run", "not running"
	for _, tc := range []struct{ args, phase, says string }{
		{"vm list", notRunning, "the service is not running; start it with: rdd svc start"},
		{"vm list", "starting", "the service is starting (opening the datastore); wait for it with: rdd svc start"},
		{"vm list", "stopping", "the service is stopping (opening the datastore); start it again with: rdd svc start"},
		{"vm list", "failed", "the service is stopping (opening the datastore); start it again with: rdd svc start"},
		{"vm list", claimed, "the service is starting or stopping; wait for it, or start it again, with: rdd svc start"},
		{"svc config", notRunning, "the service is not running; start it with: rdd svc start"},
		{"svc config", "starting", "the service is starting (opening the datastore); wait for it with: rdd svc start"},
		{"shell", notRunning, "the App is not running; start it with: rdd start"},
		{"shell", "starting", "the App is not running: the service is starting (opening the datastore); wait for it with: rdd start"},
		{"nerdctl ps", "stopping", "the App is not running: the service is stopping (opening the datastore); start it again with: rdd start"},
		{"nerdctl ps", claimed, "the App is not running: the service is starting or stopping; wait for it, or start it again, with: rdd start"},
		{"stop", notRunning, "the App is not running, because the service is not"},
		{"stop", "starting", "the service is starting (opening the datastore); wait for it with: rdd svc start"},
		{"stop", "stopping", "the service is stopping, and the App with it; wait for the end with: rdd svc stop"},
		{"stop --shutdown --wait=false", "starting", "the service is stopping"},
		{"start --timeout 1ms", "starting", "The service goes on starting; nothing else was done. Run it again with: rdd start\n"},
		{"set --timeout 1ms virtualMachine.cpus=3", "starting", "The service goes on starting; nothing else was done. Run it again with: rdd set virtualMachine.cpus=3\n"},
		{"vm create --timeout 1ms demo template://alpine", "starting", "The service goes on starting; nothing else was done. Run it again with: rdd vm create demo template://alpine\n"},
		{"run --timeout 1ms true", "starting", "The service goes on starting; nothing else was done. Run it again with: rdd run true\n"},
	} {
		p, stderr := newProgram(t)
		p.Environ = os.Environ()
		inst := createInstance(t, p)
		if tc.phase != notRunning {
			nonce := "nonce"
			if tc.phase == claimed {
				nonce = lifecycle.Leftovers
			} else if err := os.WriteFile(inst.RecordFile(), []byte(`{"nonce":"nonce","phase":"`+tc.phase+`","step":"opening the datastore"}`), 0o600); err != nil {
				t.Fatal(err)
			}
			claim, err := lifecycle.Take(inst, nonce)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = claim.Release() }()
		}
		code := p.Run(t.Context(), strings.Fields(tc.args))
		if !strings.Contains(stderr.String(), tc.says) {
			t.Errorf("%s, %s: exit code %d, want %q\n%s", tc.args, tc.phase, code, tc.says, stderr)
		}
	}
}

// Scripts delete instances without --yes, so only a terminal gets the question.
func TestDeletingAnInstanceAsksOnATerminal(t *testing.T) {
	const deletes = `This deletes instance "default": its virtual machines (demo) with all that is on their disks, such as images, containers and volumes; its data`
	for _, tc := range []struct {
		args, answer string
		asks, goes   bool
		code         int
		says         []string
	}{
		{args: "svc delete", asks: true, answer: "n\n", code: exitOther, says: []string{deletes, "Continue? [y/N]", "nothing was deleted"}},
		{args: "svc delete", asks: true, answer: "", code: exitOther, says: []string{"Continue? [y/N]", "nothing was deleted"}},
		{args: "svc delete", asks: true, answer: "y\n", goes: true, says: []string{deletes, "Continue? [y/N]", "has been deleted"}},
		{args: "svc delete --yes", asks: true, goes: true, says: []string{deletes, "has been deleted"}},
		{args: "svc delete", goes: true, says: []string{deletes, "has been deleted"}},
		{args: "svc reset", asks: true, answer: "n\n", code: exitOther, says: []string{"Settings and backups are kept.\nContinue? [y/N]", "nothing was deleted"}},
		{args: "svc reset -y", asks: true, goes: true, says: []string{"It deletes: its virtual machines (demo)", "has been reset"}},
		{args: "svc reset", goes: true, says: []string{"Settings and backups are kept.", "has been reset"}},
	} {
		p, stderr := newProgram(t)
		inst := createInstance(t, p)
		disk := filepath.Join(inst.LimaHome(), "demo", "disk")
		if err := errors.Join(os.MkdirAll(filepath.Dir(disk), 0o700), os.WriteFile(disk, nil, 0o600),
			os.WriteFile(inst.RecordFile(), []byte(`{"phase":"stopped"}`), 0o600)); err != nil {
			t.Fatal(err)
		}
		p.Asks, p.In = tc.asks, strings.NewReader(tc.answer)
		code := p.Run(t.Context(), strings.Fields(tc.args))
		_, err := os.Stat(disk)
		if gone := errors.Is(err, os.ErrNotExist); code != tc.code || gone != tc.goes {
			t.Errorf("%+v: exit code %d, deleted: %t\n%s", tc, code, gone, stderr)
		}
		for _, want := range tc.says {
			if !strings.Contains(stderr.String(), want) {
				t.Errorf("%s, %q: %q is missing in\n%s", tc.args, tc.answer, want, stderr)
			}
		}
		if asked := strings.Contains(stderr.String(), "Continue?"); asked && (!tc.asks || strings.Contains(tc.args, "-y")) {
			t.Errorf("%s asks\n%s", tc.args, stderr)
		}
	}
}

func TestTheProfileOfAShell(t *testing.T) {
	const tools = "/home/it's me/.rdd/default/bin"
	for _, shell := range []string{"bash", "zsh"} {
		path, err := exec.LookPath(shell)
		if err != nil {
			t.Logf("there is no %s", shell)
			continue
		}
		for bundled, want := range map[bool]string{false: "/usr/bin:/bin:" + tools, true: tools + ":/usr/bin:/bin"} {
			text := profile(shell, tools, "true", bundled)
			cmd := exec.Command(path, "-c", text+text+`echo "$PATH"`) // twice, as in a shell within a shell
			cmd.Env = []string{"PATH=/usr/bin:/bin"}
			out, err := cmd.CombinedOutput()
			if got := strings.TrimSpace(string(out)); err != nil || got != want {
				t.Errorf("%s, bundled %t: %q %v, want %q\n%s", shell, bundled, got, err, want, text)
			}
		}
	}
	for shell, want := range map[string]string{
		"fish":       `fish_add_path --path --append '/home/it\'s me/.rdd/default/bin'`,
		"powershell": `$env:PATH + [IO.Path]::PathSeparator + '/home/it''s me/.rdd/default/bin'`,
	} {
		if text := profile(shell, tools, "rdd", false); !strings.Contains(text, want) || !strings.Contains(text, "completion "+shell) {
			t.Errorf("%s: %s", shell, text)
		}
	}
}

func TestTheHelpOfSetHasAllProperties(t *testing.T) {
	var out bytes.Buffer
	p, _ := newProgram(t)
	p.Out = &out
	if code := p.Run(t.Context(), []string{"set", "--help"}); code != exitOK {
		t.Fatal("exit code", code)
	}
	for _, want := range []string{
		"\n  containerEngine.name=moby|containerd\n      Name of the engine: moby", "\n  virtualMachine.memory=SIZE\n", "\n  virtualMachine.cpus=NUMBER\n",
		"\n  virtualMachine.mounts=PATH[:w],...\n", "\n  ports.bindAddresses=VALUE,...\n", "\n  kubernetes.enabled=true|false\n      Not available yet", "\n      Number of processors. ", "--dry-run",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing:\n%s", want, &out)
		}
	}
	for line := range strings.Lines(out.String()) {
		if len([]rune(line)) > 160 {
			t.Errorf("a line of %d characters: %s", len([]rune(line)), line)
		}
	}
}

func TestAChangeWarnsOfWhatItDoesToContainers(t *testing.T) {
	all, err := property.All()
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		runs        bool
		words, want string
	}{
		{true, "containerEngine.name=containerd", "the images and containers of moby stay on the data disk"},
		{false, "containerEngine.name=containerd", "the images and containers of moby stay on the data disk"},
		{true, "containerEngine.name=containerd", "there again after a change back\nthe virtual machine restarts"},
		{true, "containerEngine.name=moby", ""},
		{true, "containerEngine.name=", ""},
		{true, "virtualMachine.memory=8Gi", "the virtual machine restarts"},
		{false, "virtualMachine.memory=8Gi", ""},
		{true, "ports.bindAddresses=::", ""},
	} {
		changes, err := property.Parse(all, strings.Fields(tc.words))
		if err != nil {
			t.Fatal(err)
		}
		was := &core.App{}
		was.Spec.Running, was.Spec.ContainerEngine.Name = tc.runs, "moby"
		if got := strings.Join(changeWarnings(was, changes), "\n"); !strings.Contains(got, tc.want) || (got == "") != (tc.want == "") {
			t.Errorf("%s: %q, want %q", tc.words, got, tc.want)
		}
	}
}
