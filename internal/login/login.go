// Package login makes programs start when the user logs in. It changes only files of the user, so it needs no administrator.
// The core calls it.
package login

// Program is a program that starts at login.
type Program struct {
	Name  string // of the entry: one for each program and instance, without spaces
	Title string // shown in the system's lists
	Path  string
	Args  []string
	Stop  []string // arguments that stop it at logout, on systems that support that; may be nil
	Env   []string // KEY=VALUE that it needs and a new session may not have
}

// Entry is what makes a program start at login.
type Entry struct {
	Path      string // the file, or the value in the registry
	Installed bool
	Note      string // what a user should know about it; may be empty
}

// System keeps the entries of one kind. Install and Uninstall may be repeated.
type System interface {
	Look(name string) Entry
	Install(p Program) (Entry, error)
	Uninstall(name string) (Entry, error)
}
