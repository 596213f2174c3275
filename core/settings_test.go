package core

import (
	"os"
	"strings"
	"testing"

	"rancherdesktop.io/rdd/internal/instance"
)

func settled(t *testing.T) (*Core, string) {
	t.Helper()
	inst := instance.At(t.TempDir(), "default", t.TempDir())
	return New(inst, "test"), inst.SettingsFile()
}

func TestSettingsKeepWhatAnotherVersionWrote(t *testing.T) {
	c, path := settled(t)
	if s, err := c.Settings(); err != nil || s != DefaultSettings() {
		t.Fatalf("%+v, %v", s, err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Fatal("looking at settings has written them")
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

func TestDamagedSettingsAreNotOverwritten(t *testing.T) {
	c, path := settled(t)
	if err := c.SetSettings(DefaultSettings()); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"{", `{"theme": "loud"}`, `{"vmTimeout": "soon"}`} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if s, err := c.Settings(); err == nil || s != DefaultSettings() || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %+v, %v", text, s, err)
		}
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := c.SetSettings(DefaultSettings()); err == nil {
		t.Error("a damaged file was overwritten")
	}
	if text, _ := os.ReadFile(path); string(text) != "{" {
		t.Errorf("%s", text)
	}
}

func TestSettingsThatCantBeAreRefusedByName(t *testing.T) {
	c, path := settled(t)
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
		t.Error("something was stored")
	}
}
