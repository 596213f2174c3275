package template

import (
	"cmp"
	"errors"
	"fmt"
	"os/user"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/lima-vm/lima/pkg/limayaml"

	"rancherdesktop.io/rdd/internal/lima"
)

// userName matches valid names of Linux users. Source: useradd(8), and regexUsername in Lima's pkg/osutil.
var userName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,31}$`)

// imageNames are users and groups that images of the common distributions have already. A guest's user can't have the
// name of either, because it gets a group of the same name.
// Source: base-passwd and the packages of Debian's and Ubuntu's cloud images, Fedora's setup, Alpine's baselayout.
var imageNames = strings.Fields(`
	root daemon bin sys sync games man lp mail news uucp proxy www-data backup list irc gnats nobody nogroup
	adm tty disk dialout fax voice cdrom floppy tape sudo audio dip operator src shadow utmp video sasl plugdev staff users
	kmem input sgx kvm render crontab netdev wheel docker lxd admin ssh sshd messagebus dbus polkitd syslog tss uuidd tcpdump
	landscape pollinate ftp halt shutdown lock mem dnsmasq chrony cron at squid xfs postmaster cyrus vpopmail ntp smmsp guest
	readproc ping rpc rpcuser unbound postfix fwupd-refresh rtkit avahi geoclue`)

// The limits of the uid of a guest's user. Images give lower uids, and those from 900 to 999, to their own services.
// macOS gives people uids from 501 on.
const (
	minUID = 500
	maxUID = 1<<31 - 1
)

// goodShells exist in every image.
var goodShells = []string{"/bin/bash", "/bin/sh", "/usr/bin/bash", "/usr/bin/sh"}

// shellPath matches paths that are valid in /etc/passwd.
var shellPath = regexp.MustCompile(`^/[A-Za-z0-9/._+-]+$`)

// checkUser reports whether a guest can have the user that a template gives it. A guest never gets ready with a user
// that its image has already, or one that can't log in. What the template leaves out, the guest takes from the
// host's user; see NeedsOwnUser.
func checkUser(y, full *limayaml.LimaYAML) error {
	u := y.User
	if u.Home != nil {
		u.Home = full.User.Home // with the values of its variables
	}
	return cmp.Or(
		checkIfSet("user.name", u.Name, checkUserName),
		checkIfSet("user.uid", u.UID, checkUID),
		checkIfSet("user.comment", u.Comment, checkComment),
		checkIfSet("user.home", u.Home, checkHome),
		checkIfSet("user.shell", u.Shell, func(shell string) error { return checkShell(shell, full.Provision) }),
	)
}

// checkIfSet checks the value of a field, if the template has it.
func checkIfSet[T any](field string, value *T, check func(T) error) error {
	if value == nil {
		return nil
	}
	return lima.FieldError(field, check(*value))
}

func checkUserName(name string) error {
	switch {
	case !userName.MatchString(name):
		return fmt.Errorf("must be at most 32 lower-case letters, digits, - and _, with a letter first; got %q", name)
	case slices.Contains(imageNames, name), strings.HasPrefix(name, "systemd-"):
		return fmt.Errorf("%q is a user or group that the guest's image has already: choose another name, such as %s", name, guestUser)
	}
	return nil
}

func checkUID(uid uint32) error {
	if uid < minUID || uid >= 900 && uid < 1000 || uid == 65534 || uid == 65535 || uid > maxUID {
		return fmt.Errorf("must be from 1000 to %d (or from %d to 899), and neither 65534 nor 65535; got %d: the image's own users have the others", maxUID, minUID, uid)
	}
	return nil
}

func checkComment(comment string) error {
	if i := strings.IndexFunc(comment, func(r rune) bool { return r == ':' || unicode.IsControl(r) }); i >= 0 {
		return fmt.Errorf("must be one line without a colon, which ends a field of /etc/passwd; got %q", comment)
	}
	return nil
}

func checkHome(home string) error {
	switch clean := path.Clean(home); {
	case !path.IsAbs(home) || strings.ContainsFunc(home, func(r rune) bool {
		return strings.ContainsRune(`:"'\$`+"`", r) || unicode.IsSpace(r) || unicode.IsControl(r)
	}):
		return fmt.Errorf("must be an absolute path in the guest without spaces, quotes, colons, $ and \\; got %q", home)
	case slices.Contains(guestPaths, clean), clean == "/root", inGuestFolder(clean, "/proc"), inGuestFolder(clean, "/sys"), inGuestFolder(clean, "/dev"):
		return fmt.Errorf("can't be %s, which the guest's system uses: choose a folder such as /home/NAME", home)
	}
	return nil
}

func checkShell(shell string, provision []limayaml.Provision) error {
	if slices.Contains(goodShells, shell) {
		return nil
	}
	if !shellPath.MatchString(shell) {
		return fmt.Errorf("must be the absolute path of a shell in the guest, such as /bin/bash; got %q", shell)
	}
	word := regexp.MustCompile(`(^|[^A-Za-z0-9_])` + regexp.QuoteMeta(path.Base(shell)) + `($|[^A-Za-z0-9_])`)
	for _, p := range provision {
		if p.Mode != limayaml.ProvisionModeUser && word.MatchString(p.Script) { // a user's script needs the shell already
			return nil
		}
	}
	return fmt.Errorf(
		"%s may be missing in the guest, and then nobody can log in: use /bin/bash or /bin/sh, or install %s with a provision script of mode system", shell, path.Base(shell))
}

// NeedsOwnUser reports whether a guest can't have the user u of the host as its own.
func NeedsOwnUser(u *user.User) bool {
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil { // Windows: Lima finds one
		return false
	}
	// Lima replaces a name that is not valid in Linux.
	return errors.Join(checkUID(uint32(uid)), checkComment(u.Name)) != nil || userName.MatchString(u.Username) && checkUserName(u.Username) != nil
}
