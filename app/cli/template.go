package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kballard/go-shellquote"
	"github.com/spf13/cobra"

	"rancherdesktop.io/rdd/core"
)

func (s *session) vmParams() *cobra.Command {
	cmd := &cobra.Command{
		Use: "params NAME [KEY=VALUE...] [KEY-...]", Short: "Show or set a virtual machine's params",
		Long: "Sets params of a virtual machine's template; KEY- restores the template's own value. Changes take effect at the next\n" +
			"start. Without changes, it lists the params.",
		Args:              vmAndMore,
		ValidArgsFunction: s.completeParams(),
	}
	output := addOutput(cmd)
	s.waits(cmd, workTimeout, "rdd vm params %s", func(cmd *cobra.Command, args []string, c *core.Core, w core.Wait) error {
		ctx, name := cmd.Context(), args[0]
		set, remove, err := parseParams(args[1:], "KEY=VALUE, or KEY- to restore the template's own value", true)
		if err != nil {
			return err
		}
		vms, err := connect(ctx, c)
		if err != nil {
			return err
		}
		if len(args) == 1 {
			return s.printParams(ctx, vms, name, *output)
		}
		if err := vms.SetParams(ctx, name, set, remove, w); err != nil {
			return err
		}
		return s.reportNextStart(ctx, w, vms, name, "params")
	})
	return cmd
}

// vmAndMore requires the name of a VM; more arguments may follow.
func vmAndMore(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usagef("%s requires the NAME of a virtual machine", cmd.CommandPath())
	}
	return nil
}

// parseParams parses KEY=VALUE and, with minus, KEY-. A value is everything after the first =. wants describes the
// syntax in an error.
func parseParams(args []string, wants string, minus bool) (set map[string]string, remove []string, err error) {
	set = map[string]string{}
	seen := map[string]bool{}
	for _, arg := range args {
		key, value, assigned := strings.Cut(arg, "=")
		key, removed := strings.CutSuffix(key, "-")
		switch {
		case key == "" || assigned == removed || removed && !minus:
			return nil, nil, usagef("expected %s; got %q", wants, arg)
		case seen[key]:
			return nil, nil, usagef("the param %q is given twice", key)
		case assigned:
			set[key] = value
		default:
			remove = append(remove, key)
		}
		seen[key] = true
	}
	return set, remove, nil
}

// stdinTemplate reads a template from stdin.
func (s *session) stdinTemplate() (string, error) {
	b, err := io.ReadAll(s.In)
	if err == nil && len(strings.TrimSpace(string(b))) == 0 {
		err = usagef("there is no template on stdin")
	}
	return string(b), err
}

// withFileHint adds to the error that there is no ConfigMap of the template's name that a file of that name exists.
func withFileHint(err error, vm, template string) error {
	missing := slices.ContainsFunc(core.FieldErrors(err), func(f core.FieldError) bool { return f.Field == "spec.templateRef.name" })
	if _, notThere := os.Stat(template); !missing || notThere != nil {
		return err
	}
	return fmt.Errorf("%w\nThere is a file %[2]s here; to use it: rdd vm create %[3]s .%[4]c%[2]s", err, template, vm, filepath.Separator)
}

func (s *session) printParams(ctx context.Context, vms *core.VMs, name, output string) error {
	params, err := vms.Params(ctx, name)
	if err != nil {
		return err
	}
	if len(params) == 0 && output == "table" {
		s.printf("the template of VM %q has no params\n", name)
		return nil
	}
	return s.print(output, params, func(w io.Writer) {
		fmt.Fprintln(w, "PARAM\tVALUE\tDEFAULT")
		for _, p := range params {
			fmt.Fprintf(w, "%s\t%s\t%s\n", p.Name, oneLine(p.Value), oneLine(p.Default))
		}
	})
}

// reportNextStart reports a change that takes effect at the VM's next start, and the command for that.
func (s *session) reportNextStart(ctx context.Context, w core.Wait, vms *core.VMs, name, what string) error {
	vm, err := vms.Show(ctx, name)
	if err != nil {
		return err
	}
	command := "start"
	if vm.Spec.Running {
		command = "restart"
	}
	accepted := fmt.Sprintf("VM %q has new %s; to apply them, run: rdd vm %s %s", name, what, command, name)
	s.reportDone(w, accepted, accepted)
	return nil
}

// completeParams completes the name of a VM, then its params.
func (s *session) completeParams() cobra.CompletionFunc {
	return s.completes(func(ctx context.Context, session *core.Session, args []string, _ string) (words []string) {
		if len(args) == 0 {
			return vmNames(ctx, session.VMs())
		}
		params, _ := session.VMs().Params(ctx, args[0])
		for _, p := range params {
			words = append(words, p.Name+"=")
			if p.Set {
				words = append(words, p.Name+"-")
			}
		}
		return words
	})
}

func (s *session) vmEdit() *cobra.Command {
	cmd := &cobra.Command{
		Use: "edit NAME", Short: "Edit the template of a virtual machine",
		Long: "Opens a virtual machine's own copy of its template in $VISUAL or $EDITOR. If Lima doesn't accept the change, the editor\n" +
			"opens again and shows the reason. The change takes effect at the next start. The image, the architecture and the VM\n" +
			"type can't change, because the disk was made from them, and the disk can only grow.",
		Args: exactArgs("NAME"), ValidArgsFunction: s.completeVM(),
	}
	file := cmd.Flags().StringP("file", "f", "", "read the new template from a file, a URL or stdin (-) instead of opening an editor")
	s.waits(cmd, workTimeout, "rdd vm show %s", func(cmd *cobra.Command, args []string, c *core.Core, w core.Wait) error {
		ctx := cmd.Context()
		vms, err := connect(ctx, c)
		if err != nil {
			return err
		}
		e := &edit{session: s, cmd: cmd, vms: vms, name: args[0], wait: w}
		if e.was, err = vms.Template(ctx, e.name); err != nil {
			return err
		}
		switch *file {
		case "":
			if err = vms.EditRefused(ctx, e.name, e.was); err == nil { // before anybody writes a text
				err = e.inEditor(ctx)
			}
		case "-":
			err = e.fromStdin(ctx)
		default:
			var text string
			if text, err = c.ReadTemplate(ctx, *file); err == nil {
				err = e.put(ctx, text)
			}
		}
		if err != nil || !e.changed {
			return err
		}
		return s.reportNextStart(ctx, w, vms, e.name, "settings in its template")
	})
	return cmd
}

// edit is one change of a VM's template.
type edit struct {
	*session
	cmd     *cobra.Command
	vms     *core.VMs
	name    string
	was     core.Template
	wait    core.Wait
	changed bool // the control plane has accepted the new text
}

// put replaces the template by text, unless they are equal.
func (e *edit) put(ctx context.Context, text string) error {
	if e.unchanged(text) {
		e.printf("nothing was changed\n")
		return nil
	}
	w := e.wait.FromNow()
	accept := w
	accept.Accepted = true
	if err := e.vms.SetTemplate(ctx, e.name, e.was, text, accept); err != nil {
		return err
	}
	e.changed = true
	waitAgainWith(e.cmd, "rdd vm show %s")
	vm, err := e.vms.Show(ctx, e.name)
	if err != nil {
		return err
	}
	return e.vms.AwaitTemplate(ctx, vm, e.was, text, w)
}

// putTyped is put for a text that exists nowhere else. It saves the text in the file at path until it is accepted. If
// it isn't, the error or the hint after an interrupt names that file.
func (e *edit) putTyped(ctx context.Context, path, text string) error {
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return err
	}
	waitAgainWith(e.cmd, e.again(path))
	endsWith(e.cmd, "nothing was changed, and your text is in "+path)
	err := e.put(ctx, text)
	if err == nil || e.changed {
		_ = os.Remove(path)
		return err
	}
	if _, expired := errors.AsType[*core.Expired](err); expired || core.KindOf(err) == core.Canceled {
		return err // the hint names the file
	}
	return fmt.Errorf("%w\nYour text is in %s; try it again with: %s", err, path, e.again(path))
}

// again is the command that edits the template with the text in the file at path.
func (e *edit) again(path string) string {
	return fmt.Sprintf("rdd vm edit %s --file %s", e.name, shellquote.Join(path))
}

func (e *edit) unchanged(text string) bool {
	return strings.TrimSpace(text) == strings.TrimSpace(e.was.Text)
}

func (e *edit) fromStdin(ctx context.Context) error {
	text, err := e.stdinTemplate()
	if err != nil {
		return err
	}
	path, err := e.tempFile()
	if err != nil {
		return err
	}
	return e.putTyped(ctx, path, text)
}

// inEditor lets the user edit the template until the text is accepted or unchanged.
func (e *edit) inEditor(ctx context.Context) error {
	path, err := e.tempFile()
	if err != nil {
		return err
	}
	text, note := e.was.Text, "Edit the template of VM "+e.name+". An empty or unchanged file changes nothing."
	for {
		if err := os.WriteFile(path, []byte(withNote(text, note)), 0o600); err != nil {
			return err
		}
		e.endProgress()
		failure := e.Edit(path)
		b, err := os.ReadFile(path)
		if failure != nil {
			return e.editorFailed(path, withoutNote(string(b)), failure)
		}
		if err != nil {
			return err
		}
		edited := withoutNote(string(b))
		if strings.TrimSpace(edited) == "" || e.unchanged(edited) {
			e.printf("nothing was changed\n")
			return os.Remove(path)
		}
		err = e.putTyped(ctx, path, edited)
		if core.KindOf(err) != core.Rejected || e.changed || strings.TrimSpace(edited) == strings.TrimSpace(text) {
			return err
		}
		text, note = edited, "The template was not accepted:\n"+reason(err)
	}
}

// editorFailed is the error of an editor that failed. It keeps the text in the file at path if the user has changed it.
func (e *edit) editorFailed(path, text string, err error) error {
	kept := ""
	if e.unchanged(text) {
		_ = os.Remove(path)
	} else {
		_ = os.WriteFile(path, []byte(text), 0o600)
		kept = fmt.Sprintf(", and your text is in %s; use it with: %s", path, e.again(path))
	}
	return fmt.Errorf("edit the template of VM %q: the editor failed: %v; nothing was changed%s", e.name, err, kept) //nolint:errorlint // its exit code must not become rdd's
}

// tempFile creates the file to edit. Only the user can read it. Its name tells editors that it is YAML.
func (e *edit) tempFile() (string, error) {
	f, err := os.CreateTemp("", "rdd-"+e.name+"-*.yaml")
	if err != nil {
		return "", fmt.Errorf("create a file to edit: %w", err)
	}
	return filepath.Clean(f.Name()), f.Close()
}

// reason is why a text was rejected, without the operation and its object.
func reason(err error) string {
	var e *core.Error
	for errors.As(err, &e) {
		err = e.Err
	}
	return err.Error()
}

// notePrefix begins each line of a note above the template in an editor.
const notePrefix = "#rdd# "

func withNote(text, note string) string {
	return notePrefix + strings.ReplaceAll(strings.TrimRight(note, "\n"), "\n", "\n"+notePrefix) + "\n" + text
}

func withoutNote(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, notePrefix) {
			b.WriteString(line)
		}
	}
	return b.String()
}
