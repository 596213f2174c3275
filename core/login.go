package core

import (
	"fmt"
	"slices"

	"rancherdesktop.io/rdd/internal/instance"
	"rancherdesktop.io/rdd/internal/login"
)

// LoginPart is what can start when the user logs in.
type LoginPart string

// The parts.
const (
	LoginService LoginPart = "service" // with the VMs that are to run
	LoginTray    LoginPart = "tray"    // the icon in the desktop's panel
)

// LoginParts lists them.
func LoginParts() []LoginPart { return []LoginPart{LoginService, LoginTray} }

// LoginStatus is how one part starts at login. Scripts rely on its JSON.
type LoginStatus struct {
	Part      LoginPart `json:"part"`
	Installed bool      `json:"installed"`
	Path      string    `json:"path"`           // the file that says so, or the value in the registry
	Note      string    `json:"note,omitempty"` // what a user should know of it
}

// Login is what of an instance starts when the user logs in. All of it is the user's own and asks for
// no administrator.
type Login struct{ core *Core }

// Login returns what of the instance starts at login.
func (c *Core) Login() *Login { return &Login{c} }

// loginPart is a part with where it is kept.
type loginPart struct {
	part    LoginPart
	system  login.System
	program func(instance.Instance) (login.Program, error)
}

func (l *Login) parts(only []LoginPart) []loginPart {
	inst := l.core.inst
	all := []loginPart{
		{LoginService, login.Services(inst.Home()), serviceProgram},
		{LoginTray, login.Desktop(inst.Home(), inst.AutostartDir()), trayProgram},
	}
	return slices.DeleteFunc(all, func(p loginPart) bool { return len(only) > 0 && !slices.Contains(only, p.part) })
}

// name is that of the part's entry; it tells instances apart.
func (p loginPart) name(inst instance.Instance) string {
	if p.part == LoginTray {
		return inst.Context() + "-tray"
	}
	return inst.Context()
}

// Status looks at all parts. It changes nothing.
func (l *Login) Status() (all []LoginStatus) {
	for _, p := range l.parts(nil) {
		all = append(all, p.status(p.system.Look(p.name(l.core.inst))))
	}
	return all
}

// Install makes parts start at the next login, all if none is named, and says where it put what. It
// starts nothing now.
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
		program.Name = p.name(l.core.inst)
		return p.system.Install(program)
	})
}

// Uninstall undoes Install. What runs goes on.
func (l *Login) Uninstall(only ...LoginPart) ([]LoginStatus, error) {
	return l.change("no longer start at login", only, func(p loginPart) (login.Entry, error) {
		return p.system.Uninstall(p.name(l.core.inst))
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
