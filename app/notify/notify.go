// Package notify shows desktop notifications. On Linux they have buttons and progress, on other systems only text. If
// the desktop shows no notifications, nothing happens. No call waits for the desktop, except as its comment says.
package notify

// Note is one notification.
type Note struct {
	Key     string // a note replaces the one with the same key, in the same place
	Title   string
	Body    string
	Percent int // progress, 1 to 100; 0: none
	Actions []Action
	Default string // key of the action of a click on the note itself; may be empty
	Urgent  bool   // it stays until the user acts

	// Chosen is called at most once, on a goroutine of its own, with the key of the action that the user has chosen.
	// It is called with "" when the note was closed without a choice. May be nil.
	Chosen func(action string)
}

// Action is a button of a note.
type Action struct{ Key, Label string }

// Notifier shows notes.
type Notifier interface {
	// Show shows a note soon. If several notes with the same key wait to be shown, only the last one is.
	Show(Note)
	// Withdraw removes the note with that key, if it is still shown. Its Chosen is not called.
	Withdraw(key string)
	// Asks reports whether the desktop shows notes with buttons. It waits for the answer for at most 3 s.
	Asks() bool
	// Close shows the notes that wait to be shown, for at most 3 s.
	Close()
}
