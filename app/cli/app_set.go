package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/core/property"
)

func (s *session) appSet() *cobra.Command {
	cmd := &cobra.Command{
		Use: "set [PROPERTY=VALUE...]", Short: "Show or change the settings of the container engine and its virtual machine",
		Annotations: map[string]string{}, ValidArgsFunction: completeProperties,
	}
	output := addOutput(cmd)
	dryRun := cmd.Flags().Bool("dry-run", false, "check the values without changing anything; without a running service, only their names and types")
	s.waits(cmd, workTimeout, settledAgain, func(cmd *cobra.Command, args []string, c *core.Core, w core.Wait) error {
		all, err := property.All()
		if err != nil {
			return err
		}
		if len(args) == 0 {
			return s.printProperties(cmd.Context(), c, all, *output)
		}
		changes, err := property.Parse(all, args)
		if err != nil {
			return &usageError{err}
		}
		if *dryRun {
			return s.checkProperties(cmd.Context(), c, changes)
		}
		return s.setProperties(cmd, c, changes, w)
	})
	// The list of the properties is read only for the help, because that takes longer than all else that a command does first.
	help := cmd.HelpFunc()
	cmd.SetHelpFunc(func(cmd *cobra.Command, args []string) {
		cmd.Long = setHelp()
		help(cmd, args)
	})
	return cmd
}

// Reference is Command with all texts, for the reference pages. Command leaves out those that only the help needs.
func (p *Program) Reference() *cobra.Command {
	root := p.Command()
	if set, _, err := root.Find([]string{"set"}); err == nil {
		set.Long = setHelp()
	}
	return root
}

// setHelp is the help of rdd set, with all properties.
func setHelp() string {
	var b strings.Builder
	b.WriteString("Changes settings of the App, all of them or, if one is wrong, none. An empty value restores the default. If the App is running,\n" +
		"it waits until it runs with them; a change of the virtual machine restarts it. Without arguments, it shows the settings.\n\n" +
		"A list is written with commas, and replaces the one before. A folder in virtualMachine.mounts is read-only unless :w follows it.\n" +
		"A value that begins with [ is JSON, for names with a comma; [] is an empty list.\n" +
		"For example:\n" +
		"  rdd set virtualMachine.memory=8Gi virtualMachine.cpus=4\n" +
		"  rdd set virtualMachine.mounts='~:w,/data'\n" +
		"  rdd set ports.bindAddresses=0.0.0.0\n" +
		"  rdd set virtualMachine.memory=\n\n" +
		"The properties:\n")
	all, err := property.All()
	if err != nil {
		return err.Error()
	}
	for i := range all {
		fmt.Fprintf(&b, "  %s=%s\n", all[i].Name, all[i].Syntax())
		for line := range strings.Lines(wrap(all[i].Description, helpWidth)) {
			b.WriteString("      " + line)
		}
		b.WriteString("\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// helpWidth is the longest line of a description in the help.
const helpWidth = 110

// wrap breaks a text into lines.
func wrap(text string, width int) string {
	var b strings.Builder
	column := 0
	for word := range strings.FieldsSeq(text) {
		switch {
		case column > 0 && column+1+len(word) > width:
			b.WriteString("\n")
			column = 0
		case column > 0:
			b.WriteString(" ")
			column++
		}
		b.WriteString(word)
		column += len(word)
	}
	return b.String()
}

// completeProperties completes names of properties and their values. It needs no service.
func completeProperties(_ *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	all, err := property.All()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	words := property.Complete(all, typed, args)
	if strings.Contains(typed, "=") {
		return words, cobra.ShellCompDirectiveNoFileComp
	}
	return words, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// propertyValue is a property with its value, as rdd set prints it.
type propertyValue struct {
	property.Property
	Value any  `json:"value"` // nil: not known before the first start
	Set   bool `json:"set"`   // the user has set it
}

var errSettingsUnknown = errors.New("the settings can't be shown, because the service, which keeps them, is not running; start it and the App with: rdd start")

// printProperties prints the values of the App, or the defaults if there is none.
func (s *session) printProperties(ctx context.Context, c *core.Core, all []property.Property, output string) error {
	var settings core.AppSettings
	if c.Instance().Exists() {
		session, err := c.Connect(ctx)
		if errors.Is(err, core.ErrNotRunning) {
			return errSettingsUnknown
		}
		if err != nil {
			return err
		}
		if settings, err = session.App().Settings(ctx); err != nil && core.KindOf(err) != core.NotFound {
			return err
		}
	}
	values := make([]propertyValue, 0, len(all))
	for _, p := range all {
		v := propertyValue{Property: p, Value: p.Value(settings.Spec)}
		if v.Value == nil {
			v.Value = p.Default
		}
		// The control plane stores the defaults that the definition has, so a value that equals one is not the user's.
		if v.Set = v.Value != nil && fmt.Sprint(v.Value) != fmt.Sprint(p.Default); v.Value == nil {
			v.Value = p.Value(settings.Effective)
		}
		values = append(values, v)
	}
	return s.print(output, values, func(w io.Writer) {
		fmt.Fprint(w, "PROPERTY\tVALUE\tSET\n")
		for i := range values {
			v := &values[i]
			text, set := v.Format(v.Value), "-"
			if text == "" {
				text = "-"
			}
			if v.Set {
				set = "yes"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\n", v.Name, text, set)
		}
	})
}

// checkProperties checks changes and stores nothing. It starts no service.
func (s *session) checkProperties(ctx context.Context, c *core.Core, changes []property.Change) error {
	session, err := c.Connect(ctx)
	switch {
	case errors.Is(err, core.ErrNotRunning):
		s.printf("the names and types are right (dry run); the rest can't be checked, because the service is not running\n")
		return nil
	case err != nil:
		return err
	}
	was, err := session.App().Show(ctx)
	if err != nil && core.KindOf(err) != core.NotFound {
		return err
	}
	if err := session.App().Set(ctx, property.Spec(changes), true, core.Wait{}); err != nil {
		return err
	}
	for _, warning := range changeWarnings(was, changes) {
		s.printf("%s\n", warning)
	}
	for _, change := range changes {
		s.printf("%s (dry run)\n", became(change, "would be"))
	}
	return nil
}

// became is a sentence about a change.
func became(change property.Change, verb string) string {
	if change.Value == nil {
		return fmt.Sprintf("%s %s its default again", change.Property.Name, strings.Replace(strings.Replace(verb, "would be", "would have", 1), "is", "has", 1))
	}
	return fmt.Sprintf("%s %s %s", change.Property.Name, verb, change.Property.Format(change.Value))
}

func (s *session) setProperties(cmd *cobra.Command, c *core.Core, changes []property.Change, w core.Wait) error {
	ctx := cmd.Context()
	session, w, err := ensureSession(cmd, c, w)
	if err != nil {
		return err
	}
	was, err := session.App().Show(ctx)
	if err != nil && core.KindOf(err) != core.NotFound {
		return err
	}
	runs := was != nil && was.Spec.Running
	if warnings := changeWarnings(was, changes); warnings != nil {
		if err := session.App().Set(ctx, property.Spec(changes), true, w); err != nil { // a refused change warns of nothing
			return err
		}
		s.printf("%s\n", strings.Join(warnings, "\n"))
	}
	if err := session.App().Set(ctx, property.Spec(changes), false, w); err != nil {
		return err
	}
	for _, change := range changes {
		s.printf("%s\n", became(change, "is"))
	}
	switch {
	case runs:
		s.reportDone(w, "the App is running with these settings", "the App will change")
		s.afterStart(ctx, c, session, w)
	case was == nil:
		s.printf("start the App with: rdd start\n")
	default:
		s.printf("the App is stopped; they apply to its next start, with: rdd start\n")
	}
	return nil
}

// changeWarnings says what a change of an App does to its containers.
func changeWarnings(was *core.App, changes []property.Change) (warnings []string) {
	if was == nil {
		return nil
	}
	current := string(was.Spec.ContainerEngine.Name)
	engine := func(change property.Change) bool {
		next := change.Value
		if next == nil {
			next = change.Property.Default
		}
		return change.Property.Name == "containerEngine.name" && fmt.Sprint(next) != current
	}
	if slices.ContainsFunc(changes, engine) {
		warnings = append(warnings, fmt.Sprintf("the images and containers of %s stay on the data disk; the other engine doesn't show them, and they are there again after a change back", current))
	}
	inVM := func(change property.Change) bool {
		return strings.HasPrefix(change.Property.Name, "virtualMachine.") || engine(change)
	}
	if was.Spec.Running && slices.ContainsFunc(changes, inVM) {
		warnings = append(warnings, "the virtual machine restarts if this changes it; containers without a restart policy then stay stopped")
	}
	return warnings
}
