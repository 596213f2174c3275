// Package window is the API that the settings window binds to its page: thin methods over the core; rdd-window runs it.
package window
