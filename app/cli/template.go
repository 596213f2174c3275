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
		ValidArgsFunction: s.completeParams,
	}
	output := addOutput(cmd)
	f := addWait(cmd, workTimeout, "rdd vm params %s")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		set, remove, err := parseParams(args[1:], "KEY=VALUE, or KEY- to restore the template's own value", true)
		if err != nil {
			return err
		}
		w, finish, err := s.waiting(cmd, f)
		if err != nil {
			return err
		}
		defer finish()
		vms, err := s.vms(cmd.Context())
		if err != nil {
			return err
		}
		if len(args) == 1 {
			return s.printParams(cmd.Context(), vms, args[0], *output)
		}
		if err := vms.SetParams(cmd.Context(), args[0], set, remove, w); err != nil {
			return err
		}
		finish()
		return s.sayAtNextStart(cmd.Context(), f, vms, args[0], "params")
	}
	return cmd
}

// vmAndMore wants the name of a virtual machine, before whatever else.
func vmAndMore(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usagef("%s requires the NAME of a virtual machine", cmd.CommandPath())
	}
	return nil
}

// parseParams reads KEY=VALUE and, with minus, KEY-. What it wants is said when it gets something else.
// A value is all that is behind the first =.
func parseParams(args []string, wants string, minus bool) (set map[string]string, remove []string, err error) {
	set = map[string]string{}
	seen := map[string]bool{}
	for _, arg := range args {
		key, value, assigned := strings.Cut(arg, "=")
		key, removed := strings.CutSuffix(key, "-")
		switch {
		case key == "" || assigned == removed || removed && !minus:
			return nil, nil, usagef("want %s; got %q", wants, arg)
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

// withFileHint adds to an error that there is no ConfigMap called template that there is a file.
func withFileHint(err error, vm, template string) error {
	missing := slices.ContainsFunc(core.FieldErrors(err), func(f core.FieldError) bool { return f.Field == "spec.templateRef.name" })
	if _, notThere := os.Stat(template); !missing || notThere != nil {
		return err
	}
	return fmt.Errorf("%w\nThere is a file %[2]s here; to use it: rdd vm create %[3]s .%[4]c%[2]s", err, template, vm, filepath.Separator)
}

func (s *session) printParams(ctx context.Context, vms *core.VMs, name string, output outputFlag) error {
	params, err := vms.Params(ctx, name)
	if err != nil {
		return err
	}
	if len(params) == 0 && output == "table" {
		s.sayf("the template of VM %q has no params\n", name)
		return nil
	}
	return s.print(output, params, func(w io.Writer) {
		fmt.Fprintln(w, "PARAM\tVALUE\tDEFAULT")
		for _, p := range params {
			fmt.Fprintf(w, "%s\t%s\t%s\n", p.Name, oneLine(p.Value), oneLine(p.Default))
		}
	})
}

// oneLine keeps a value in its cell of a table.
func oneLine(value string) string {
	first, more, cut := strings.Cut(value, "\n")
	if cut && more != "" {
		first += " …"
	}
	return strings.ReplaceAll(first, "\t", " ")
}

// sayAtNextStart says that a change waits for the VM's next start, and how to have that now.
func (s *session) sayAtNextStart(ctx context.Context, f *waitFlags, vms *core.VMs, name, what string) error {
	vm, err := vms.Show(ctx, name)
	if err != nil {
		return err
	}
	how := "start"
	if vm.Spec.Running {
		how = "restart"
	}
	accepted := fmt.Sprintf("VM %q has new %s, for its next start: rdd vm %s %s", name, what, how, name)
	s.said(f, accepted, accepted)
	return nil
}

// completeParams completes the name of a VM, then its params.
func (s *session) completeParams(cmd *cobra.Command, args []string, typed string) (words []string, _ cobra.ShellCompDirective) {
	if len(args) == 0 {
		return s.completeVM(cmd, args, typed)
	}
	ctx, cancel := completing(cmd)
	defer cancel()
	vms, err := s.vms(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	params, _ := vms.Params(ctx, args[0])
	for _, p := range params {
		words = append(words, p.Name+"=")
		if p.Set {
			words = append(words, p.Name+"-")
		}
	}
	return words, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

func (s *session) vmEdit() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "edit NAME", Short: "Edit the template of a virtual machine",
		Long: "Opens a virtual machine's own copy of its template in $VISUAL or $EDITOR. If Lima doesn't accept the change, the editor\n" +
			"opens again and shows the reason. The change takes effect at the next start. The image, the architecture and the VM\n" +
			"type can't change, because the disk was made from them, and the disk can only grow.",
		Args: exactArgs("NAME"), ValidArgsFunction: s.completeVM,
	}
	cmd.Flags().StringVarP(&file, "file", "f", "", "read the new template from a file, a URL or stdin (-) instead of opening an editor")
	f := addWait(cmd, workTimeout, "rdd vm show %s")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		w, finish, err := s.waiting(cmd, f)
		if err != nil {
			return err
		}
		defer finish()
		e := &edit{session: s, cmd: cmd, name: args[0], wait: w}
		if e.vms, err = s.vms(cmd.Context()); err != nil {
			return err
		}
		if e.was, err = e.vms.Template(cmd.Context(), e.name); err != nil {
			return err
		}
		if file != "" {
			err = e.fromFile(cmd.Context(), file)
		} else {
			err = e.inEditor(cmd.Context())
		}
		finish()
		if err != nil || !e.changed {
			return err
		}
		return s.sayAtNextStart(cmd.Context(), f, e.vms, e.name, "settings in its template")
	}
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
	changed bool // the control plane has taken the text
}

// put has the control plane judge a text and take it, unless it says nothing new.
func (e *edit) put(ctx context.Context, text string) error {
	if same(text, e.was.Text) {
		e.sayf("nothing was changed\n")
		return nil
	}
	accept := e.wait
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
	return e.vms.AwaitTemplate(ctx, vm, e.was, text, e.wait)
}

// putFrom puts a text that was typed. It is kept in the file at path until it is taken, or says nothing new; else the
// command's end names that file, however it comes.
func (e *edit) putFrom(ctx context.Context, path, text string) error {
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return err
	}
	again := fmt.Sprintf("rdd vm edit %s --file %s", e.name, shellquote.Join(path))
	waitAgainWith(e.cmd, again)
	attended(e.cmd, "nothing was changed, and your text is in "+path)
	err := e.put(ctx, text)
	if err == nil || e.changed {
		_ = os.Remove(path)
		return err
	}
	var expired *core.Expired
	if errors.As(err, &expired) || core.KindOf(err) == core.Canceled {
		return err // the end of a wait says where the text is
	}
	return fmt.Errorf("%w\nYour text is in %s; try it again with: %s", err, path, again)
}

func same(a, b string) bool { return strings.TrimSpace(a) == strings.TrimSpace(b) }

// fromFile takes the text from a file, a URL or stdin.
func (e *edit) fromFile(ctx context.Context, file string) error {
	if file == "-" {
		text, err := e.stdinTemplate()
		if err != nil {
			return err
		}
		path, err := e.tempFile()
		if err != nil {
			return err
		}
		return e.putFrom(ctx, path, text)
	}
	c, err := e.core()
	if err != nil {
		return err
	}
	text, err := c.ReadTemplate(ctx, file)
	if err != nil {
		return err
	}
	return e.put(ctx, text)
}

// note begins a line that edit puts above a template, and takes away again.
const note = "#rdd# "

// inEditor lets the user edit the text until it is accepted, or left as it was.
func (e *edit) inEditor(ctx context.Context) error {
	path, err := e.tempFile()
	if err != nil {
		return err
	}
	text, head := e.was.Text, "Edit the template of VM "+e.name+". An empty or unchanged file changes nothing."
	for {
		if err := os.WriteFile(path, []byte(withNotes(text, head)), 0o600); err != nil {
			return err
		}
		if err := e.Edit(path); err != nil {
			b, _ := os.ReadFile(path)
			if same(withoutNotes(string(b)), e.was.Text) {
				_ = os.Remove(path)
				return fmt.Errorf("edit the template of VM %q: the editor failed: %v; nothing was changed", e.name, err) //nolint:errorlint // its exit code is not ours
			}
			_ = os.WriteFile(path, []byte(withoutNotes(string(b))), 0o600)
			return fmt.Errorf("edit the template of VM %q: the editor failed: %v; nothing was changed, and your text is in %s; use it with: rdd vm edit %s --file %s", e.name, err, path, e.name, shellquote.Join(path)) //nolint:errorlint // its exit code is not ours
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		edited := withoutNotes(string(b))
		if strings.TrimSpace(edited) == "" || same(edited, e.was.Text) {
			e.sayf("nothing was changed\n")
			return os.Remove(path)
		}
		err = e.putFrom(ctx, path, edited)
		if core.KindOf(err) != core.Rejected || e.changed || same(edited, text) {
			return err
		}
		text, head = edited, "It was not accepted:\n"+reason(err)
	}
}

// tempFile makes the file to edit, readable by the user only. Its name tells editors that it is YAML.
func (e *edit) tempFile() (string, error) {
	f, err := os.CreateTemp("", "rdd-"+e.name+"-*.yaml")
	if err != nil {
		return "", fmt.Errorf("make a file to edit: %w", err)
	}
	return filepath.Clean(f.Name()), f.Close()
}

// reason is why a text was rejected, without what was tried.
func reason(err error) string {
	var e *core.Error
	for errors.As(err, &e) {
		err = e.Err
	}
	return err.Error()
}

func withNotes(text, head string) string {
	var b strings.Builder
	for line := range strings.Lines(head) {
		b.WriteString(note + strings.TrimRight(line, "\n") + "\n")
	}
	return b.String() + text
}

func withoutNotes(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, note) {
			b.WriteString(line)
		}
	}
	return b.String()
}
