package main

import "github.com/spf13/cobra"

// intercepted is false: on Windows nothing stands before QEMU and ssh.
func intercepted() (code int, ok bool) { return 0, false }

func dialCommand() *cobra.Command { return &cobra.Command{Use: "dial", Hidden: true} }

// guardCommand is not used: on Windows a job ends what a program has started.
func guardCommand() *cobra.Command { return &cobra.Command{Use: "guard", Hidden: true} }
