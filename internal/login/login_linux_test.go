package login

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// awkward returns a program in a folder whose name has special characters of systemd, desktops and shells.
func awkward(t *testing.T) Program {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "50% of $HOME my `dir` %h {{x}}")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	p := Program{
		Name: "rdd-test", Title: "RDD (50% test)", Path: filepath.Join(dir, "rdd"),
		Args: []string{"--instance", "a b", "start"}, Stop: []string{"stop", "$x"}, Env: []string{`XDG_DATA_HOME=/a "b"/%d`},
	}
	if err := os.WriteFile(p.Path, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return p
}

// both runs a test against services and desktop entries.
func both(t *testing.T, test func(t *testing.T, system System)) {
	t.Setenv("HOME", t.TempDir())
	t.Run("services", func(t *testing.T) { test(t, Services(os.Getenv("HOME"))) })
	t.Run("desktop", func(t *testing.T) { test(t, Desktop("", filepath.Join(os.Getenv("HOME"), "autostart"))) })
}

func TestInstallAndUninstallMayBeRepeated(t *testing.T) {
	both(t, func(t *testing.T, system System) {
		p := awkward(t)
		moved := p
		moved.Path += "-moved"
		for _, step := range []struct {
			what string
			do   func() (Entry, error)
			want bool
			has  string
		}{
			{"nothing was installed", func() (Entry, error) { return system.Uninstall(p.Name) }, false, ""},
			{"install", func() (Entry, error) { return system.Install(p) }, true, "rdd"},
			{"install again", func() (Entry, error) { return system.Install(p) }, true, "rdd"},
			{"install what has moved", func() (Entry, error) { return system.Install(moved) }, true, "rdd-moved"},
			{"uninstall", func() (Entry, error) { return system.Uninstall(p.Name) }, false, ""},
			{"uninstall again", func() (Entry, error) { return system.Uninstall(p.Name) }, false, ""},
		} {
			e, err := step.do()
			if err != nil || e.Installed != step.want || system.Look(p.Name).Installed != step.want {
				t.Fatalf("%s: %+v, %v", step.what, e, err)
			}
			text, err := os.ReadFile(e.Path)
			if (err == nil) != step.want || !strings.Contains(string(text), step.has) {
				t.Errorf("%s: %v\n%s", step.what, err, text)
			}
		}
		left, err := filepath.Glob(filepath.Join(os.Getenv("HOME"), ".config/systemd/user/*/*"))
		if err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	})
}

func TestSystemdAcceptsTheUnit(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("there is no systemd-analyze")
	}
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_RUNTIME_DIR", home)
	p := awkward(t)
	e, err := Services(home).Install(p)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("systemd-analyze", "verify", "--user", e.Path).CombinedOutput(); err != nil || len(out) > 0 {
		text, _ := os.ReadFile(e.Path)
		t.Errorf("%v\n%s\n%s", err, out, text)
	}
	// Without its quotes the unit is invalid, and systemd-analyze must say so.
	text, _ := os.ReadFile(e.Path)
	bad := strings.NewReplacer(`%%`, `%`, `"`, ``).Replace(string(text))
	if err := os.WriteFile(e.Path, []byte(bad), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("systemd-analyze", "verify", "--user", e.Path).CombinedOutput(); err == nil && len(out) == 0 {
		t.Error("systemd-analyze accepts anything")
	}
}

func TestPathThatNoUnitCanHoldIsRefused(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	for _, path := range []string{`/opt/o'rdd/rdd`, `/opt/"rdd"/rdd`, `/opt/r\dd`, "/opt/a\nExecStart=evil"} {
		system := Services(os.Getenv("HOME"))
		if e, err := system.Install(Program{Name: "rdd-test", Path: path}); err == nil || system.Look("rdd-test").Installed {
			t.Errorf("%q: %+v, %v", path, e, err)
		}
	}
}

func TestDesktopEntry(t *testing.T) {
	p := Program{Title: `RDD \ test`, Path: "/opt/my $dir/50%/rdd-tray", Args: []string{"--instance", `q"b\t`}, Env: []string{"XDG_DATA_HOME=/d a"}}
	text, err := entryText(p)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		`Name=RDD \\ test`,
		`Exec="env" "XDG_DATA_HOME=/d a" "/opt/my \\$dir/50%%/rdd-tray" "--instance" "q\\"b\\\\t"`,
		`TryExec=/opt/my $dir/50%/rdd-tray`,
	} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("want the line %s in\n%s", line, text)
		}
	}
	p.Path = "/opt/a\nExec=evil"
	if text, err := entryText(p); err == nil {
		t.Errorf("a path with a line break was written:\n%s", text)
	}
}

func TestEntryThatIsSwitchedOffInTheDesktopsSettingsIsNotInstalled(t *testing.T) {
	system := Desktop("", t.TempDir())
	e, err := system.Install(awkward(t))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(e.Path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(e.Path, append(text, "Hidden=true\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	if e := system.Look("rdd-test"); e.Installed || e.Note == "" {
		t.Errorf("%+v", e)
	}
}
