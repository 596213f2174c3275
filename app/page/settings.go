package page

import (
	"context"
	"slices"

	"rancherdesktop.io/rdd/core"
)

// readSettings returns the settings of an instance, and what starts at login. If there is an error, the settings are the
// defaults.
func readSettings(c *core.Core) (Settings, []core.LoginStatus, error) {
	stored, err := c.Settings()
	login := c.Login().Status()
	starts := func(part core.LoginPart) bool {
		return slices.ContainsFunc(login, func(s core.LoginStatus) bool { return s.Part == part && s.Installed })
	}
	return Settings{stored, starts(core.LoginService), starts(core.LoginTray)}, login, err
}

// loadSettings reads the settings into a view.
func (a *API) loadSettings(view *instanceView) {
	settings, login, err := readSettings(view.core)
	a.change(func() {
		view.settings, view.login, view.settingsProblem = settings, login, nil
		if err != nil {
			view.settingsProblem = problemOf(err)
		}
	})
}

// settingsSet changes some settings.
func (a *API) settingsSet(_ context.Context, change Partial[Settings]) (Settings, error) {
	view := a.current()
	was, _, _ := readSettings(view.core) // the State has the error
	want, err := change.Over(was)
	if err != nil {
		return Settings{}, err
	}
	if field, err := want.Check(); err != nil {
		return Settings{}, badField(field, "%v", err)
	}
	login := view.core.Login()
	if err := startAtLogin(login, core.LoginService, was.StartAtLogin, want.StartAtLogin); err != nil {
		return Settings{}, err
	}
	if err := startAtLogin(login, core.LoginTray, was.TrayAtLogin, want.TrayAtLogin); err != nil {
		return Settings{}, err
	}
	if err := view.core.SetSettings(want.Settings); err != nil {
		return Settings{}, err
	}
	a.loadSettings(view)
	a.mu.Lock()
	defer a.mu.Unlock()
	return view.settings, nil
}

// startAtLogin enables or disables the start of a part at login, if that changes.
func startAtLogin(login *core.Login, part core.LoginPart, was, want bool) (err error) {
	switch {
	case was == want:
	case want:
		_, err = login.Install(part)
	default:
		_, err = login.Uninstall(part)
	}
	return err
}
