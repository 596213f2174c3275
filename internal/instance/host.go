package instance

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"unicode"
	"unicode/utf8"
)

// homeDir is the user's home directory.
func homeDir() (string, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return "", problemf(homeUnusable, "find your home directory: %w: set it to your home directory, such as /home/me", err)
	}
	if !filepath.IsAbs(home) {
		name := "HOME"
		if runtime.GOOS == "windows" {
			name = "USERPROFILE"
		}
		return "", problemf(homeUnusable, "find your home directory: %s is %q, which is no absolute path: set it to your home directory, such as /home/me", name, home)
	}
	return home, nil
}

// forbidden are the characters that QEMU, ssh or the guest's shell take for something else in the path of
// a VM's file, and that can't be quoted for all of them. A comma, which QEMU splits options at, can.
func forbidden(goos string) string {
	if goos == "windows" {
		return `"$%';,` + "`"
	}
	return `"$%:*?[\` + "`"
}

// checkCharacters says which character of the path VMs can't have in theirs.
func checkCharacters(path, goos string) error {
	if !utf8.ValidString(path) {
		return problemf(homeUnusable, "the path %q, below which virtual machines would be, is no UTF-8 text: set HOME to a directory whose path is", path)
	}
	rest := path
	if goos == "windows" && len(path) > 2 && path[1] == ':' {
		rest = path[2:]
	}
	for _, c := range rest {
		if unicode.IsControl(c) || strings.ContainsRune(forbidden(goos), c) {
			return problemf(homeUnusable, "the path %q, below which virtual machines would be, has the character %s, which QEMU, ssh or a shell reads as something else: "+
				"set HOME to a directory whose path has neither control characters nor any of %s", path, named(c), strings.Join(strings.Split(forbidden(goos), ""), " "))
		}
	}
	return nil
}

func named(c rune) string {
	switch c {
	case '\t':
		return "tab"
	case '\n':
		return "newline"
	}
	return fmt.Sprintf("%q", string(c))
}

// errForeign means that root would leave files in somebody else's home.
var errForeign = errors.New("root would leave files that their owner can't use")

// CheckHome says why this user can't have the instance where it would be. It changes nothing.
func (i Instance) CheckHome() error {
	return errors.Join(checkCharacters(i.short, runtime.GOOS), i.checkOwner(), CheckUser())
}
