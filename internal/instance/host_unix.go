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
)

// checkOwner refuses root in the home of somebody else, as after sudo -E.
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

// ownerOf is the owner of the path, or of what is nearest above it. Whatever else is wrong with the path
// shows when it is made.
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

// foreign says what is wrong and what to do, also if it was done before.
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
	again := ""
	if len(there) > 0 {
		again = fmt.Sprintf(". If rdd ran so before, stop it (sudo -E rdd svc stop) and give back what it left: sudo chown -R %s %s", name, strings.Join(there, " "))
	}
	return problemf(homeUnusable, "%w: you are root, and %s belongs to %s, as after sudo -E. Run rdd as %s, without sudo, or with HOME (and XDG_DATA_HOME, XDG_STATE_HOME) set to directories of root's%s", errForeign, at, name, name, again)
}

// CheckUser says what is missing of the user's name, without which neither Lima nor ssh works.
func CheckUser() error {
	return nameOf(os.Getuid(), os.Getenv("USER"), func() (string, error) {
		out, err := exec.Command("id", "-un").Output()
		return strings.TrimSpace(string(out)), err
	})
}

// inPasswd says whether the file has an entry for the user with that uid. (os/user takes USER for one.)
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

// nameOf judges the name of the user with that uid: /etc/passwd has it, or the environment says the one
// that the user database (LDAP, sssd) knows, which only id can ask.
func nameOf(uid int, env string, id func() (string, error)) error {
	if inPasswd("/etc/passwd", uid) {
		return nil
	}
	name, err := id()
	_, refused := errors.AsType[*exec.ExitError](err)
	switch {
	case refused || err == nil && name == "":
		return problemf(homeUnusable, "the user with the uid %d has no name: neither /etc/passwd nor another user database has an entry, and ssh doesn't run without one. Add an entry, or run rdd as a user that has one (in a container: --user NAME)", uid)
	case env == "" && err == nil:
		return problemf(homeUnusable, "USER is not set, and /etc/passwd has no entry for the uid %d: set USER=%s", uid, name)
	case env == "":
		return problemf(homeUnusable, "USER is not set, and /etc/passwd has no entry for the uid %d: set USER to your user name", uid)
	}
	return nil
}
