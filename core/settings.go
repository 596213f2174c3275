package core

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"rancherdesktop.io/rdd/internal/atomicfile"
	"rancherdesktop.io/rdd/internal/diag"
)

// Settings are what a user chose about the desktop's windows and about waiting.
type Settings struct {
	Theme          Theme  `json:"theme"`
	ServiceTimeout int    `json:"serviceTimeout"` // seconds until a wait for the service asks how to go on; 0: never
	VMTimeout      int    `json:"vmTimeout"`      // the same for VMs
	LogLevel       string `json:"logLevel"`       // of the service, from its next start on: one of LogLevels
	OnQuit         OnQuit `json:"onQuit"`         // what becomes of running VMs: ask, keep-running or stop
	FirstRunDone   bool   `json:"firstRunDone"`
}

// Theme is the colour scheme of the page.
type Theme string

// The themes. ThemeSystem is that of the desktop.
const (
	ThemeSystem Theme = "system"
	ThemeLight  Theme = "light"
	ThemeDark   Theme = "dark"
)

// DefaultSettings are those of a user who has chosen nothing.
func DefaultSettings() Settings {
	return Settings{Theme: ThemeSystem, ServiceTimeout: 90, VMTimeout: 300, LogLevel: "info", OnQuit: OnQuitAsk}
}

// Check returns the name of the first field that can't be, and why.
func (s Settings) Check() (field string, err error) {
	for _, f := range []struct {
		field, value string
		known        []string
	}{
		{"theme", string(s.Theme), []string{string(ThemeSystem), string(ThemeLight), string(ThemeDark)}},
		{"logLevel", s.LogLevel, LogLevels()},
		{"onQuit", string(s.OnQuit), []string{string(OnQuitAsk), string(OnQuitKeepRunning), string(OnQuitStop)}},
	} {
		if !slices.Contains(f.known, f.value) {
			return f.field, fmt.Errorf("%s: %q must be one of %s", f.field, f.value, strings.Join(f.known, ", "))
		}
	}
	const longest = 7 * 24 * 60 * 60
	switch {
	case s.ServiceTimeout < 0 || s.ServiceTimeout > longest:
		return "serviceTimeout", fmt.Errorf("serviceTimeout: must be between 0 (no limit) and %d seconds; got %d", longest, s.ServiceTimeout)
	case s.VMTimeout < 0 || s.VMTimeout > longest:
		return "vmTimeout", fmt.Errorf("vmTimeout: must be between 0 (no limit) and %d seconds; got %d", longest, s.VMTimeout)
	}
	return "", nil
}

// SettingsError means that the settings can't be what the user chose, and are the defaults.
type SettingsError struct {
	File string
	Err  error
}

func (e *SettingsError) Error() string {
	return fmt.Sprintf("the settings can't be used, so the defaults apply: %v. Correct or delete %s; the next change of a setting renames it to %s", e.Err, e.File, atomicfile.Aside(e.File))
}

func (e *SettingsError) Unwrap() error { return e.Err }

// ProblemID names the known problem.
func (*SettingsError) ProblemID() string { return string(diag.SettingsDamaged) }

// Settings returns what the user chose. They are usable even when the error says why they are the defaults,
// which is a *SettingsError when the file is damaged.
func (c *Core) Settings() (Settings, error) {
	s := DefaultSettings()
	file, err := c.settingsFile()
	if _, damaged := errors.AsType[*atomicfile.DamagedError](err); err != nil && !damaged {
		return s, Failed("read settings of instance", c.inst.Name, err)
	}
	if err == nil {
		err = reread(file, &s)
	}
	if err == nil {
		_, err = s.Check()
	}
	if err != nil {
		return DefaultSettings(), &SettingsError{c.inst.SettingsFile(), err}
	}
	return s, nil
}

// SetSettings stores settings, and makes the instance when it is missing. What else is in the file stays.
// A file that is damaged is kept beside the new one.
func (c *Core) SetSettings(s Settings) error {
	const op = "save settings of instance"
	if _, err := s.Check(); err != nil {
		return &Error{Kind: Usage, Op: op, Object: c.inst.Name, Err: err}
	}
	if err := c.inst.Create(); err != nil {
		return Failed(op, c.inst.Name, err)
	}
	if err := c.putDamagedSettingsAside(); err != nil {
		return Failed(op, c.inst.Name, err)
	}
	return Failed(op, c.inst.Name, c.mergeSettings(s))
}

func (c *Core) putDamagedSettingsAside() error {
	_, err := c.Settings()
	if _, damaged := errors.AsType[*SettingsError](err); !damaged {
		return err
	}
	_, err = atomicfile.PutAside(c.inst.SettingsFile())
	return err
}

// WindowPlace is where the window was last, in pixels.
type WindowPlace struct {
	X         int  `json:"x"`
	Y         int  `json:"y"`
	Width     int  `json:"width"`
	Height    int  `json:"height"`
	Maximised bool `json:"maximised,omitempty"`
}

// WindowPlace returns where the window was last; ok is false when nobody knows.
func (c *Core) WindowPlace() (p WindowPlace, ok bool) {
	var s struct {
		Window *WindowPlace `json:"window"`
	}
	file, err := c.settingsFile()
	if err != nil || reread(file, &s) != nil || s.Window == nil {
		return p, false
	}
	return *s.Window, true
}

// SetWindowPlace remembers where the window is, for an instance that exists: looking at one makes none.
func (c *Core) SetWindowPlace(p WindowPlace) error {
	if !c.inst.Exists() {
		return nil
	}
	return Failed("save the window's position for instance", c.inst.Name, c.mergeSettings(map[string]WindowPlace{"window": p}))
}

// settingsFile is the file by field, so that the fields of another version stay in it.
func (c *Core) settingsFile() (map[string]json.RawMessage, error) {
	fields := map[string]json.RawMessage{}
	err := atomicfile.ReadJSON(c.inst.SettingsFile(), &fields)
	if errors.Is(err, os.ErrNotExist) {
		return fields, nil
	}
	return fields, err
}

// reread fills to from the fields that it knows.
func reread(fields map[string]json.RawMessage, to any) error {
	b, err := json.Marshal(fields)
	if err == nil {
		err = json.Unmarshal(b, to)
	}
	return err
}

// mergeSettings replaces the fields that values has.
func (c *Core) mergeSettings(values any) error {
	fields, err := c.settingsFile()
	if err != nil {
		return err
	}
	b, err := json.Marshal(values)
	if err == nil {
		err = json.Unmarshal(b, &fields)
	}
	if err == nil {
		b, err = json.MarshalIndent(fields, "", "  ")
	}
	if err != nil {
		return err
	}
	return atomicfile.Write(c.inst.SettingsFile(), append(b, '\n'))
}

// OnQuit is what happens to the service and its VMs when the user quits the tray.
type OnQuit string

// The answers.
const (
	OnQuitAsk         OnQuit = "ask"
	OnQuitKeepRunning OnQuit = "keep-running"
	OnQuitStop        OnQuit = "stop"
)

// OnQuit is what the user chose; OnQuitAsk when nothing was, or it can't be read.
func (c *Core) OnQuit() OnQuit {
	settings, _ := c.Settings() // usable with an error, too
	return settings.OnQuit
}

// SetOnQuit remembers what the user chose. The other settings stay as they are.
func (c *Core) SetOnQuit(choice OnQuit) error {
	settings, _ := c.Settings() // usable with an error, too
	settings.OnQuit = choice
	return c.SetSettings(settings)
}
