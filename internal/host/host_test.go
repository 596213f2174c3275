package host

import (
	"path/filepath"
	"testing"
)

func TestDiskOfAMissingFile(t *testing.T) {
	dir := t.TempDir()
	here, err := DiskOf(dir)
	if err != nil {
		t.Fatal(err)
	}
	there, err := DiskOf(filepath.Join(dir, "not", "made"))
	if err != nil || there.Name != here.Name || here.Total == 0 || here.Free > here.Total {
		t.Errorf("%+v, %+v, %v", here, there, err)
	}
}

func TestUsed(t *testing.T) {
	for _, tc := range []struct {
		disk Disk
		want int
	}{
		{Disk{Total: 100, Free: 15}, 85},
		{Disk{Total: 1000, Free: 151}, 84},
		{Disk{Total: 100}, 100},
		{Disk{Total: 100, Free: 200}, 0},
		{Disk{}, 0},
	} {
		if got := tc.disk.Used(); got != tc.want {
			t.Errorf("%+v: %d %%, want %d", tc.disk, got, tc.want)
		}
	}
}

func TestMemory(t *testing.T) {
	m, err := MemoryOf()
	if err != nil || m.Total == 0 || m.Available > m.Total {
		t.Errorf("%+v, %v", m, err)
	}
}
