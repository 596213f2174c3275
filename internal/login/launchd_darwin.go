package login

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/kardianos/service"
)

// Services keeps programs as agents, which launchd starts when the user's session begins.
func Services(home string) System { return launchd{filepath.Join(home, "Library", "LaunchAgents")} }

// Desktop is the same as Services here.
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

// path has the directories in which Homebrew, MacPorts and the system keep programs such as QEMU. launchd's own PATH has only
// those of the system.
const path = "/opt/homebrew/bin:/usr/local/bin:/opt/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"

func (l launchd) Install(p Program) (Entry, error) {
	if _, err := l.Uninstall(p.Name); err != nil { // Install of the library refuses to replace a file
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

// Uninstall doesn't unload the agent, because that would end the running program.
func (l launchd) Uninstall(name string) (Entry, error) {
	if err := os.RemoveAll(l.file(name)); err != nil {
		return Entry{}, err
	}
	return l.Look(name), nil
}
