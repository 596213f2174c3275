package core

import (
	"fmt"
	"slices"

	"rancherdesktop.io/rdd/internal/instance"
	"rancherdesktop.io/rdd/internal/login"
)

// LoginPart is a part of RDD that can start when the user logs in.
type LoginPart string

// The parts.
const (
	LoginService LoginPart = "service" // with its VMs
	LoginTray    LoginPart = "tray"    // the icon in the desktop's panel
)

// LoginParts lists the parts.
func LoginParts() []LoginPart { return []LoginPart{LoginService, LoginTray} }

// LoginStatus reports whether a part starts at login. Scripts rely on its JSON.
type LoginStatus struct {
	Part      LoginPart `json:"part"`
	Installed bool      `json:"installed"`
	Path      string    `json:"path"`           // the file, or the value in the registry
	Note      string    `json:"note,omitempty"` // a hint for the user
}

// Login manages the parts of an instance that start when the user logs in. It needs no administrator.
type Login struct{ core *Core }

// Login returns the parts of the instance that start at login.
func (c *Core) Login() *Login { return &Login{c} }

// loginPart is a part, and the system's list that its entry is in.
type loginPart struct {
	part    LoginPart
	system  login.System
	name    string // of the entry; unique among instances
	program func(instance.Instance) (login.Program, error)
}

// parts returns the named parts, or all if none is named.
func (l *Login) parts(only []LoginPart) []loginPart {
	inst := l.core.inst
	all := []loginPart{
		{LoginService, login.Services(inst.Home()), inst.Context(), serviceProgram},
		{LoginTray, login.Desktop(inst.Home(), inst.AutostartDir()), inst.Context() + "-tray", trayProgram},
	}
	return slices.DeleteFunc(all, func(p loginPart) bool { return len(only) > 0 && !slices.Contains(only, p.part) })
}

// Status returns the status of all parts. It changes nothing.
func (l *Login) Status() (all []LoginStatus) {
	for _, p := range l.parts(nil) {
		all = append(all, p.status(p.system.Look(p.name)))
	}
	return all
}

// Install makes the parts start at the next login, or all parts if none is named. It returns their new status, and starts
// nothing now.
func (l *Login) Install(only ...LoginPart) ([]LoginStatus, error) {
	const op = "start at login"
	if err := l.core.inst.CheckHome(); err != nil {
		return nil, Failed(op, l.core.inst.Name, err)
	}
	return l.change(op, only, func(p loginPart) (login.Entry, error) {
		program, err := p.program(l.core.inst)
		if err != nil {
			return login.Entry{}, err
		}
		program.Name = p.name
		return p.system.Install(program)
	})
}

// Uninstall undoes Install. Running programs continue.
func (l *Login) Uninstall(only ...LoginPart) ([]LoginStatus, error) {
	return l.change("stop starting at login", only, func(p loginPart) (login.Entry, error) {
		return p.system.Uninstall(p.name)
	})
}

func (l *Login) change(op string, only []LoginPart, do func(loginPart) (login.Entry, error)) (all []LoginStatus, err error) {
	for _, part := range only {
		if !slices.Contains(LoginParts(), part) {
			return nil, &Error{Kind: Usage, Op: op, Object: l.core.inst.Name, Err: fmt.Errorf("unknown part %q; must be one of %v", part, LoginParts())}
		}
	}
	for _, p := range l.parts(only) {
		entry, err := do(p)
		if err != nil {
			return all, Failed(op, l.core.inst.Name, fmt.Errorf("%s: %w", p.part, err))
		}
		all = append(all, p.status(entry))
	}
	return all, nil
}

func (p loginPart) status(e login.Entry) LoginStatus {
	return LoginStatus{Part: p.part, Installed: e.Installed, Path: e.Path, Note: e.Note}
}

func serviceProgram(inst instance.Instance) (login.Program, error) {
	path, err := inst.CLI()
	do := func(verb string) []string {
		return []string{"--instance", inst.Name, "service", verb, "--progress", "plain", "--timeout", "5m"}
	}
	return login.Program{Title: title("RDD service", inst), Path: path, Args: do("start"), Stop: do("stop"), Env: inst.Environment()}, err
}

func trayProgram(inst instance.Instance) (login.Program, error) {
	path, err := inst.Program("rdd-tray")
	return login.Program{Title: title("RDD", inst), Path: path, Args: []string{"--instance", inst.Name}, Env: inst.Environment()}, err
}

func title(what string, inst instance.Instance) string {
	if inst.Name == instance.Default {
		return what
	}
	return fmt.Sprintf("%s (%s)", what, inst.Name)
}
