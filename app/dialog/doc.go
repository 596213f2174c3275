// Package dialog holds the progress and timeout dialogs as pure state; tray and window show them.
package dialog
