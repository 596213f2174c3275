package main

import "github.com/spf13/cobra"

// runWrapper does nothing: on Windows there are no wrappers for QEMU and ssh.
func runWrapper() (code int, ok bool) { return 0, false }

func dialCommand() *cobra.Command { return &cobra.Command{Use: "dial", Hidden: true} }

// guardCommand is not used: on Windows a job ends what a program has started.
func guardCommand() *cobra.Command { return &cobra.Command{Use: "guard", Hidden: true} }
