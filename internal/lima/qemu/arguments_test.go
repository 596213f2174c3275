package qemu

import (
	"slices"
	"strings"
	"testing"

	"github.com/lima-vm/lima/pkg/limayaml"
)

func TestCommaInAPathDoesNotSplitQEMUsOptions(t *testing.T) {
	args := []string{
		"-name", "lima-a,b", "-drive", "file=/home/Brien, Pat/.rdd/a/diffdisk,if=virtio,discard=on", "-kernel", "/home/Brien, Pat/.rdd/a/kernel",
		"-virtfs", "local,mount_tag=mount0,path=/data/x,y,security_model=none", "-chardev", "socket,id=rdd,path=/home/Brien,, Pat/.rdd/a/rdd.sock", "-nodefaults",
	}
	want := slices.Clone(args)
	want[3] = "file=/home/Brien,, Pat/.rdd/a/diffdisk,if=virtio,discard=on"
	want[7] = "local,mount_tag=mount0,path=/data/x,,y,security_model=none"
	got, err := QuoteCommas(args, `["/home/Brien, Pat", "/home/Brien, Pat/.rdd", "/data/x,y", "/plain"]`)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v\nwant %q", got, err, want)
	}
	for _, none := range []string{"", "[]", `["/plain"]`} {
		if got, err := QuoteCommas(args, none); err != nil || !slices.Equal(got, args) {
			t.Errorf("%s: %q, %v", none, got, err)
		}
	}
	if _, err := QuoteCommas(nil, `["/a,b"]`); err != nil {
		t.Error(err)
	}
}

// The system disk would be /dev/vdb in the guest, and not boot, if the data disk came first on the bus.
func TestDataDiskComesAfterTheSystemDisk(t *testing.T) {
	path := "/home/a,b/lima/_data/rd.qcow2"
	flags, err := QuoteCommas(DataDiskFlags(limayaml.X8664, path), `["/home/a,b/lima"]`)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(flags, " ")
	for _, want := range []string{"file=/home/a,,b/lima/_data/rd.qcow2", "serial=rdd-data", "addr=0x1c", "discard=unmap"} {
		if !strings.Contains(got, want) {
			t.Errorf("%s doesn't have %s", got, want)
		}
	}
}
