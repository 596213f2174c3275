//go:build unix

package instance

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestHomeWithARelativePathIsRefused(t *testing.T) {
	for _, home := range []string{"me", "./me", "~", ""} {
		t.Setenv("HOME", home)
		if _, err := Resolve("i"); err == nil || !strings.Contains(err.Error(), "set it to your home directory") {
			t.Errorf("HOME=%q: %v", home, err)
		}
		if _, err := List(); err == nil {
			t.Errorf("HOME=%q: List succeeded", home)
		}
	}
}

// sudo -E keeps HOME.
func TestRootInAnotherUsersHomeIsRefusedAndLeavesNoFile(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("not root")
	}
	for name, setHome := range map[string]func(home string){
		"HOME": func(home string) { t.Setenv("HOME", home) },
		"XDG_DATA_HOME": func(home string) {
			t.Setenv("HOME", t.TempDir())
			t.Setenv("XDG_DATA_HOME", filepath.Join(home, "data"))
		},
	} {
		home := t.TempDir()
		if err := os.Chown(home, 54321, 54321); err != nil {
			t.Fatal(err)
		}
		setHome(home)
		inst, err := Resolve("i")
		if err != nil {
			t.Fatal(err) // Resolve must work, because it also precedes a status and a stop
		}
		for what, do := range map[string]func() error{
			"create": inst.Create,
			"single": func() error { _, _, err := inst.SingleFiles("tray"); return err },
		} {
			if err := do(); !errors.Is(err, errForeign) || !strings.Contains(err.Error(), home+" belongs to 54321") || strings.Contains(err.Error(), "chown") {
				t.Errorf("%s, %s: %v", name, what, err)
			}
		}
		if left, _ := os.ReadDir(home); len(left) > 0 {
			t.Errorf("%s: root left %v", name, left)
		}
		if err := os.MkdirAll(inst.DataDir(), 0o700); err != nil { // as an earlier version did
			t.Fatal(err)
		}
		if err := inst.Create(); err == nil || name == "HOME" && !strings.Contains(err.Error(), "sudo chown -R 54321 "+filepath.Dir(inst.DataDir())) {
			t.Errorf("%s: the remedy is missing: %v", name, err)
		}
		_ = os.Unsetenv("XDG_DATA_HOME")
	}
}

func TestUserWithoutANameIsRefused(t *testing.T) {
	none := func() (string, error) { return "", &exec.ExitError{} }
	ldap := func() (string, error) { return "jane", nil }
	missing := func() (string, error) { return "", exec.ErrNotFound }
	t.Setenv("USER", "jane") // which os/user accepts instead of an entry
	for _, tc := range []struct {
		uid  int
		env  string
		id   func() (string, error)
		want string
	}{
		{0, "", none, ""},
		{54321, "", ldap, "set USER=jane"},
		{54321, "jane", ldap, ""},
		{54321, "", none, "the uid 54321 has no name"},
		{54321, "jane", none, "the uid 54321 has no name"},
		{54321, "", missing, "USER is not set"},
		{54321, "jane", missing, ""},
	} {
		err := nameOf(tc.uid, tc.env, tc.id)
		if (err == nil) != (tc.want == "") || err != nil && (!strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n")) {
			t.Errorf("%d, USER=%q: %v, want %q", tc.uid, tc.env, err, tc.want)
		}
	}
}
