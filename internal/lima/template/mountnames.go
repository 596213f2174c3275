package template

import (
	"strings"
	"unicode"

	"github.com/lima-vm/lima/pkg/limayaml"

	"rancherdesktop.io/rdd/internal/lima"
)

// unmountable are the characters that a mount's paths can't have: Lima quotes them wrongly, or not at all,
// for the guest's shell (reverse-sshfs) or its cloud-init (the others).
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
		for _, c := range p.path {
			if !unicode.IsPrint(c) || strings.ContainsRune(p.bad, c) {
				return lima.FieldErrorf(field+p.field, "%q has the character %q, which a path can't have that is mounted by %s: use a path without control characters%s, or give the folder another name by a symbolic link",
					p.path, c, kind, orAnyOf(p.bad))
			}
		}
	}
	return nil
}

func orAnyOf(bad string) string {
	if bad == "" {
		return ""
	}
	return " and without any of " + strings.Join(strings.Split(bad, ""), " ")
}
