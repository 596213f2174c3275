package main

import "github.com/spf13/cobra"

// runWrapper does nothing: on Windows there are no wrappers for QEMU and ssh.
func runWrapper() (code int, ok bool) { return 0, false }

// wrapperCommands are not needed: on Windows a job ends what a program has started.
func (*flags) wrapperCommands() []*cobra.Command { return nil }
