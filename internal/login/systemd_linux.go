package login

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/kardianos/service"
)

// Services are what runs without a desktop: units of the user's systemd.
func Services(home string) System { return systemd{filepath.Join(home, ".config", "systemd", "user")} }

// systemd keeps units where the user's manager looks for them. Not below XDG_CONFIG_HOME: a shell sets
// that, and the manager doesn't see it.
type systemd struct{ dir string }

func (s systemd) unit(name string) string { return filepath.Join(s.dir, name+".service") }

// wanted is the link that makes the manager start the unit.
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

// notReached is what to know when the manager was not told.
const notReached = "systemd does not run for this user now; it is used from the next login on"

func (s systemd) Install(p Program) (Entry, error) {
	text, err := unitText(p)
	if err != nil {
		return Entry{}, err
	}
	unit, err := s.service(p.Name, text)
	if err == nil {
		err = remove(s.unit(p.Name)) // it may name a program that has moved
	}
	if err != nil {
		return Entry{}, err
	}
	toldErr := unit.Install() // writes the unit, then tells the manager
	if _, err := os.Stat(s.unit(p.Name)); err != nil {
		return Entry{}, errors.Join(toldErr, err)
	}
	if err := link(s.unit(p.Name), s.wanted(p.Name)); err != nil {
		return Entry{}, err
	}
	e := s.Look(p.Name)
	if toldErr != nil {
		e.Note = notReached
	}
	return e, nil
}

func (s systemd) Uninstall(name string) (Entry, error) {
	if _, err := os.Stat(s.unit(name)); err == nil {
		unit, err := s.service(name, "")
		if err != nil {
			return Entry{}, err
		}
		_ = unit.Uninstall() // without a manager it does nothing, and there is nobody to tell
	}
	if err := errors.Join(remove(s.wanted(name)), remove(s.unit(name))); err != nil {
		return Entry{}, err
	}
	return s.Look(name), nil
}

// service is the library's systemd, also where it finds another init.
func (s systemd) service(name, text string) (service.Service, error) {
	config := &service.Config{Name: name, Executable: "/bin/true", Option: service.KeyValue{"UserService": true, "SystemdScript": text}}
	for _, system := range service.AvailableSystems() {
		if system.String() == "linux-systemd" {
			return system.New(nil, config)
		}
	}
	return nil, errors.New("this build knows no systemd")
}

// link makes a link to the unit beside it, unless there is one.
func link(unit, at string) error {
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil { //nolint:gosec // as systemctl makes it
		return err
	}
	if err := os.Symlink(filepath.Join("..", filepath.Base(unit)), at); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return nil
}

// remove removes a file that may be gone already.
func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// unitText is the unit of a program that starts something and ends. What it started belongs to the
// unit; at logout only its Stop ends that, never a signal, because guests need time to power off.
// The library's own text has no oneshot units and no ExecStop, and quotes neither % nor $; so it gets
// ours, and writes it and tells the manager. (go-systemd's unit package quotes nothing.)
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
	if strings.ContainsAny(p.Path, `"'\`) || strings.Contains(text, "{{") || strings.Count(text, "\n") != len(lines)-1 {
		return "", fmt.Errorf("the path %q can't be written into a systemd unit: install RDD in another folder", p.Path)
	}
	return text, nil
}

// specifiers escapes what systemd would replace. Source: systemd.unit(5), "Specifiers".
var specifiers = strings.NewReplacer("%", "%%")

func commandLine(path string, args []string) string {
	words := []string{quoted(path, false)} // variables are left alone in the first word
	for _, arg := range args {
		words = append(words, quoted(arg, true))
	}
	return strings.Join(words, " ")
}

// quoted is a word of a unit. Source: systemd.syntax(7), "Quoting"; systemd.service(5), "Command lines".
func quoted(word string, command bool) string {
	word = specifiers.Replace(strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(word))
	if command {
		word = strings.ReplaceAll(word, "$", "$$")
	}
	return `"` + word + `"`
}
