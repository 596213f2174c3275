// Package login makes programs start when the user logs in, in the user's own scope: nothing of it needs
// an administrator. The core calls it.
package login

// Program is what to start.
type Program struct {
	Name  string // of the entry: one for each program and instance, without spaces
	Title string // what a user reads in the system's lists
	Path  string
	Args  []string
	Stop  []string // arguments that end it in order at logout, where the system asks for that; may be nil
	Env   []string // KEY=VALUE that it needs and a new session may not have
}

// Entry is how a program is started at login.
type Entry struct {
	Path      string // the file, or the value in the registry
	Installed bool
	Note      string // what a user should know of it; may be empty
}

// System keeps the entries of one sort. Both changes may be asked for twice.
type System interface {
	Look(name string) Entry
	Install(p Program) (Entry, error)
	Uninstall(name string) (Entry, error)
}
