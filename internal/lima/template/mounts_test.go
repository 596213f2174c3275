//go:build unix

package template

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rancherdesktop.io/rdd/internal/lima/limatest"
)

func TestEachMountIsThereWithItsOwnMode(t *testing.T) {
	vm := limatest.NewVM(t)
	dir := t.TempDir()
	limatest.WriteFile(t, filepath.Join(dir, "a/file"), "")
	if err := os.Symlink(filepath.Join(dir, "a"), filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	mounts := func(list string) string {
		return "mounts: [" + strings.NewReplacer("D/", dir+"/", "HOME", filepath.Dir(vm.Home)).Replace(list) + "]\n"
	}
	judged(t, vm, []verdict{
		{"two folders", mounts("{location: D/a}, {location: D/b, writable: true}"), "", ""},
		{"an outer folder first", mounts("{location: D/a}, {location: D/a/inner, writable: true}"), "", ""},
		{"one folder by a link to it", mounts("{location: D/a, mountPoint: /ro}, {location: D/link, mountPoint: /rw, writable: true}"), "", ""},
		{"neighbours with a common beginning", mounts("{location: D/a, mountPoint: /mnt/ab}, {location: D/b, mountPoint: /mnt/a}"), "", ""},
		{"none in plain mode", "plain: true\n" + mounts("{location: D/a}, {location: D/a}"), "", ""},

		{"one folder at two places", mounts("{location: D/a, mountPoint: /ro}, {location: D/a, mountPoint: /rw, writable: true}"), "mounts[1]", "by mounts[0] already"},
		{"one folder with a slash behind", mounts("{location: D/a, mountPoint: /ro}, {location: D/a/, mountPoint: /rw, writable: true}"), "mounts[1]", "by mounts[0] already"},
		{"one folder by a way around", mounts("{location: D/a, mountPoint: /ro}, {location: D/b/../a, mountPoint: /rw}"), "mounts[1]", "by mounts[0] already"},
		{"one folder by a variable", mounts("{location: '{{.GlobalTempDir}}/x', mountPoint: /ro}, {location: /tmp/x, mountPoint: /rw}"), "mounts[1]", "by mounts[0] already"},
		{"one folder twice", mounts("{location: D/b}, {location: D/a}, {location: D/a, writable: true}"), "mounts[2]", "by mounts[1] already"},
		{"the home directory twice", mounts("{location: '~'}, {location: HOME, writable: true}"), "mounts[1]", "mount point of mounts[0]"},
		{"one mount point twice", mounts("{location: D/a, mountPoint: /x}, {location: D/b, mountPoint: /x}"), "mounts[1]", "mount point of mounts[0]"},
		{"one mount point with a slash behind", mounts("{location: D/a, mountPoint: /x}, {location: D/b, mountPoint: /x/}"), "mounts[1]", "mount point of mounts[0]"},
		{"an outer folder last", mounts("{location: D/a, mountPoint: /x/y}, {location: D/b, mountPoint: /x}"), "mounts[1]", "would hide mounts[0]"},
		{"a writable folder in a read-only one, over sshfs", "mountType: reverse-sshfs\n" + mounts("{location: D/a, mountPoint: /x}, {location: D/b, mountPoint: /x/y, writable: true}"), "mounts[1].mountPoint", "in mounts[0], which is read-only"},
		{"a folder in a writable one, over sshfs", "mountType: reverse-sshfs\n" + mounts("{location: D/a, mountPoint: /x, writable: true}, {location: D/b, mountPoint: /x/y}"), "", ""},
		{"a system path with a slash behind", mounts("{location: D/a, mountPoint: /etc/}"), "mounts[0].mountPoint", "system path"},
		{"a system path by a way around", mounts("{location: D/a, mountPoint: /x/../usr}"), "mounts[0].mountPoint", "system path"},
		{"the guest's libraries", mounts("{location: D/a, mountPoint: /usr/lib}"), "mounts[0].mountPoint", "system path"},
		{"the kernel's files", mounts("{location: D/a, mountPoint: /proc/1}"), "mounts[0].mountPoint", "/proc"},
		{"the user's home with a slash behind", "user: {home: /home/me}\n" + mounts("{location: D/a, mountPoint: /home/me/}"), "mounts[0].mountPoint", "home directory"},
		{"a relative mount point", mounts("{location: D/a, mountPoint: x}"), "mounts[0].mountPoint", "absolute"},
		{"a file", mounts("{location: D/a/file}"), "mounts[0].location", "file"},
	})
}
