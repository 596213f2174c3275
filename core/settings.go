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

// Settings are the settings of a user for the desktop, for waits and for the log level.
type Settings struct {
	Theme          Theme  `json:"theme"`
	ServiceTimeout int    `json:"serviceTimeout"` // seconds until a wait for the service asks whether to continue; 0: never
	VMTimeout      int    `json:"vmTimeout"`      // the same for VMs
	LogLevel       string `json:"logLevel"`       // of the service, from its next start: one of LogLevels
	OnQuit         OnQuit `json:"onQuit"`         // what happens to running VMs: ask, keep-running or stop
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

// DefaultSettings returns the default settings.
func DefaultSettings() Settings {
	return Settings{Theme: ThemeSystem, ServiceTimeout: 90, VMTimeout: 300, LogLevel: "info", OnQuit: OnQuitAsk}
}

// Check returns the name of the first invalid field, and what is wrong with it.
func (s Settings) Check() (field string, err error) {
	for _, f := range []struct {
		field, value string
		allowed      []string
	}{
		{"theme", string(s.Theme), []string{string(ThemeSystem), string(ThemeLight), string(ThemeDark)}},
		{"logLevel", s.LogLevel, LogLevels()},
		{"onQuit", string(s.OnQuit), []string{string(OnQuitAsk), string(OnQuitKeepRunning), string(OnQuitStop)}},
	} {
		if !slices.Contains(f.allowed, f.value) {
			return f.field, fmt.Errorf("%s: %q must be one of %s", f.field, f.value, strings.Join(f.allowed, ", "))
		}
	}
	const longest = 7 * 24 * 60 * 60
	for _, f := range []struct {
		field   string
		seconds int
	}{{"serviceTimeout", s.ServiceTimeout}, {"vmTimeout", s.VMTimeout}} {
		if f.seconds < 0 || f.seconds > longest {
			return f.field, fmt.Errorf("%s: must be between 0 (no limit) and %d seconds; got %d", f.field, longest, f.seconds)
		}
	}
	return "", nil
}

// SettingsError means that the settings file is damaged, so that the defaults are used.
type SettingsError struct {
	File string
	Err  error
}

func (e *SettingsError) Error() string {
	return fmt.Sprintf("the settings can't be used, so the defaults apply: %v. Correct or delete %s; the next change of a setting renames it to %s", e.Err, e.File, atomicfile.Aside(e.File))
}

func (e *SettingsError) Unwrap() error { return e.Err }

// ProblemID returns the ID of the known problem.
func (*SettingsError) ProblemID() string { return string(diag.SettingsDamaged) }

// Settings returns the settings. With an error, they are the defaults. The error is a *SettingsError if the file is damaged.
func (c *Core) Settings() (Settings, error) {
	s := DefaultSettings()
	file, err := c.settingsFile()
	if _, damaged := errors.AsType[*atomicfile.DamagedError](err); err != nil && !damaged {
		return s, Failed("read settings of instance", c.inst.Name, err)
	}
	if err == nil {
		err = decodeFields(file, &s)
	}
	if err == nil {
		_, err = s.Check()
	}
	if err != nil {
		return DefaultSettings(), &SettingsError{c.inst.SettingsFile(), err}
	}
	return s, nil
}

// SetSettings stores settings. Of an instance that doesn't exist, it creates only the directories. Other fields in the file
// stay the same. A damaged file is kept beside the new one.
func (c *Core) SetSettings(s Settings) error {
	const op = "save settings of instance"
	if _, err := s.Check(); err != nil {
		return &Error{Kind: Usage, Op: op, Object: c.inst.Name, Err: err}
	}
	err := c.inst.Create()
	if err == nil {
		_, err = c.Settings()
	}
	if _, damaged := errors.AsType[*SettingsError](err); damaged {
		_, err = atomicfile.PutAside(c.inst.SettingsFile())
	}
	if err == nil {
		err = c.mergeSettings(s)
	}
	return Failed(op, c.inst.Name, err)
}

// WindowPlace is the last position and size of the window, in pixels.
type WindowPlace struct {
	X         int  `json:"x"`
	Y         int  `json:"y"`
	Width     int  `json:"width"`
	Height    int  `json:"height"`
	Maximised bool `json:"maximised,omitempty"`
}

// WindowPlace returns the last position and size of the window. ok is false when none is stored.
func (c *Core) WindowPlace() (p WindowPlace, ok bool) {
	var s struct {
		Window *WindowPlace `json:"window"`
	}
	file, err := c.settingsFile()
	if err != nil || decodeFields(file, &s) != nil || s.Window == nil {
		return p, false
	}
	return *s.Window, true
}

// SetWindowPlace stores the position and size of the window. It does nothing if there is neither an instance nor a setting, because
// showing an instance must not create anything.
func (c *Core) SetWindowPlace(p WindowPlace) error {
	if file, err := c.settingsFile(); err == nil && len(file) == 0 && !c.inst.Exists() {
		return nil
	}
	return Failed("save the window's position for instance", c.inst.Name, c.mergeSettings(map[string]WindowPlace{"window": p}))
}

// settingsFile returns the fields in the settings file. They include those of other versions of RDD, which must be kept.
func (c *Core) settingsFile() (map[string]json.RawMessage, error) {
	fields := map[string]json.RawMessage{}
	err := atomicfile.ReadJSON(c.inst.SettingsFile(), &fields)
	if errors.Is(err, os.ErrNotExist) {
		return fields, nil
	}
	return fields, err
}

// decodeFields copies the fields that to has.
func decodeFields(fields map[string]json.RawMessage, to any) error {
	b, err := json.Marshal(fields)
	if err == nil {
		err = json.Unmarshal(b, to)
	}
	return err
}

// mergeSettings replaces the fields in the settings file that values has.
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

// OnQuit says what happens to the service and its VMs when the user quits the tray.
type OnQuit string

// The choices.
const (
	OnQuitAsk         OnQuit = "ask"
	OnQuitKeepRunning OnQuit = "keep-running"
	OnQuitStop        OnQuit = "stop"
)

// OnQuit returns the user's choice. Without one, or if the settings can't be read, it returns OnQuitAsk.
func (c *Core) OnQuit() OnQuit {
	settings, _ := c.Settings() // with an error, the defaults
	return settings.OnQuit
}

// SetOnQuit stores the user's choice.
func (c *Core) SetOnQuit(choice OnQuit) error {
	settings, _ := c.Settings() // with an error, the defaults
	settings.OnQuit = choice
	return c.SetSettings(settings)
}
