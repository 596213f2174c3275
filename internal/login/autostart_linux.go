package login

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"rancherdesktop.io/rdd/internal/atomicfile"
)

// Desktop keeps programs that need a desktop: as entries in dir, which desktops read at login.
// Source: Desktop Application Autostart Specification.
func Desktop(_, dir string) System { return autostart{dir} }

type autostart struct{ dir string }

func (a autostart) file(name string) string { return filepath.Join(a.dir, name+".desktop") }

func (a autostart) Look(name string) Entry {
	e := Entry{Path: a.file(name)}
	text, err := os.ReadFile(e.Path)
	if err != nil {
		return e
	}
	lines := strings.Split(string(text), "\n")
	if slices.Contains(lines, "Hidden=true") || slices.Contains(lines, "X-GNOME-Autostart-enabled=false") {
		e.Note = "it was switched off in the desktop's settings"
		return e
	}
	e.Installed = true
	return e
}

func (a autostart) Install(p Program) (Entry, error) {
	text, err := entryText(p)
	if err == nil {
		err = os.MkdirAll(a.dir, 0o700)
	}
	if err == nil {
		err = atomicfile.Write(a.file(p.Name), []byte(text))
	}
	if err != nil {
		return Entry{}, err
	}
	return a.Look(p.Name), nil
}

func (a autostart) Uninstall(name string) (Entry, error) {
	err := os.RemoveAll(a.file(name))
	return a.Look(name), err
}

func entryText(p Program) (string, error) {
	command := append([]string{p.Path}, p.Args...)
	if len(p.Env) > 0 {
		command = append(append([]string{"env"}, p.Env...), command...)
	}
	for i, word := range command {
		command[i] = execWord(word)
	}
	lines := []string{
		"[Desktop Entry]", "Type=Application", "Version=1.5",
		"Name=" + value(p.Title),
		"Exec=" + strings.Join(command, " "),
		"TryExec=" + value(p.Path),
		"Icon=rdd", "Terminal=false", "StartupNotify=false", "X-GNOME-Autostart-enabled=true", "",
	}
	text := strings.Join(lines, "\n")
	if strings.Count(text, "\n") != len(lines)-1 {
		return "", fmt.Errorf("the path %q can't be written into a desktop entry: install RDD in another folder", p.Path)
	}
	return text, nil
}

// value escapes a string. Source: Desktop Entry Specification, "Possible value types".
func value(s string) string { return strings.ReplaceAll(s, `\`, `\\`) }

// execWord quotes a word of Exec, then escapes it as a string. Source: Desktop Entry Specification,
// "The Exec key".
func execWord(word string) string {
	word = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "`", "\\`", `$`, `\$`).Replace(word)
	return value(`"` + strings.ReplaceAll(word, "%", "%%") + `"`)
}
