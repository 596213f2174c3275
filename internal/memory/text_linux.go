package memory

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// dropText lets go of the program's own code pages. Each fault maps 64 KiB around the page that was
// needed, so a start maps most of the code; what is in use comes back from the page cache. Code is
// never written to, unlike relocated read-only data, so nothing can be lost.
// Source: madvise(2), MADV_DONTNEED on file mappings.
func dropText() {
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return
	}
	defer maps.Close()
	for _, m := range textOf(exe, maps) {
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, m.start, m.end-m.start, unix.MADV_DONTNEED) // worst case, they stay
	}
}

// mapping is a range of addresses.
type mapping struct{ start, end uintptr }

// textOf finds the code of a program in a /proc/PID/maps. Source: proc(5).
func textOf(exe string, maps io.Reader) (found []mapping) {
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		var m mapping
		var mode, offset, device, inode string
		n, _ := fmt.Sscanf(lines.Text(), "%x-%x %s %s %s %s", &m.start, &m.end, &mode, &offset, &device, &inode)
		if n == 6 && mode == "r-xp" && strings.HasSuffix(lines.Text(), " "+exe) {
			found = append(found, m)
		}
	}
	return found
}
