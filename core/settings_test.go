package core

import (
	"errors"
	"os"
	"strings"
	"testing"

	"rancherdesktop.io/rdd/internal/diag"
	"rancherdesktop.io/rdd/internal/instance"
)

// testCore returns a core and the path of its settings.
func testCore(t *testing.T) (*Core, string) {
	t.Helper()
	inst := instance.At(t.TempDir(), "default", t.TempDir())
	return New(inst, "test"), inst.SettingsFile()
}

func TestSettingsKeepFieldsOfAnotherVersion(t *testing.T) {
	c, path := testCore(t)
	if s, err := c.Settings(); err != nil || s != DefaultSettings() {
		t.Fatalf("%+v, %v", s, err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Fatal("a read of the settings created the file")
	}
	s := DefaultSettings()
	s.Theme = "dark"
	if err := c.SetSettings(s); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	future := strings.Replace(string(text), "{", "{\n  \"future\": [1, 2],", 1)
	if err := os.WriteFile(path, []byte(future), 0o600); err != nil {
		t.Fatal(err)
	}
	place := WindowPlace{X: 1, Y: 2, Width: 800, Height: 600}
	if err := c.SetWindowPlace(place); err != nil {
		t.Fatal(err)
	}
	s.VMTimeout = 0
	if err := c.SetSettings(s); err != nil {
		t.Fatal(err)
	}
	text, err = os.ReadFile(path)
	if err != nil || !strings.Contains(string(text), `"future"`) {
		t.Errorf("%v\n%s", err, text)
	}
	if got, err := c.Settings(); err != nil || got != s {
		t.Errorf("%+v, %v", got, err)
	}
	if got, ok := c.WindowPlace(); !ok || got != place {
		t.Errorf("%+v, %t", got, ok)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
}

func TestDamagedSettingsAreKept(t *testing.T) {
	for _, text := range []string{"{", "", strings.Repeat("\x00", 200), "null", `{"theme": "loud"}`, `{"vmTimeout": "soon"}`} {
		c, path := testCore(t)
		want := DefaultSettings()
		want.Theme = "dark"
		if err := c.SetSettings(want); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := c.Settings()
		if p, _ := diag.Of(err); s != DefaultSettings() || p.ID != diag.SettingsDamaged || !strings.Contains(err.Error(), path) {
			t.Errorf("%q: %+v, %v", text, s, err)
		}
		err = c.SetWindowPlace(WindowPlace{Width: 1}) // is not a change by the user, so it replaces nothing
		if now, _ := os.ReadFile(path); err != nil && string(now) != text {
			t.Errorf("%q was replaced by %q", text, now)
		}
		if err := c.SetSettings(want); err != nil {
			t.Fatal(err)
		}
		if now, err := c.Settings(); err != nil || now != want {
			t.Errorf("%q: afterwards %+v, %v", text, now, err)
		}
		if kept, err := os.ReadFile(path + ".damaged"); err != nil || !same(kept, text) {
			t.Errorf("%q was kept as %q, %v", text, kept, err)
		}
	}
}

func TestInvalidSettingsAreRefusedByName(t *testing.T) {
	c, path := testCore(t)
	for field, change := range map[string]func(*Settings){
		"theme": func(s *Settings) { s.Theme = "" }, "logLevel": func(s *Settings) { s.LogLevel = "all" }, "onQuit": func(s *Settings) { s.OnQuit = "?" },
		"serviceTimeout": func(s *Settings) { s.ServiceTimeout = -1 }, "vmTimeout": func(s *Settings) { s.VMTimeout = 1 << 30 },
	} {
		s := DefaultSettings()
		change(&s)
		if got, err := s.Check(); got != field || err == nil {
			t.Errorf("%s: %q, %v", field, got, err)
		}
		if err := c.SetSettings(s); KindOf(err) != Usage {
			t.Errorf("%s: %v", field, err)
		}
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the settings were stored")
	}
}

// same reports whether a file has the text, or its values beside the position of the window.
func same(b []byte, text string) bool {
	_, value, object := strings.Cut(strings.TrimSuffix(text, "}"), ":")
	return string(b) == text || object && strings.Contains(string(b), value)
}

// After "Not now" in the first dialog, the page said that containers and images are kept.
func TestSettingsAloneAreNoInstance(t *testing.T) {
	c, path := testCore(t)
	s := DefaultSettings()
	s.FirstRunDone = true
	if err := errors.Join(c.SetSettings(s), c.SetWindowPlace(WindowPlace{Width: 800})); err != nil {
		t.Fatal(err)
	}
	if _, ok := c.WindowPlace(); !ok {
		t.Error("the place of the window was not saved")
	}
	if st, err := c.Service().Status(t.Context()); st.State != ServiceNotCreated || err != nil {
		t.Errorf("%s, %v; want %s", st.State, err, ServiceNotCreated)
	}
	was, err := c.Service().Delete(t.Context(), Wait{})
	if _, gone := os.Stat(path); was || err != nil || !errors.Is(gone, os.ErrNotExist) {
		t.Errorf("delete: %t, %v; settings: %v", was, err, gone)
	}
}
