//go:build !windows

package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"rancherdesktop.io/rdd/internal/lima/hostagent"
	"rancherdesktop.io/rdd/internal/lima/qemu"
	"rancherdesktop.io/rdd/internal/lima/ssh"
	"rancherdesktop.io/rdd/internal/proc"
)

// runWrapper runs QEMU or ssh when a hostagent started this program under their name.
func runWrapper() (code int, ok bool) {
	name := filepath.Base(os.Args[0])
	var err error
	switch {
	case os.Getenv(hostagent.EnvParent) == "":
		return 0, false
	case name == "ssh":
		var self string
		if self, err = os.Executable(); err == nil {
			err = ssh.Exec(os.Getenv(hostagent.EnvSSH), self, os.Args[1:])
		}
	case name == filepath.Base(os.Getenv(hostagent.EnvQEMU)):
		var parent int
		if parent, err = strconv.Atoi(os.Getenv(hostagent.EnvParent)); err == nil {
			var args []string
			if args, err = qemu.QuoteCommas(os.Args[1:], os.Getenv(hostagent.EnvPaths)); err == nil {
				err = qemu.Exec(os.Getenv(hostagent.EnvQEMU), os.Getenv(hostagent.EnvLock), parent, args)
			}
		}
	default:
		return 0, false
	}
	fmt.Fprintf(os.Stderr, "%s: %s\n", name, strings.TrimSpace(err.Error()))
	return exitFailed, true
}

// wrapperCommands are the hidden commands that programs started by a hostagent or a probe use.
func (f *flags) wrapperCommands() []*cobra.Command {
	dial := f.command("dial HOST PORT", "Connect to an SSH server, wait until it answers, and pass the connection to ssh", cobra.ExactArgs(2), func(cmd *cobra.Command, args []string) error {
		return ssh.Dial(cmd.Context(), net.JoinHostPort(args[0], args[1]), os.Getenv(hostagent.EnvAgent), os.Stdout)
	})
	guard := f.command(qemu.GuardCommand+" PROGRAM ARGS...", "Run a program that ends with the parent process, even if that is killed", cobra.MinimumNArgs(1), func(cmd *cobra.Command, args []string) error {
		code, err := proc.Guard(cmd.Context(), os.Stdout, os.Stderr, args[0], args[1:]...)
		if err == nil && code != 0 {
			err = guardedCode(code)
		}
		return err
	})
	guard.DisableFlagParsing = true
	dial.Hidden, guard.Hidden = true, true
	return []*cobra.Command{dial, guard}
}
