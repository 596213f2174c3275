package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rancherdesktop.io/rdd/core"
)

func (s *session) serviceRestore() *cobra.Command {
	cmd := &cobra.Command{
		Use: "restore [BACKUP]", Short: "Restore the datastore from a backup",
		Long: "Restores the datastore of a stopped service from its newest intact backup, or from BACKUP: a name from --list, or the path of a file.\n\n" +
			"The service makes a backup each time it shuts down, unless nothing has changed, and keeps the newest three. A backup contains the objects " +
			"of the control plane, including those of the virtual machines. It contains no disks, and restoring doesn't change them.\n" +
			"Changes that were made after the backup are not restored. Nothing is deleted: the replaced datastore is moved to a folder whose path is printed, " +
			"and which can be restored as well.",
	}
	output := addOutput(cmd)
	list := cmd.Flags().Bool("list", false, "list the backups, newest first, with their problems")
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) > 1 || len(args) == 1 && *list {
			return usagef("%s takes one BACKUP, or --list; got %q", cmd.CommandPath(), args)
		}
		return nil
	}
	s.waits(cmd, workTimeout, "rdd svc restore", func(cmd *cobra.Command, args []string, c *core.Core, w core.Wait) error {
		if *list {
			return s.listBackups(cmd.Context(), c, *output)
		}
		done, err := c.Service().Restore(cmd.Context(), strings.Join(args, ""), w)
		if err != nil {
			return err
		}
		return s.print(*output, done, func(w io.Writer) { printRestored(w, done) })
	})
	endsWith(cmd, "nothing more is restored")
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, _ string) (names []string, _ cobra.ShellCompDirective) {
		c, err := s.core()
		if err != nil || len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		all, _ := c.Service().Backups(cmd.Context())
		for _, b := range all {
			names = append(names, b.Name)
		}
		return names, cobra.ShellCompDirectiveDefault
	}
	return cmd
}

func (s *session) listBackups(ctx context.Context, c *core.Core, output string) error {
	all, err := c.Service().Backups(ctx)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		s.printf("there is no backup yet; the service makes one each time it shuts down\n")
	}
	return s.print(output, all, func(w io.Writer) {
		if len(all) > 0 {
			fmt.Fprintln(w, "NAME\tTAKEN\tSIZE\tVMS\tSTATE")
		}
		for _, b := range all {
			state := "intact"
			if b.Problem != "" {
				state = "damaged: " + b.Problem
			}
			fmt.Fprintf(w, "%s\t%s\t%d KiB\t%s\t%s\n", b.Name, local(b.Time), (b.Size+1023)/1024, orNone(b.VMs), state)
		}
	})
}

func printRestored(w io.Writer, done core.Restored) {
	for _, b := range done.Skipped {
		fmt.Fprintf(w, "Skipped\t%s of %s, which is damaged: %s\n", b.Name, local(b.Time), b.Problem)
	}
	fmt.Fprintf(w, "Restored\t%s of %s; it does not contain later changes\n", done.Backup.Name, local(done.Backup.Time))
	fmt.Fprintf(w, "VMs\t%s; their disks are unchanged\n", orNone(done.Backup.VMs))
	if done.Aside != "" {
		fmt.Fprintf(w, "Moved to\t%s: the datastore that was replaced\n", done.Aside)
	}
	if len(done.Unknown) > 0 {
		fmt.Fprintf(w, "Not in backup\t%s: the VM has a disk here, but is not in the backup; once the service runs, adopt it with: rdd vm adopt NAME\n", orNone(done.Unknown))
	}
	if len(done.Diskless) > 0 {
		fmt.Fprintf(w, "No disk\t%s: the VM is in the backup, but its disk is gone; the service creates a new one when it starts\n", orNone(done.Diskless))
	}
	fmt.Fprintln(w, "Next\trdd svc start")
}

func local(t time.Time) string { return t.Local().Format(time.DateTime) }

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
