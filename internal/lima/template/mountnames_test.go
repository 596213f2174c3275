package template

import (
	"errors"
	"strings"
	"testing"

	"github.com/lima-vm/lima/pkg/limayaml"

	"rancherdesktop.io/rdd/internal/lima"
)

func TestMountWhosePathWouldArriveAsAnotherIsRefused(t *testing.T) {
	for _, tc := range []struct {
		kind            limayaml.MountType
		location, point string
		want            string // field
	}{
		{limayaml.REVSSHFS, "/home/O'Brien, Pat/100% \"x\": #1", "/mnt/O'Brien, Pat \\ é日本", ""},
		{limayaml.REVSSHFS, "/home/$USER", "/mnt", "mounts[1].location"},
		{limayaml.REVSSHFS, "/home/me", "/mnt/`id`", "mounts[1].mountPoint"},
		{limayaml.REVSSHFS, "/home/a\tb", "/mnt", "mounts[1].location"},
		{limayaml.REVSSHFS, "/home/me", "/mnt/a\nb", "mounts[1].mountPoint"},
		{limayaml.NINEP, "/home/a,b $x", "/mnt/a", ""},
		{limayaml.NINEP, "/home/a", "/mnt/a,b", "mounts[1].mountPoint"},
		{limayaml.VIRTIOFS, "/home/a", "/mnt/a]b", "mounts[1].mountPoint"},
		{limayaml.VIRTIOFS, "/home/a\x00b", "/mnt/a", "mounts[1].location"},
	} {
		err := checkMountNames("mounts[1]", limayaml.Mount{Location: tc.location, MountPoint: &tc.point}, tc.kind)
		var p *lima.PermanentError
		if is := errors.As(err, &p); is != (tc.want != "") || is && (p.Field != tc.want || !strings.Contains(err.Error(), "has the character")) {
			t.Errorf("%s: %q on %q: %v", tc.kind, tc.location, tc.point, err)
		}
	}
}
