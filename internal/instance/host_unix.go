//go:build unix

package instance

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"rancherdesktop.io/rdd/internal/diag"
)

// checkOwner refuses root in another user's home directory, as with sudo -E.
func (i Instance) checkOwner() error {
	if os.Geteuid() != 0 {
		return nil
	}
	for _, path := range []string{i.home, i.short, i.data, i.logs} {
		if uid, at := ownerOf(path); uid != 0 {
			return i.foreign(at, uid)
		}
	}
	return nil
}

// ownerOf returns the owner of the path or of its nearest existing parent. Other problems of the path are reported when it
// is created.
func ownerOf(path string) (uid int, at string) {
	for at = path; ; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		if err != nil && at != filepath.Dir(at) {
			continue
		}
		if err == nil {
			if stat, ok := info.Sys().(*syscall.Stat_t); ok {
				return int(stat.Uid), at
			}
		}
		return 0, at
	}
}

// foreign is the error of checkOwner. It says how to undo earlier runs as root.
func (i Instance) foreign(at string, uid int) error {
	name := strconv.Itoa(uid)
	if u, err := user.LookupId(name); err == nil {
		name = u.Username
	}
	var there []string
	for _, path := range []string{filepath.Dir(i.short), filepath.Dir(i.data), filepath.Dir(filepath.Dir(i.logs))} {
		if _, err := os.Lstat(path); err == nil {
			there = append(there, path)
		}
	}
	undo := ""
	if len(there) > 0 {
		undo = fmt.Sprintf(". If you ran rdd like this before, stop it (sudo -E rdd svc stop) and give its files back to their owner: sudo chown -R %s %s", name, strings.Join(there, " "))
	}
	return diag.Errorf(diag.HomeUnusable, "%w: you are root, and %s belongs to %s, as with sudo -E. Run rdd as %s, without sudo, or set HOME (and XDG_DATA_HOME, XDG_STATE_HOME) to root's own directories%s", errForeign, at, name, name, undo)
}

// CheckUser reports why the user has no name. Lima and ssh need one.
func CheckUser() error {
	return nameOf(os.Getuid(), os.Getenv("USER"), func() (string, error) {
		out, err := exec.Command("id", "-un").Output()
		return strings.TrimSpace(string(out)), err
	})
}

// inPasswd reports whether the file has an entry for the uid. (os/user also accepts the variable USER.)
func inPasswd(file string, uid int) bool {
	b, err := os.ReadFile(file)
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(b)) {
		if fields := strings.Split(line, ":"); len(fields) > 2 && fields[2] == strconv.Itoa(uid) {
			return true
		}
	}
	return false
}

// nameOf checks that the user with the uid has a name: in /etc/passwd, or in the variable USER if another user database
// (LDAP, sssd) has the user. Only the program id can read those.
func nameOf(uid int, env string, id func() (string, error)) error {
	if inPasswd("/etc/passwd", uid) {
		return nil
	}
	name, err := id()
	_, refused := errors.AsType[*exec.ExitError](err)
	switch {
	case refused || err == nil && name == "":
		return diag.Errorf(diag.HomeUnusable, "the user with the uid %d has no name: neither /etc/passwd nor another user database has an entry, and ssh doesn't run without one. Add an entry, or run rdd as a user that has one (in a container: --user NAME)", uid)
	case env == "" && err == nil:
		return diag.Errorf(diag.HomeUnusable, "USER is not set, and /etc/passwd has no entry for the uid %d: set USER=%s", uid, name)
	case env == "":
		return diag.Errorf(diag.HomeUnusable, "USER is not set, and /etc/passwd has no entry for the uid %d: set USER to your user name", uid)
	}
	return nil
}
