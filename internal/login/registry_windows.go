package login

import (
	"errors"
	"syscall"

	"golang.org/x/sys/windows/registry"
)

// Services keeps programs as values of the user's Run key. A Windows service would need an administrator, and would run as
// another user.
func Services(string) System { return run{} }

// Desktop is the same as Services here.
func Desktop(_, _ string) System { return run{} }

type run struct{}

const runKey = `Software\Microsoft\Windows\CurrentVersion\Run`

func (run) Look(name string) Entry {
	e := Entry{Path: `HKEY_CURRENT_USER\` + runKey + `\` + name}
	key, err := registry.OpenKey(registry.CURRENT_USER, runKey, registry.QUERY_VALUE)
	if err != nil {
		return e
	}
	defer key.Close()
	_, _, err = key.GetStringValue(name)
	e.Installed = err == nil
	return e
}

func (r run) Install(p Program) (Entry, error) {
	command := syscall.EscapeArg(p.Path)
	for _, arg := range p.Args {
		command += " " + syscall.EscapeArg(arg)
	}
	key, _, err := registry.CreateKey(registry.CURRENT_USER, runKey, registry.SET_VALUE)
	if err != nil {
		return Entry{}, err
	}
	defer key.Close()
	err = key.SetStringValue(p.Name, command)
	return r.Look(p.Name), err
}

func (r run) Uninstall(name string) (Entry, error) {
	key, err := registry.OpenKey(registry.CURRENT_USER, runKey, registry.SET_VALUE)
	if errors.Is(err, registry.ErrNotExist) {
		return r.Look(name), nil
	}
	if err != nil {
		return Entry{}, err
	}
	defer key.Close()
	if err := key.DeleteValue(name); err != nil && !errors.Is(err, registry.ErrNotExist) {
		return Entry{}, err
	}
	return r.Look(name), nil
}
