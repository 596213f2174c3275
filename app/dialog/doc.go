// Package dialog holds operations under way, and the questions of those that take too long, as pure state: no
// clock, no client, no goroutine. Package page moves it on; tray, window and browser show it.
package dialog
