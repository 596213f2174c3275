//go:build unix

package hostagent

import (
	"os"

	"rancherdesktop.io/rdd/internal/machine/layout"
	"rancherdesktop.io/rdd/internal/proc"

	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lima-vm/lima/pkg/limayaml"

	"rancherdesktop.io/rdd/internal/lima/limatest"
)

func TestNetworkWhoseProgramIsNotThereIsNamed(t *testing.T) {
	limatest.NewVM(t)
	path := filepath.Join(t.TempDir(), "x.sock")
	y := &limayaml.LimaYAML{Networks: []limayaml.Network{{Socket: path}}}
	if err := reachNetworks(t.Context(), y); err == nil || !strings.Contains(err.Error(), "networks[0].socket: no network answers at "+path) {
		t.Error(err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := reachNetworks(t.Context(), y); err != nil {
		t.Error(err)
	}
}

func TestDiskThatTheVMHasNoLongerIsFree(t *testing.T) {
	vm := limatest.NewVM(t)
	marks := limatest.MarkDisks(t, vm.Home, map[string]string{"dropped": vm.Dir(), "kept": vm.Dir(), "others": filepath.Join(vm.Home, "other")})
	y := &limayaml.LimaYAML{AdditionalDisks: []limayaml.Disk{{Name: "kept"}}}
	if err := takeDisks(vm, y); err != nil {
		t.Fatal(err)
	}
	for disk, mark := range marks {
		if layout.Exists(mark) != (disk == "others") {
			t.Errorf("the disk %q is in use: %t", disk, disk != "others")
		}
	}
}

func TestDiskThatACrashedVMHadIsFree(t *testing.T) {
	vm := limatest.NewVM(t)
	other := layout.VM{Home: vm.Home, Name: "other"}
	note := limatest.MarkDisks(t, vm.Home, map[string]string{"data": other.Dir()})["data"]
	y := &limayaml.LimaYAML{AdditionalDisks: []limayaml.Disk{{Name: "data"}}}
	if err := os.MkdirAll(other.Run(), 0o700); err != nil {
		t.Fatal(err)
	}
	lock, err := proc.Acquire(other.HostagentLock())
	if err != nil {
		t.Fatal(err)
	}
	if err := takeDisks(vm, y); err == nil || !strings.Contains(err.Error(), `in use by VM "other"`) {
		t.Error(err)
	}
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
	if err := takeDisks(vm, y); err != nil || layout.Exists(note) {
		t.Error(err)
	}
}
