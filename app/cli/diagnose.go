package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/docker/go-units"
	"github.com/spf13/cobra"

	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/core/diagnose"
)

func (s *session) diagnoseCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "diagnose", Short: "Find problems and explain how to fix them", Args: noArgs,
		Long: "Checks this computer and the instance for current and upcoming problems, and explains how to fix them.\n" +
			"It changes nothing, starts nothing, and works while the service is stopped.\n\n" +
			"The exit code is 0 when there is no problem, and 1 when there is one; warnings don't count.\n\n" +
			"--bundle collects logs, status, versions, findings and VM objects in one file for a bug report. Tokens, keys,\n" +
			"passwords and values of environment variables are removed; a manifest in the file lists its contents.",
	}
	output := addOutput(cmd)
	bundle := cmd.Flags().String("bundle", "", "also write a bundle for a bug report to this new file; its name must end in "+strings.Join(diagnose.BundleSuffixes(), " or "))
	dryRun := cmd.Flags().Bool("dry-run", false, "with --bundle: list its contents without writing it")
	cmd.RunE = s.withCore(func(cmd *cobra.Command, _ []string, c *core.Core) error {
		if *dryRun && *bundle == "" {
			return usagef("--dry-run requires --bundle FILE")
		}
		if *bundle != "" {
			if err := diagnose.CheckBundle(*bundle); err != nil {
				return err
			}
		}
		report, err := diagnose.Run(cmd.Context(), c)
		if err != nil {
			return err
		}
		if err := s.print(*output, report, func(w io.Writer) { printReport(w, report) }); err != nil {
			return err
		}
		if *bundle != "" {
			if err := s.bundle(cmd.Context(), c, report, *bundle, *dryRun); err != nil {
				return err
			}
		}
		if report.Count(diagnose.SeverityProblem) > 0 {
			return exitStatus(exitOther)
		}
		return nil
	})
	return cmd
}

// bundle writes a bundle, unless it is a dry run, and lists its contents.
func (s *session) bundle(ctx context.Context, c *core.Core, report diagnose.Report, path string, dryRun bool) error {
	b, err := diagnose.NewBundle(ctx, c, report)
	if err != nil {
		return err
	}
	are, advice := "would be", "nothing was written"
	if !dryRun {
		if err := b.Write(path); err != nil {
			return err
		}
		are, advice = "are", "review it before you share it"
	}
	for _, f := range b.Files {
		s.printf("%10s  %3d redacted  %s\n", units.BytesSize(float64(f.Bytes)), f.Redactions, f.Name)
	}
	s.printf("%d files and their manifest %s in %s, with %d secrets redacted; %s\n", len(b.Files), are, path, b.Redactions(), advice)
	return nil
}

// printReport writes a line for each finding, and then the details of the problems and warnings.
func printReport(w io.Writer, r diagnose.Report) {
	fmt.Fprintln(w, "SEVERITY\tCHECK\tWHAT")
	for _, f := range r.Findings {
		fmt.Fprintf(w, "%s\t%s\t%s\n", f.Severity, f.Check, oneLine(f.What))
	}
	for _, f := range r.Findings {
		if f.Severity != diagnose.SeverityOK {
			fmt.Fprintf(w, "\n%s %s: %s\n  %s\n  What to do: %s\n", f.Severity, f.ID, strings.ReplaceAll(f.What, "\n", "\n  "), f.Meaning, f.Remedy)
		}
	}
	fmt.Fprintf(w, "\n%s, %s\n", count(r.Count(diagnose.SeverityProblem), "problem"), count(r.Count(diagnose.SeverityWarning), "warning"))
}
