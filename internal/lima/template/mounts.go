package template

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"unicode"

	"github.com/lima-vm/lima/pkg/limayaml"

	"rancherdesktop.io/rdd/internal/lima"
)

// guestPaths can't be mount points, because the guest needs what is there. Lima refuses only some of them.
var guestPaths = []string{
	"/", "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib64", "/opt", "/proc", "/run", "/sbin", "/sys", "/tmp", "/usr", "/var",
	"/usr/bin", "/usr/lib", "/usr/sbin", "/var/lib", "/var/run", "/mnt/lima-cidata",
}

// checkMounts checks that the guest can have each mount, with its own mode. Lima merges mounts of one folder,
// and mounts them in the order of the template.
func checkMounts(y, full *limayaml.LimaYAML) error {
	if *full.Plain {
		return nil // Lima mounts nothing
	}
	if err := checkSameFolder(y, full); err != nil {
		return err
	}
	for i, m := range full.Mounts {
		field := fmt.Sprintf("mounts[%d]", i)
		if err := checkMountNames(field, m, *full.MountType); err != nil {
			return err
		}
		if info, err := os.Stat(m.Location); err == nil && !info.IsDir() || errors.Is(err, syscall.ENOTDIR) {
			return lima.FieldErrorf(field+".location", "%s is not a folder", m.Location)
		}
		point := path.Clean(*m.MountPoint)
		switch {
		case !path.IsAbs(point):
			return lima.FieldErrorf(field+".mountPoint", "must be an absolute path in the guest; got %q", *m.MountPoint)
		case slices.Contains(guestPaths, point), point == path.Clean(*full.User.Home):
			return lima.FieldErrorf(field+".mountPoint", "must not be a system path such as /etc or /usr, or the home directory of the guest's user; got %q", *m.MountPoint)
		case inGuestFolder(point, "/proc"), inGuestFolder(point, "/sys"), inGuestFolder(point, "/dev"):
			return lima.FieldErrorf(field+".mountPoint", "can't be in /proc, /sys or /dev, which are the guest's kernel; got %q", *m.MountPoint)
		}
		for j, before := range full.Mounts[:i] {
			switch taken := path.Clean(*before.MountPoint); {
			case taken == point:
				return lima.FieldErrorf(field, "%s is already the mount point of mounts[%d], which would be hidden: give each its own", point, j)
			case inGuestFolder(taken, point):
				return lima.FieldErrorf(field, "%s would hide mounts[%d], which is mounted before it at %s: list the outer one first", point, j, taken)
			case inGuestFolder(point, taken) && *full.MountType == limayaml.REVSSHFS && !*before.Writable:
				return lima.FieldErrorf(field+".mountPoint", "%s is in mounts[%d], which is read-only, and with reverse-sshfs nothing can be mounted in a read-only folder: "+
					"make mounts[%[2]d] writable, or choose a mount point outside it", point, j)
			}
		}
	}
	return nil
}

// checkSameFolder finds two mounts that Lima would merge into one.
func checkSameFolder(y, full *limayaml.LimaYAML) error {
	seen := map[string]int{}
	for i, m := range y.Mounts {
		// Expand the location as Lima does before it compares locations.
		expanded := limayaml.CopyToHost{HostFile: m.Location}
		limayaml.FillCopyToHostDefaults(&expanded, "", full.User, full.Param)
		location := filepath.Clean(expanded.HostFile)
		if j, twice := seen[location]; twice {
			return lima.FieldErrorf(fmt.Sprintf("mounts[%d]", i),
				"%s is shared by mounts[%d] already, and Lima shares a folder only once, with one mode: leave one out, or name the folder here by a symbolic link to it", m.Location, j)
		}
		seen[location] = i
	}
	return nil
}

// unmountable lists the characters that a mount's paths can't have. Lima doesn't quote them correctly for the guest's
// shell (reverse-sshfs) or its cloud-init (the others).
var unmountable = map[limayaml.MountType]struct{ location, mountPoint string }{
	limayaml.REVSSHFS: {"$`", "$`"},
	limayaml.NINEP:    {"", `,[]{}"#`},
	limayaml.VIRTIOFS: {"", `,[]{}"#`},
}

// checkMountNames refuses a mount whose paths would arrive in the guest as something else.
func checkMountNames(field string, m limayaml.Mount, kind limayaml.MountType) error {
	bad := unmountable[kind]
	for _, p := range []struct{ field, path, bad string }{
		{".location", m.Location, bad.location},
		{".mountPoint", *m.MountPoint, bad.mountPoint},
	} {
		others := ""
		if p.bad != "" {
			others = " and without any of " + strings.Join(strings.Split(p.bad, ""), " ")
		}
		for _, c := range p.path {
			if !unicode.IsPrint(c) || strings.ContainsRune(p.bad, c) {
				return lima.FieldErrorf(field+p.field, "%q has the character %q, which a path can't have that is mounted by %s: use a path without control characters%s, or give the folder another name by a symbolic link",
					p.path, c, kind, others)
			}
		}
	}
	return nil
}

// inGuestFolder reports whether p is in the folder dir of the guest. Both are clean.
func inGuestFolder(p, dir string) bool {
	return p != dir && strings.HasPrefix(p, strings.TrimSuffix(dir, "/")+"/")
}
