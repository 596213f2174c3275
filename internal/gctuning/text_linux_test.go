package gctuning

import (
	"os"
	"slices"
	"strings"
	"testing"
)

func TestTextOf(t *testing.T) {
	const smaps = `00400000-02c54000 r-xp 00000000 fe:00 10012882                           /opt/r dd/rddd
Size:              41296 kB
Private_Dirty:        40 kB
Anonymous:             0 kB
Swap:                  0 kB
VmFlags: rd ex mr mw me
02c54000-058a1000 r--p 02854000 fe:00 10012882                           /opt/r dd/rddd
Anonymous:             0 kB
058a1000-058b1000 r--p 054a1000 fe:00 10012882                           /opt/r dd/rddd
Anonymous:            64 kB
058b1000-05998000 rw-p 054b1000 fe:00 10012882                           /opt/r dd/rddd
Anonymous:             0 kB
7f64eaa50000-7f64ead10000 r-xp 00000000 fe:00 10012883                   /lib/libc.so.6
Anonymous:             0 kB
7f64ead20000-7f64eaf00000 rw-p 00000000 00:00 0 
Anonymous:             8 kB
`
	if got := textOf("/opt/r dd/rddd", strings.NewReader(smaps)); !slices.Equal(got, []mapping{{0x400000, 0x2c54000}, {0x2c54000, 0x58a1000}}) {
		t.Errorf("%x", got)
	}
}

// The test program goes on without the pages that it runs from.
func TestDropTextLeavesTheProgramRunning(t *testing.T) {
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	maps, err := os.Open("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	defer maps.Close()
	if len(textOf(exe, maps)) == 0 {
		t.Fatal("the program's code was not found")
	}
	dropText()
}
