package login

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"rancherdesktop.io/rdd/internal/atomicfile"
)

// Services keeps programs that don't need a desktop: as units of the user's systemd.
func Services(home string) System { return systemd{filepath.Join(home, ".config", "systemd", "user")} }

// systemd keeps units in the directory where the user's systemd looks for them. It ignores XDG_CONFIG_HOME, which a shell may
// set and systemd doesn't see.
type systemd struct{ dir string }

func (s systemd) unit(name string) string { return filepath.Join(s.dir, name+".service") }

// wanted is the link that makes systemd start the unit, as `systemctl enable` makes it.
func (s systemd) wanted(name string) string {
	return filepath.Join(s.dir, "default.target.wants", name+".service")
}

func (s systemd) Look(name string) Entry {
	e := Entry{Path: s.unit(name)}
	_, unitErr := os.Stat(e.Path)
	_, linkErr := os.Lstat(s.wanted(name))
	e.Installed = unitErr == nil && linkErr == nil
	return e
}

// Install writes the unit and its link itself, so that it also works where no systemd runs for this user, as in a container.
func (s systemd) Install(p Program) (Entry, error) {
	text, err := unitText(p)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(s.wanted(p.Name)), 0o755) //nolint:gosec // as systemctl makes it
	}
	if err == nil {
		err = atomicfile.Write(s.unit(p.Name), []byte(text))
	}
	if err != nil {
		return Entry{}, err
	}
	err = os.Symlink(filepath.Join("..", filepath.Base(s.unit(p.Name))), s.wanted(p.Name))
	if err != nil && !errors.Is(err, os.ErrExist) {
		return Entry{}, err
	}
	e := s.Look(p.Name)
	if reload() != nil {
		e.Note = "systemd does not run for this user now; it is used from the next login on"
	}
	return e, nil
}

func (s systemd) Uninstall(name string) (Entry, error) {
	_, absent := os.Lstat(s.unit(name))
	if err := errors.Join(os.RemoveAll(s.wanted(name)), os.RemoveAll(s.unit(name))); err != nil {
		return Entry{}, err
	}
	if absent == nil {
		_ = reload() // where no systemd runs, none has to know
	}
	return s.Look(name), nil
}

// reloadTimeout limits the wait for a systemd that does not answer.
const reloadTimeout = 10 * time.Second

// reload makes the user's systemd read its units again.
func reload() error {
	ctx, cancel := context.WithTimeout(context.Background(), reloadTimeout)
	defer cancel()
	return exec.CommandContext(ctx, "systemctl", "--user", "daemon-reload").Run()
}

// unitText returns the unit of a program that starts something and exits. What it has started belongs to the unit. At logout
// Stop ends that, and systemd sends no signal, because guests need time to power off. The text is written here because
// neither github.com/kardianos/service nor go-systemd's unit package quotes % and $.
func unitText(p Program) (string, error) {
	lines := []string{
		"[Unit]",
		"Description=" + specifiers.Replace(p.Title),
		"ConditionFileIsExecutable=" + specifiers.Replace(p.Path),
		"",
		"[Service]",
		"Type=oneshot",
		"RemainAfterExit=yes",
		"ExecStart=" + commandLine(p.Path, p.Args),
	}
	if p.Stop != nil {
		lines = append(lines, "ExecStop="+commandLine(p.Path, p.Stop))
	}
	for _, kv := range p.Env {
		lines = append(lines, "Environment="+quoted(kv, false))
	}
	lines = append(lines, "TimeoutStartSec=6min", "TimeoutStopSec=6min", "KillMode=process", "", "[Install]", "WantedBy=default.target", "")
	text := strings.Join(lines, "\n")
	if strings.ContainsAny(p.Path, `"'\`) || strings.Count(text, "\n") != len(lines)-1 {
		return "", fmt.Errorf("the path %q can't be written into a systemd unit: install RDD in another folder", p.Path)
	}
	return text, nil
}

// specifiers escapes the % of systemd's specifiers. Source: systemd.unit(5), "Specifiers".
var specifiers = strings.NewReplacer("%", "%%")

func commandLine(path string, args []string) string {
	words := []string{quoted(path, false)} // systemd doesn't replace variables in the first word
	for _, arg := range args {
		words = append(words, quoted(arg, true))
	}
	return strings.Join(words, " ")
}

// quoted quotes a word of a unit. Source: systemd.syntax(7), "Quoting"; systemd.service(5), "Command lines".
func quoted(word string, command bool) string {
	word = specifiers.Replace(strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(word))
	if command {
		word = strings.ReplaceAll(word, "$", "$$")
	}
	return `"` + word + `"`
}
