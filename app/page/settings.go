package page

import (
	"context"

	"rancherdesktop.io/rdd/core"
)

// settingsSet changes some settings.
func (a *API) settingsSet(_ context.Context, change SettingsChange) (Settings, error) {
	view := a.current()
	want, _ := view.core.Settings() // the defaults if there is an error, which the State shows
	set(&want.Theme, change.Theme)
	set(&want.ServiceTimeout, change.ServiceTimeout)
	set(&want.VMTimeout, change.VMTimeout)
	set(&want.LogLevel, change.LogLevel)
	set(&want.OnQuit, change.OnQuit)
	set(&want.FirstRunDone, change.FirstRunDone)
	if field, err := want.Check(); err != nil {
		return Settings{}, badField(field, "%v", err)
	}
	for part, start := range map[core.LoginPart]*bool{core.LoginService: change.StartAtLogin, core.LoginTray: change.TrayAtLogin} {
		if err := startAtLogin(view.core.Login(), part, start); err != nil {
			return Settings{}, err
		}
	}
	if err := view.core.SetSettings(want); err != nil {
		return Settings{}, err
	}
	a.loadSettings(view)
	a.mu.Lock()
	defer a.mu.Unlock()
	return view.settings, nil
}

// startAtLogin enables or disables the start of a part at login; nil leaves it as it is.
func startAtLogin(login *core.Login, part core.LoginPart, start *bool) (err error) {
	switch {
	case start == nil:
	case *start:
		_, err = login.Install(part)
	default:
		_, err = login.Uninstall(part)
	}
	return err
}

func set[T any](field, value *T) {
	if value != nil {
		*field = *value
	}
}
