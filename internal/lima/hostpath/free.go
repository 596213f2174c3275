package hostpath

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/lima-vm/lima/pkg/store/filenames"

	"rancherdesktop.io/rdd/internal/lima"
	"rancherdesktop.io/rdd/internal/machine/layout"
	"rancherdesktop.io/rdd/internal/proc"
)

// CheckFree checks that each path can be used: nothing is there, or something that this VM has put there. If named is
// false, vm only says where a VM would be.
func CheckFree(vm layout.VM, named bool, paths []Path) error {
	var mine Files
	if named {
		var err error
		if mine, err = readFiles(vm); err != nil {
			return err
		}
	}
	for _, p := range paths {
		if !named && IsBelow(p.Path, vm.Dir()) {
			continue // there is no such directory yet
		}
		if err := p.free(vm, mine); err != nil {
			return err
		}
	}
	return nil
}

// free checks that nothing is at the path but what the VM has put there.
func (p Path) free(vm layout.VM, mine Files) error {
	info, err := os.Lstat(p.Path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return p.canMakeFolder()
	}
	if err != nil {
		return p.taken("can't be checked: " + err.Error())
	}
	switch mode := info.Mode(); {
	case mode.IsDir():
		return p.taken("is a folder")
	case mode&fs.ModeSymlink != 0:
		if p.linkOf(vm) || p.Socket && abandoned(p.Path) {
			return nil
		}
		return p.taken("is a symbolic link")
	case mode&fs.ModeSocket != 0 && p.Socket:
		if p.Path == p.Inside || dead(p.Path) {
			return nil
		}
		return p.taken("is the socket of a program that runs")
	case mode.IsRegular() && !p.Socket:
		if _, ok := mine.Written[p.Path]; ok {
			return nil
		}
		return p.taken("is a file that this VM has not made")
	case mode.IsRegular():
		return p.taken("is a file")
	}
	return p.taken("is not a " + p.kind())
}

// canMakeFolder checks that the folder of a path can be created.
func (p Path) canMakeFolder() error {
	for dir := filepath.Dir(p.Path); ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err == nil && !info.IsDir() {
			return lima.FieldErrorf(p.Field, "%s can't be made: %s is not a folder", p.Path, dir)
		}
		if err == nil || filepath.Dir(dir) == dir {
			return nil
		}
	}
}

func (p Path) taken(is string) error {
	return lima.FieldErrorf(p.Field, "%s %s. RDD does not replace it: choose another path, or move it away", p.Path, is)
}

// linkOf reports whether the path is a link to a socket of the VM, whatever the link's number.
func (p Path) linkOf(vm layout.VM) bool {
	to, err := os.Readlink(p.Path)
	return err == nil && p.Socket && IsBelow(to, filepath.Join(vm.Dir(), filenames.SocketDir))
}

// abandoned reports whether a link leads to the former socket of a VM of RDD that is gone or was killed.
func abandoned(path string) bool {
	to, err := os.Readlink(path)
	if err != nil || layout.Exists(to) || !strings.HasPrefix(filepath.Base(to), "rdd-") || filepath.Base(filepath.Dir(to)) != filenames.SocketDir {
		return false
	}
	dir := filepath.Dir(filepath.Dir(to))
	other := layout.VM{Home: filepath.Dir(dir), Name: filepath.Base(dir)}
	held, err := proc.Held(other.HostagentLock())
	return !held && err == nil
}

// dead reports whether nobody listens at a socket, so that it may be removed.
func dead(path string) bool {
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		_ = conn.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}
