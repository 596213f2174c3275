package qemu

import (
	"slices"
	"testing"
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
