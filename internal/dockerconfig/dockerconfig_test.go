//go:build unix

package dockerconfig

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	app "rancherdesktop.io/rdd/internal/api/app/v1alpha1"
	"rancherdesktop.io/rdd/internal/instance"
	"rancherdesktop.io/rdd/internal/testenv"
)

// newFiles are docker's files in a folder that doesn't exist yet, on a computer without another engine.
func newFiles(t *testing.T) Files {
	t.Helper()
	root := t.TempDir()
	return Files{
		Dir: filepath.Join(root, ".docker"), StateFile: filepath.Join(root, "state.json"),
		Context: "rdd", Description: "RDD", Host: "unix://" + filepath.Join(root, "rdd.sock"),
		builtin: "unix://" + filepath.Join(root, "no.sock"),
	}
}

// write makes config.json.
func write(t *testing.T, f Files, text string) {
	t.Helper()
	if err := os.MkdirAll(f.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(f.config(), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func text(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func ensure(t *testing.T, f Files, mode app.DockerContextMode) (current bool, problem string) {
	t.Helper()
	current, problem, err := f.Ensure(t.Context(), mode)
	if err != nil || !f.Exists() {
		t.Fatal(err, f.Exists())
	}
	return current, problem
}

func remove(t *testing.T, f Files) {
	t.Helper()
	if err := f.Remove(t.Context()); err != nil || f.Exists() {
		t.Fatal(err, f.Exists())
	}
}

func listen(t *testing.T) (path string, l *net.UnixListener) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "engine.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return path, l
}

func TestConfigFileIsAsBeforeAfterTheContextHasGone(t *testing.T) {
	for name, tc := range texts {
		if name == "is it already" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			f := newFiles(t)
			write(t, f, tc.text)
			if err := writeContext(f.Dir, "old", "", "tcp://192.0.2.1:2375"); err != nil { // to be given back
				t.Fatal(err)
			}
			current, problem := ensure(t, f, app.DockerContextAlways)
			if mark := strings.HasPrefix(tc.text, bom); current == mark || (problem != "") != mark {
				t.Errorf("current %t, %s", current, problem)
			}
			if got := text(t, f.config()); got != tc.want {
				t.Errorf("%q; want %q", clip([]byte(got)), clip([]byte(tc.want)))
			}
			if got := text(t, filepath.Join(f.Dir, backupFile)); got != tc.text {
				t.Errorf("the backup has %q", clip([]byte(got)))
			}
			// A second start, with Docker's files as they are, changes nothing.
			if ensure(t, f, app.DockerContextAlways); text(t, f.config()) != tc.want {
				t.Errorf("%q", text(t, f.config()))
			}
			remove(t, f)
			want := tc.text
			switch d, err := parse([]byte(tc.text)); {
			case err != nil:
				t.Fatal(err)
			case d.open < 0:
				want = "{}" + tc.text
			case d.current() != "old" && !builtin(d.current()): // there is no such context
				b, err := d.with("")
				if err != nil {
					t.Fatal(err)
				}
				want = string(b)
			}
			if got := text(t, f.config()); got != want {
				t.Errorf("after the end: %q; want %q", clip([]byte(got)), clip([]byte(want)))
			}
			if _, err := os.Stat(filepath.Join(f.Dir, backupFile)); (err == nil) != (want != tc.text) {
				t.Errorf("the backup: %v", err)
			}
		})
	}
}

func TestConfigFileThatCannotBeChangedIsLeftAlone(t *testing.T) {
	for name, tc := range refused {
		t.Run(name, func(t *testing.T) {
			f := newFiles(t)
			write(t, f, tc.text)
			current, problem := ensure(t, f, app.DockerContextAlways)
			if current || !strings.Contains(problem, tc.why) || !strings.Contains(problem, f.config()) || !strings.Contains(problem, "docker --context rdd") {
				t.Errorf("%t, %s", current, problem)
			}
			remove(t, f) // docker ignores such a file, or it names another context
			if got := text(t, f.config()); got != tc.text {
				t.Errorf("%q", got)
			}
			only(t, f.Dir, "config.json", "contexts")
		})
	}
}

// only checks what a folder holds.
func only(t *testing.T, dir string, names ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var have []string
	for _, e := range entries {
		have = append(have, e.Name())
	}
	if fmt.Sprint(have) != fmt.Sprint(names) {
		t.Errorf("%s holds %q; want %q", dir, have, names)
	}
}

const simple = "{\n\t\"currentContext\": \"old\"\n}"

func TestFilesThatMustNotBeReplaced(t *testing.T) {
	for name, tc := range map[string]struct {
		make func(t *testing.T, f Files)
		why  string
	}{
		"read-only": {func(t *testing.T, f Files) {
			write(t, f, simple)
			_ = os.Chmod(f.config(), 0o400)
		}, "read-only"},
		"link into a read-only folder": {func(t *testing.T, f Files) {
			store := filepath.Join(filepath.Dir(f.Dir), "store")
			_ = os.Mkdir(store, 0o700)
			_ = os.WriteFile(filepath.Join(store, "docker.json"), []byte(simple), 0o644)
			_ = os.Symlink(filepath.Join(store, "docker.json"), f.config())
			_ = os.Chmod(store, 0o555)
			t.Cleanup(func() { _ = os.Chmod(store, 0o700) })
		}, "read-only"},
		"link to a missing file": {func(_ *testing.T, f Files) { _ = os.Symlink("missing", f.config()) }, "missing"},
		"link in a circle":       {func(_ *testing.T, f Files) { _ = os.Symlink("config.json", f.config()) }, "too many links"},
		"folder":                 {func(_ *testing.T, f Files) { _ = os.Mkdir(f.config(), 0o700) }, "folder"},
		"FIFO":                   {func(_ *testing.T, f Files) { _ = syscall.Mkfifo(f.config(), 0o600) }, "regular"},
		"huge": {func(t *testing.T, f Files) {
			write(t, f, `{"a": "`+strings.Repeat("x", maxConfig)+`"}`)
		}, "more than 1048576 bytes"},
		"not for this user": {func(t *testing.T, f Files) {
			if os.Geteuid() == 0 {
				t.Skip("root can read everything")
			}
			write(t, f, simple)
			_ = os.Chmod(f.config(), 0)
		}, "permission denied"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFiles(t)
			_ = os.Mkdir(f.Dir, 0o700)
			tc.make(t, f)
			before, err := os.Lstat(f.config())
			if err != nil {
				t.Fatal(err)
			}
			current, problem := ensure(t, f, app.DockerContextAlways)
			if current || !strings.Contains(problem, tc.why) {
				t.Errorf("%t, %s", current, problem)
			}
			after, err := os.Lstat(f.config())
			if err != nil || !os.SameFile(before, after) || after.Mode() != before.Mode() || !after.ModTime().Equal(before.ModTime()) {
				t.Errorf("it was changed: %v, %v", after, err)
			}
			only(t, f.Dir, "config.json", "contexts")
		})
	}
}

func TestLinkModeAndOwnerAreKept(t *testing.T) {
	f := newFiles(t)
	dotfiles := filepath.Join(filepath.Dir(f.Dir), "dotfiles")
	_, _ = os.Mkdir(f.Dir, 0o700), os.Mkdir(dotfiles, 0o700)
	file := filepath.Join(dotfiles, "docker.json")
	if err := os.WriteFile(file, []byte(simple), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join("..", "dotfiles", "docker.json"), f.config()); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(file, 1234, 1234); err != nil {
			t.Fatal(err)
		}
	}
	before, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if current, problem := ensure(t, f, app.DockerContextAuto); !current || problem != "" {
		t.Fatal(current, problem)
	}
	after, err := os.Stat(file)
	if err != nil || after.Mode() != before.Mode() || after.Sys().(*syscall.Stat_t).Uid != before.Sys().(*syscall.Stat_t).Uid {
		t.Errorf("%v, %v", after, err)
	}
	if to, err := os.Readlink(f.config()); err != nil || to != filepath.Join("..", "dotfiles", "docker.json") {
		t.Errorf("%s, %v", to, err)
	}
	if got := text(t, file); got != strings.Replace(simple, "old", "rdd", 1) {
		t.Errorf("%q", got)
	}
	only(t, dotfiles, "docker.json") // the backup may hold passwords, and dotfiles are shared
	info, err := os.Stat(filepath.Join(f.Dir, backupFile))
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

func TestFirstContextOfAUserWithoutDockerFiles(t *testing.T) {
	f := newFiles(t)
	if current, problem := ensure(t, f, app.DockerContextAuto); !current || problem != "" {
		t.Fatal(current, problem)
	}
	for path, mode := range map[string]fs.FileMode{
		f.Dir: fs.ModeDir | 0o700, f.config(): 0o600, filepath.Dir(metaFile(f.Dir, "rdd")): fs.ModeDir | 0o755, metaFile(f.Dir, "rdd"): 0o644,
	} {
		if info, err := os.Stat(path); err != nil || info.Mode() != mode {
			t.Errorf("%s: %v, %v; want %s", path, info, err, mode)
		}
	}
	want := `{"Name":"rdd","Metadata":{"Description":"RDD"},"Endpoints":{"docker":{"Host":"` + f.Host + `","SkipTLSVerify":false}}}`
	if got := text(t, metaFile(f.Dir, "rdd")); got != want {
		t.Errorf("%s; want %s", got, want)
	}
	remove(t, f)
	only(t, f.Dir, "contexts")
	if _, err := os.Stat(f.StateFile); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func TestContextIsTakenOnlyFromAnEngineThatIsGone(t *testing.T) {
	live, _ := listen(t)
	refusing, l := listen(t)
	l.SetUnlinkOnClose(false)
	_ = l.Close()
	missing := filepath.Join(t.TempDir(), "missing.sock")
	for name, tc := range map[string]struct {
		meta    string // of the current context; empty: there is none in the store
		current string // in config.json; empty: none
		builtin string // the socket of docker's own context
		take    bool
		problem string
	}{
		"missing in the store":           {current: "old", builtin: live, take: true},
		"unix, answers":                  {meta: endpointOf("unix://" + live), current: "old", builtin: missing},
		"unix, refuses":                  {meta: endpointOf("unix://" + refusing), current: "old", builtin: live, take: true},
		"unix, missing":                  {meta: endpointOf("unix://" + missing), current: "old", builtin: live, take: true},
		"unix, in a missing folder":      {meta: endpointOf("unix://" + missing + "/x/y"), current: "old", builtin: live, take: true},
		"unix, below a file":             {meta: endpointOf("unix://" + live + "/x"), current: "old", builtin: live, take: true},
		"tcp that doesn't answer":        {meta: endpointOf("tcp://127.0.0.1:1"), current: "old", builtin: missing},
		"tcp that can't be resolved":     {meta: endpointOf("tcp://docker.invalid:2376"), current: "old", builtin: missing},
		"ssh":                            {meta: endpointOf("ssh://nobody@127.0.0.1:1"), current: "old", builtin: missing},
		"named pipe":                     {meta: endpointOf("npipe:////./pipe/docker_engine"), current: "old", builtin: missing},
		"no address, default answers":    {meta: endpointOf(""), current: "old", builtin: live},
		"no address, default is missing": {meta: endpointOf(""), current: "old", builtin: missing, take: true},
		"damaged":                        {meta: `{"Name":`, current: "old", builtin: missing, problem: "is damaged"},
		"not for docker":                 {meta: `{"Name":"old","Endpoints":{"kubernetes":{}}}`, current: "old", builtin: missing, problem: "is damaged"},
		"none, default answers":          {builtin: live},
		"none, default is missing":       {builtin: missing, take: true},
		"none, default refuses":          {builtin: refusing, take: true},
		"default by name, answers":       {current: "default", builtin: live},
		"default by name, missing":       {current: "default", builtin: missing, take: true},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFiles(t)
			f.builtin = "unix://" + tc.builtin
			config := "{}"
			if tc.current != "" {
				config = `{"currentContext": "` + tc.current + `"}`
			}
			write(t, f, config)
			if tc.meta != "" {
				path := metaFile(f.Dir, tc.current)
				if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(tc.meta), 0o644)); err != nil {
					t.Fatal(err)
				}
			}
			if current, problem := ensure(t, f, app.DockerContextNever); current || problem != "" || text(t, f.config()) != config {
				t.Errorf("Never: %t, %s", current, problem)
			}
			current, problem := ensure(t, f, app.DockerContextAuto)
			if current != tc.take || tc.problem == "" && problem != "" || !strings.Contains(problem, tc.problem) {
				t.Errorf("Auto: %t, %s", current, problem)
			}
			name, there, err := f.Current()
			if err != nil || (name == "rdd") != tc.take || !there || !tc.take && text(t, f.config()) != config {
				t.Errorf("%s, %v", name, err)
			}
			if current, problem := ensure(t, f, app.DockerContextAlways); !current || problem != "" {
				t.Errorf("Always: %t, %s", current, problem)
			}
			remove(t, f)
			want := config
			if tc.meta == "" && tc.current == "old" { // there is nothing to give back
				want = "{}"
			}
			if got := text(t, f.config()); got != want {
				t.Errorf("after the end: %q; want %q", got, want)
			}
		})
	}
}

func endpointOf(host string) string {
	return `{"Name":"old","Metadata":{},"Endpoints":{"docker":{"Host":"` + host + `","SkipTLSVerify":false}}}`
}

func TestUsersLaterChoiceIsKept(t *testing.T) {
	f := newFiles(t)
	write(t, f, `{"currentContext": "old"}`)
	if current, problem := ensure(t, f, app.DockerContextAuto); !current || problem != "" {
		t.Fatal(current, problem)
	}
	write(t, f, `{"currentContext": "mine"}`)
	if err := writeContext(f.Dir, "mine", "", "tcp://192.0.2.1:1"); err != nil {
		t.Fatal(err)
	}
	if current, problem := ensure(t, f, app.DockerContextAuto); current || problem != "" {
		t.Error(current, problem)
	}
	remove(t, f)
	if got := text(t, f.config()); got != `{"currentContext": "mine"}` {
		t.Errorf("%q", got)
	}
}

// docker does nothing at all while its current context is missing.
func TestContextStaysWhileItMustStayCurrent(t *testing.T) {
	f := newFiles(t)
	if current, problem := ensure(t, f, app.DockerContextAuto); !current || problem != "" {
		t.Fatal(current, problem)
	}
	for name, spoil := range map[string]func(){
		"read-only":  func() { _ = os.Chmod(f.config(), 0o400) },
		"two values": func() { write(t, f, `{"currentContext": "rdd"} {}`) },
		"huge":       func() { write(t, f, `{"currentContext": "rdd", "a": "`+strings.Repeat("x", maxConfig)+`"}`) },
	} {
		before := text(t, f.config())
		spoil()
		if err := f.Remove(t.Context()); err == nil || !strings.Contains(err.Error(), "docker context use default") || !f.Exists() {
			t.Errorf("%s: %v", name, err)
		}
		_ = os.Chmod(f.config(), 0o600)
		write(t, f, before)
	}
	remove(t, f)
}

func TestContextOfAnotherProgramIsKept(t *testing.T) {
	f := newFiles(t)
	if err := writeContext(f.Dir, "rdd", "mine", "ssh://me@server"); err != nil {
		t.Fatal(err)
	}
	before := text(t, metaFile(f.Dir, "rdd"))
	current, problem, err := f.Ensure(t.Context(), app.DockerContextAlways)
	if err != nil || current || f.Exists() || !strings.Contains(problem, "ssh://me@server") || !strings.Contains(problem, "docker context rm rdd") {
		t.Errorf("%t, %s, %v", current, problem, err)
	}
	remove(t, f)
	if got := text(t, metaFile(f.Dir, "rdd")); got != before {
		t.Errorf("%s", got)
	}
}

func TestContextIsRepaired(t *testing.T) {
	f := newFiles(t)
	ensure(t, f, app.DockerContextAuto)
	for name, spoil := range map[string]func() error{
		"removed": func() error { return os.RemoveAll(contextDir(f.Dir, "meta", "rdd")) },
		"damaged": func() error { return os.WriteFile(metaFile(f.Dir, "rdd"), []byte("{"), 0o644) },
		"moved":   func() error { f.Host += "2"; return nil }, // the home directory has another path
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		if current, problem := ensure(t, f, app.DockerContextAuto); !current || problem != "" {
			t.Errorf("%s: %t, %s", name, current, problem)
		}
	}
	// What the user says about it stays.
	mine := strings.Replace(text(t, metaFile(f.Dir, "rdd")), `"RDD"`, `"mine"`, 1)
	if err := os.WriteFile(metaFile(f.Dir, "rdd"), []byte(mine), 0o644); err != nil {
		t.Fatal(err)
	}
	if ensure(t, f, app.DockerContextAuto); text(t, metaFile(f.Dir, "rdd")) != mine {
		t.Error(text(t, metaFile(f.Dir, "rdd")))
	}
}

func TestDockerFolderThatMovesLeavesNothingBehind(t *testing.T) {
	f := newFiles(t)
	ensure(t, f, app.DockerContextAuto)
	moved := f.in(filepath.Join(filepath.Dir(f.Dir), "elsewhere"))
	if current, problem := ensure(t, moved, app.DockerContextAuto); !current || problem != "" {
		t.Error(current, problem)
	}
	if f.Exists() {
		t.Error("the context is also in the old folder")
	}
	only(t, f.Dir, "contexts")
	remove(t, moved)
}

// Another program may write config.json at any moment.
func TestChangeOfAnotherProgramIsNotLost(t *testing.T) {
	f := newFiles(t)
	write(t, f, `{"a": 1}`)
	rounds := 0
	_, ok, err := change(f.Dir, func(*document) (string, bool, error) {
		if rounds++; rounds < 3 {
			write(t, f, fmt.Sprintf(`{"a": %d}`, rounds+1))
		}
		return `"rdd"`, true, nil
	})
	if got := text(t, f.config()); !ok || err != nil || got != `{"a": 3,"currentContext": "rdd"}` {
		t.Errorf("%q, %t, %v", got, ok, err)
	}
	_, ok, err = change(f.Dir, func(*document) (string, bool, error) {
		rounds++
		write(t, f, fmt.Sprintf(`{"a": %d}`, rounds))
		return `"rdd"`, true, nil
	})
	if got := text(t, f.config()); ok || !errors.Is(err, errChanged) || got != fmt.Sprintf(`{"a": %d}`, rounds) {
		t.Errorf("%q, %t, %v", got, ok, err)
	}
	only(t, f.Dir, "config.json", "config.json.rdd-backup")
}

func TestDockerAcceptsTheContext(t *testing.T) {
	program := testenv.Program(t, "docker", "docker.io")
	f := newFiles(t)
	docker := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), program, args...)
		cmd.Env = []string{"HOME=" + filepath.Dir(f.Dir), "DOCKER_CONFIG=" + f.Dir, "PATH=/usr/bin:/bin"}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("docker %q: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	is := func(want string) {
		t.Helper()
		if got := docker("context", "inspect", "--format", "{{.Name}} {{.Endpoints.docker.Host}}"); got != want {
			t.Errorf("docker uses %s; want %s", got, want)
		}
	}
	if current, problem := ensure(t, f, app.DockerContextAlways); !current || problem != "" {
		t.Fatal(current, problem)
	}
	is("rdd " + f.Host)
	if list := docker("context", "ls", "--format", "{{.Name}}\t{{.Description}}\t{{.DockerEndpoint}}"); !strings.Contains(list, "rdd\tRDD\t"+f.Host) {
		t.Error(list)
	}
	docker("context", "create", "other", "--docker", "host=tcp://192.0.2.1:2375")
	docker("context", "use", "other")
	is("other tcp://192.0.2.1:2375")
	if current, problem := ensure(t, f, app.DockerContextAuto); current || problem != "" {
		t.Error(current, problem)
	}
	docker("context", "use", "rdd")
	is("rdd " + f.Host)
	docker("context", "use", "other")
	if current, problem := ensure(t, f, app.DockerContextAlways); !current || problem != "" {
		t.Error(current, problem)
	}
	is("rdd " + f.Host)
	remove(t, f)
	is("other tcp://192.0.2.1:2375")
	if list := docker("context", "ls", "--format", "{{.Name}}"); strings.Contains(list, "rdd") {
		t.Error(list)
	}
}

func TestOverrideNamesTheVariable(t *testing.T) {
	home := t.TempDir()
	for _, key := range []string{"DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "RDD_INSTANCE", "XDG_DATA_HOME"} {
		t.Setenv(key, "")
	}
	t.Setenv("HOME", home)
	resolve := func() instance.Instance {
		inst, err := instance.Resolve("work")
		if err != nil {
			t.Fatal(err)
		}
		return inst
	}
	inst := resolve()
	if err := inst.MakeDirs(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Of(inst).Ensure(t.Context(), app.DockerContextNever); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ key, value, want string }{
		{"", "", ""},
		{"DOCKER_HOST", "tcp://192.0.2.1:1", "DOCKER_HOST"},
		{"DOCKER_HOST", inst.DockerHost(), ""},
		{"DOCKER_CONTEXT", "default", "DOCKER_CONTEXT"},
		{"DOCKER_CONTEXT", "rdd-work", ""},
		{"DOCKER_CONFIG", t.TempDir(), "DOCKER_CONFIG"},
	} {
		t.Run(tc.key+"="+tc.value, func(t *testing.T) {
			if tc.key != "" {
				t.Setenv(tc.key, tc.value)
			}
			if got := Override(resolve()); tc.want == "" && got != "" || !strings.Contains(got, tc.want) {
				t.Errorf("%q; want %q", got, tc.want)
			}
		})
	}
}
