package instance

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// home makes dir the home directory and unsets the other variables.
func home(t *testing.T, dir string) {
	t.Helper()
	for _, key := range []string{"RDD_INSTANCE", "RDD_LIBEXEC", "RDD_KEEP_LOGS", "XDG_DATA_HOME", "XDG_STATE_HOME", "LOCALAPPDATA"} {
		t.Setenv(key, "")
	}
	t.Setenv("HOME", dir)
	t.Setenv("USERPROFILE", dir) // Windows
}

func resolve(t *testing.T, name string) Instance {
	t.Helper()
	i, err := Resolve(name)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func TestNames(t *testing.T) {
	home(t, t.TempDir())
	long := strings.Repeat("a", 31)
	for name, ok := range map[string]bool{
		"default": true, "a": true, "0": true, "a-b": true, "a-": true, long: true,
		long + "a": false, "-a": false, "A": false, "a_b": false, "a.b": false, "a/b": false, `a\b`: false, "..": false, "a\n": false, "ä": false, " ": false,
	} {
		i, err := Resolve(name)
		if ok && (err != nil || i.Name != name) || !ok && !errors.Is(err, ErrName) {
			t.Errorf("%q: %q, %v; want accepted: %t", name, i.Name, err, ok)
		}
	}
}

func TestNameComesFromTheFlagThenTheEnvironment(t *testing.T) {
	home(t, t.TempDir())
	if got := resolve(t, "").Name; got != Default {
		t.Errorf("without a name: %q", got)
	}
	t.Setenv("RDD_INSTANCE", "other")
	if got := resolve(t, "").Name; got != "other" {
		t.Errorf("by RDD_INSTANCE: %q", got)
	}
	if got := resolve(t, "mine").Name; got != "mine" {
		t.Errorf("by flag: %q", got)
	}
	t.Setenv("RDD_INSTANCE", "Not a name")
	if _, err := Resolve(""); !errors.Is(err, ErrName) {
		t.Error(err)
	}
}

// defaultDirs are the data, log and short directories of the instance "t", below home.
var defaultDirs = map[string][3]string{
	"linux":   {".local/share/rdd/t", ".local/state/rdd/t/log", ".rdd/t"},
	"darwin":  {"Library/Application Support/rdd/t", "Library/Logs/rdd/t/log", ".rdd/t"},
	"windows": {"AppData/Local/rdd/data/t", "AppData/Local/rdd/state/t/log", ".rdd/t"},
}

func TestDefaultDirectories(t *testing.T) {
	dir := t.TempDir()
	home(t, dir)
	i := resolve(t, "t")
	got := [3]string{i.DataDir(), i.LogDir(), i.ShortDir()}
	for n, want := range defaultDirs[runtime.GOOS] {
		if want = filepath.Join(dir, filepath.FromSlash(want)); got[n] != want {
			t.Errorf("%s, want %s", got[n], want)
		}
	}
}

// variables are the names of the variables that move data and logs, and the resulting directories.
var variables = map[string]struct{ data, logs, inData, inLogs string }{
	"linux":   {"XDG_DATA_HOME", "XDG_STATE_HOME", "rdd/t", "rdd/t/log"},
	"windows": {"LOCALAPPDATA", "LOCALAPPDATA", "rdd/data/t", "rdd/state/t/log"},
}

func TestVariablesMoveDirectories(t *testing.T) {
	m, ok := variables[runtime.GOOS]
	if !ok {
		t.Skip("no variables on this system")
	}
	dir, elsewhere := t.TempDir(), t.TempDir()
	home(t, dir)
	t.Setenv(m.data, elsewhere)
	t.Setenv(m.logs, elsewhere)
	i := resolve(t, "t")
	if data, logs := filepath.Join(elsewhere, filepath.FromSlash(m.inData)), filepath.Join(elsewhere, filepath.FromSlash(m.inLogs)); i.DataDir() != data || i.LogDir() != logs {
		t.Errorf("%s and %s, want %s and %s", i.DataDir(), i.LogDir(), data, logs)
	}
	t.Setenv(m.data, "relative") // is ignored
	if i := resolve(t, "t"); i.DataDir() != filepath.Join(dir, filepath.FromSlash(defaultDirs[runtime.GOOS][0])) {
		t.Errorf("a relative directory was used: %s", i.DataDir())
	}
}

func TestInstancesShareNoPath(t *testing.T) {
	home(t, t.TempDir())
	a, b := resolve(t, "a"), resolve(t, "b")
	if a.Context() == b.Context() {
		t.Error("two instances have the same context")
	}
	shared := []string{"libexec", "share"} // programs, not state
	for n, p := range a.Paths() {
		q := b.Paths()[n]
		if p.Key != q.Key || (p.Path == q.Path) != slices.Contains(shared, p.Key) {
			t.Errorf("%v and %v", p, q)
		}
	}
	// No directory is inside a directory of the other instance.
	for _, dirs := range [][2]string{{a.DataDir(), b.DataDir()}, {a.LogDir(), b.LogDir()}, {a.ShortDir(), b.ShortDir()}} {
		if rel, err := filepath.Rel(dirs[0], dirs[1]); err != nil || !strings.HasPrefix(rel, "..") {
			t.Errorf("%s is in %s", dirs[1], dirs[0])
		}
	}
}

func TestContextsOfInstances(t *testing.T) {
	for name, want := range map[string]string{Default: "rdd", "work": "rdd-work"} {
		if got := (Instance{Name: name}).Context(); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// Without this check, Lima would report the path minutes later.
func TestSocketPathsThatAreTooLongAreRefused(t *testing.T) {
	lima := filepath.Join("x", ".rdd", "t", "lima", "vm", longestSocketName)
	for excess, ok := range map[int]bool{0: true, 1: false, 100: false} {
		root := string(filepath.Separator) + strings.Repeat("h", maxSocketPath-len(lima)-2+excess)
		i := Instance{Name: "t", short: filepath.Join(root, "x", ".rdd", "t")}
		err := i.CheckVM("vm")
		if (err == nil) != ok {
			t.Errorf("%d over: %v", excess, err)
		}
		if excess == 100 && !strings.Contains(err.Error(), "100 shorter") {
			t.Errorf("the excess is missing: %v", err)
		}
	}
}

func TestFailedCreateLeavesNothing(t *testing.T) {
	root := t.TempDir()
	i := At(root, "t", root)
	i.short = filepath.Join(root, strings.Repeat("h", 120))
	if err := i.Create(); err == nil || i.Exists() {
		t.Errorf("%v, exists: %t", err, i.Exists())
	}
	if entries, err := os.ReadDir(root); err != nil || len(entries) != 0 {
		t.Errorf("%v, %v", entries, err)
	}
}

func TestListNamesInstances(t *testing.T) {
	dir := t.TempDir()
	home(t, dir)
	if names, err := List(); err != nil || len(names) != 0 {
		t.Errorf("without instances: %v, %v", names, err)
	}
	for _, name := range []string{"b", "a"} {
		i := resolve(t, name)
		if err := errors.Join(i.MakeDirs(), os.WriteFile(i.ConfigFile(), nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	data := filepath.Dir(resolve(t, "a").DataDir())
	if err := errors.Join(os.Mkdir(filepath.Join(data, "Not a name"), 0o700), os.WriteFile(filepath.Join(data, "file"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if names, err := List(); err != nil || !slices.Equal(names, []string{"a", "b"}) {
		t.Errorf("%v, %v", names, err)
	}
}

func TestProgramsAreFoundInRDD_LIBEXEC(t *testing.T) {
	libexec := t.TempDir()
	home(t, t.TempDir())
	t.Setenv("RDD_LIBEXEC", libexec)
	i := resolve(t, "")
	if _, err := i.Program("rddd"); err == nil || !strings.Contains(err.Error(), "RDD_LIBEXEC") {
		t.Errorf("a missing program: %v", err)
	}
	file := filepath.Join(libexec, "rddd")
	if runtime.GOOS == "windows" {
		file += ".exe"
	}
	if err := os.WriteFile(file, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	if got, err := i.Program("rddd"); err != nil || got != file {
		t.Errorf("%s, %v; want %s", got, err, file)
	}
}

// After a user had emptied the data directory, neither a reset nor a deletion found the VMs.
func TestInstanceWithoutDataExistsWhileItHasVMs(t *testing.T) {
	home(t, t.TempDir())
	i := resolve(t, "t")
	if err := errors.Join(i.MakeDirs(), os.MkdirAll(filepath.Join(i.LimaHome(), "demo"), 0o700)); err != nil {
		t.Fatal(err)
	}
	if names, err := List(); !i.Exists() || len(names) != 1 || err != nil {
		t.Errorf("exists: %t; list: %v, %v", i.Exists(), names, err)
	}
}

// A deletion that was killed before its last step left an instance in the list for good.
func TestInstanceWithoutAnyFileDoesNotExist(t *testing.T) {
	home(t, t.TempDir())
	i := resolve(t, "t")
	if err := i.MakeDirs(); err != nil {
		t.Fatal(err)
	}
	if names, err := List(); i.Exists() || len(names) > 0 || err != nil {
		t.Errorf("exists: %t; list: %v, %v", i.Exists(), names, err)
	}
	if err := os.WriteFile(i.SettingsFile(), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if names, err := List(); i.Exists() || len(names) > 0 || err != nil {
		t.Errorf("with settings: exists: %t; list: %v, %v", i.Exists(), names, err)
	}
	if err := os.WriteFile(i.LockFile(), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if names, err := List(); !i.Exists() || len(names) != 1 || err != nil {
		t.Errorf("exists: %t; list: %v, %v", i.Exists(), names, err)
	}
}
