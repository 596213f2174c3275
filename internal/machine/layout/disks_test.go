package layout

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestDiskUsage(t *testing.T) {
	header := make([]byte, 104)
	copy(header, "QFI\xfb")
	binary.BigEndian.PutUint64(header[24:], 20<<30)
	for _, tc := range []struct {
		name  string
		image []byte
		size  int64
	}{
		{"qcow2", header, 20 << 30},
		{"raw", bytes.Repeat([]byte{1}, 8192), 8192},
		{"an incomplete file", []byte("QFI"), 3},
	} {
		path := filepath.Join(t.TempDir(), "disk")
		if err := os.WriteFile(path, tc.image, 0o600); err != nil {
			t.Fatal(err)
		}
		if allocated, size := DiskUsage(path); size != tc.size || allocated <= 0 {
			t.Errorf("%s: %d of %d bytes, want %d", tc.name, allocated, size, tc.size)
		}
	}
}

func TestVMOfWhichOnlyTheDataDiskIsLeftIsFound(t *testing.T) {
	vm := VM{Home: t.TempDir(), Name: "rd"}
	if err := os.MkdirAll(filepath.Dir(vm.DataDisk()), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{vm.DataDisk(), VM{Home: vm.Home, Name: "half"}.DataDisk() + ".new"} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if found := dataDisks(vm.Home); !slices.Equal(found, []string{"rd"}) || !vm.Orphaned() || vm.Made() {
		t.Error(found)
	}
}
