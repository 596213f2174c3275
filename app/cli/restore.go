package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rancherdesktop.io/rdd/core"
)

func (s *session) serviceRestore() *cobra.Command {
	cmd := &cobra.Command{
		Use: "restore [BACKUP]", Short: "Put a backup in the place of the service's datastore",
		Long: "Puts a backup in the place of the datastore of a stopped service: the newest one that is whole, or the one named, " +
			"as --list names it or as the path of a file.\n\n" +
			"A backup is made each time the service stops in order, unless nothing has changed; the newest three are kept. It holds the objects " +
			"of the control plane, among them those of the virtual machines, and no disks: disks are left as they are.\n" +
			"What has changed since the backup is lost to the service. Nothing is deleted: the replaced datastore is put aside, and its path told, " +
			"which is a BACKUP too.",
	}
	f := addWait(cmd, workTimeout, "rdd svc restore")
	attended(cmd, "nothing more is restored")
	output := addOutput(cmd)
	var list bool
	cmd.Flags().BoolVar(&list, "list", false, "only list the backups, newest first, and what is wrong with them")
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) > 1 || len(args) == 1 && list {
			return usagef("%s takes one BACKUP, or --list and none; got %q", cmd.CommandPath(), args)
		}
		return nil
	}
	cmd.RunE = s.withCore(func(cmd *cobra.Command, args []string, c *core.Core) error {
		if !f.wait {
			return usagef("rdd svc restore can't finish in the background: leave out --wait=false")
		}
		if list {
			return s.listBackups(cmd, c, *output)
		}
		var done core.Restored
		err := s.whileWaiting(cmd, f, func(w core.Wait) (err error) {
			done, err = c.Service().Restore(cmd.Context(), strings.Join(args, ""), w)
			return err
		})
		if err != nil {
			return err
		}
		return s.print(*output, done, func(w io.Writer) { describeRestored(w, done) })
	})
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

func (s *session) listBackups(cmd *cobra.Command, c *core.Core, output outputFlag) error {
	all, err := c.Service().Backups(cmd.Context())
	if err != nil {
		return err
	}
	if len(all) == 0 {
		s.sayf("there is no backup yet; one is made each time the service stops in order\n")
	}
	return s.print(output, all, func(w io.Writer) {
		if len(all) > 0 {
			fmt.Fprintln(w, "NAME\tTAKEN\tSIZE\tVMS\tSTATE")
		}
		for _, b := range all {
			state := "whole"
			if b.Problem != "" {
				state = "damaged: " + b.Problem
			}
			fmt.Fprintf(w, "%s\t%s\t%d KiB\t%s\t%s\n", b.Name, local(b.Time), (b.Size+1023)/1024, orNone(b.VMs), state)
		}
	})
}

func describeRestored(w io.Writer, done core.Restored) {
	for _, b := range done.Skipped {
		fmt.Fprintf(w, "Skipped\t%s of %s, which is damaged: %s\n", b.Name, local(b.Time), b.Problem)
	}
	fmt.Fprintf(w, "Restored\t%s of %s; what has changed since is lost to the service\n", done.Backup.Name, local(done.Backup.Time))
	fmt.Fprintf(w, "VMs\t%s; their disks are as they were\n", orNone(done.Backup.VMs))
	if done.Aside != "" {
		fmt.Fprintf(w, "Put aside\t%s, which holds what was in its place\n", done.Aside)
	}
	if len(done.Unknown) > 0 {
		fmt.Fprintf(w, "Not in it\t%s: the disk is here, and the backup doesn't know the VM; take it in with rdd vm adopt NAME once the service runs\n", orNone(done.Unknown))
	}
	if len(done.Diskless) > 0 {
		fmt.Fprintf(w, "No disk\t%s: the backup knows the VM, and its disk is gone; the service makes a new one when it starts\n", orNone(done.Diskless))
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
