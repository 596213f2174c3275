//go:build !linux

// Package desktoptest is a desktop for tests on Linux.
package desktoptest
