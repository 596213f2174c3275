// Package tray draws the tray icon and its menu from snapshots of the core; rdd-tray runs it.
package tray
