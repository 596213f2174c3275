// Package notify shows desktop notifications. On Linux they have buttons and progress, elsewhere only
// words. Where nobody shows notifications, nothing happens. No call waits for the desktop.
package notify

// Note is one notification.
type Note struct {
	Key     string // a note replaces, in place, the one that has its key
	Title   string
	Body    string
	Percent int // 1 to 100; 0: there is no progress to show
	Actions []Action
	Default string // what a click on the note itself chooses; may be empty
	Urgent  bool   // it stays until somebody acts

	// Chosen hears, once at most and on a goroutine of its own, the key of what was chosen. It hears ""
	// when the note was closed without a choice. May be nil.
	Chosen func(action string)
}

// Action is a button of a note.
type Action struct{ Key, Label string }

// Notifier shows notes.
type Notifier interface {
	// Show shows a note soon. Of several with the same key that come faster than they can be shown, the last is.
	Show(Note)
	// Withdraw takes away the note with that key, if it is still there. Nothing is chosen then.
	Withdraw(key string)
	// Asks says whether somebody is there who shows notes with buttons. It asks the desktop, for 1 s at most.
	Asks() bool
	Close()
}
