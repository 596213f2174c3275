package login

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/kardianos/service"
)

// Services and Desktop are the same here: agents, which launchd starts when the user's session begins.
func Services(home string) System { return launchd{filepath.Join(home, "Library", "LaunchAgents")} }

// Desktop is as Services.
func Desktop(home, _ string) System { return Services(home) }

type launchd struct{ dir string }

// label is the name that launchd knows an agent by.
func label(name string) string { return "io.rancherdesktop." + name }

func (l launchd) file(name string) string { return filepath.Join(l.dir, label(name)+".plist") }

func (l launchd) Look(name string) Entry {
	e := Entry{Path: l.file(name)}
	_, err := os.Stat(e.Path)
	e.Installed = err == nil
	return e
}

// path is where Homebrew, MacPorts and the system keep programs such as QEMU; launchd's own has only the last.
const path = "/opt/homebrew/bin:/usr/local/bin:/opt/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"

func (l launchd) Install(p Program) (Entry, error) {
	if _, err := l.Uninstall(p.Name); err != nil { // it may name a program that has moved
		return Entry{}, err
	}
	env := map[string]string{"PATH": path}
	for _, kv := range p.Env {
		key, value, _ := strings.Cut(kv, "=")
		env[key] = value
	}
	agent, err := service.New(nil, &service.Config{
		Name: label(p.Name), DisplayName: p.Title, Executable: p.Path, Arguments: p.Args, EnvVars: env,
		Option: service.KeyValue{"UserService": true, "RunAtLoad": true, "KeepAlive": false, "LogDirectory": os.TempDir()},
	})
	if err == nil {
		err = agent.Install()
	}
	if err != nil {
		return Entry{}, err
	}
	e := l.Look(p.Name)
	e.Note = "it is used from the next login on"
	return e, nil
}

// Uninstall leaves what runs running: to unload an agent would end it.
func (l launchd) Uninstall(name string) (Entry, error) {
	if err := os.Remove(l.file(name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return Entry{}, err
	}
	return l.Look(name), nil
}
