//go:build !(linux || freebsd || openbsd || netbsd)

package notify

import "github.com/gen2brain/beeep"

// plain shows notes without buttons and progress.
type plain struct{ queue *queue }

// New returns a Notifier that shows the notes of the program called app.
func New(app string) Notifier {
	beeep.AppName = app
	return plain{newQueue(func(_ string, n *Note) {
		if n != nil {
			_ = beeep.Notify(n.Title, n.Body, "") // fails if the user has turned off notifications
		}
	})}
}

func (p plain) Show(n Note) {
	if n.Percent == 0 { // else each step would be another note
		p.queue.put(n.Key, &n)
	}
}

func (p plain) Withdraw(key string) { p.queue.put(key, nil) }

// Asks is false, because these notes have no buttons.
func (plain) Asks() bool { return false }

func (p plain) Close() { go p.queue.close() }
