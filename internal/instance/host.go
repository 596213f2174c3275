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

	"rancherdesktop.io/rdd/internal/diag"
)

// homeDir returns the user's home directory.
func homeDir() (string, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return "", diag.Errorf(diag.HomeUnusable, "find your home directory: %w: set it to your home directory, such as /home/me", err)
	}
	if !filepath.IsAbs(home) {
		name := "HOME"
		if runtime.GOOS == "windows" {
			name = "USERPROFILE"
		}
		return "", diag.Errorf(diag.HomeUnusable, "find your home directory: %s is %q, which is not an absolute path: set it to your home directory, such as /home/me", name, home)
	}
	return home, nil
}

// forbidden returns the characters that the path of a VM's file can't contain: QEMU, ssh or the guest's shell
// misinterpret them, and no quoting works for all three. A comma, at which QEMU splits options, can be quoted.
func forbidden(goos string) string {
	if goos == "windows" {
		return `"$%';,` + "`"
	}
	return `"$%:*?[\` + "`"
}

// checkCharacters reports why VMs can't be below the path, on the system goos.
func checkCharacters(path, goos string) error {
	if !utf8.ValidString(path) {
		return diag.Errorf(diag.HomeUnusable, "virtual machines can't be below %q, because this path is not UTF-8 text: set HOME to a directory with another path", path)
	}
	rest := path
	if goos == "windows" && len(path) > 2 && path[1] == ':' {
		rest = path[2:]
	}
	for _, c := range rest {
		if unicode.IsControl(c) || strings.ContainsRune(forbidden(goos), c) {
			name := fmt.Sprintf("%q", string(c))
			switch c {
			case '\t':
				name = "tab"
			case '\n':
				name = "newline"
			}
			return diag.Errorf(diag.HomeUnusable, "virtual machines can't be below %q, because QEMU, ssh or a shell misinterpret the character %s in this path: "+
				"set HOME to a directory whose path has no control character and none of %s", path, name, strings.Join(strings.Split(forbidden(goos), ""), " "))
		}
	}
	return nil
}

// errForeign means that root would leave files in another user's home directory.
var errForeign = errors.New("root would leave files that their owner can't use")

// CheckHome reports why this user can't have the instance in its home directory. It changes nothing.
func (i Instance) CheckHome() error {
	return errors.Join(checkCharacters(i.short, runtime.GOOS), i.checkOwner(), CheckUser())
}
