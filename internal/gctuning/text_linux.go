package gctuning

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// dropText unmaps the pages of the program's own file that were not written to: its code, and its constants and tables unless the
// loader has relocated them. Each page fault maps 64 KiB around the page, so a start maps most of the file. Pages that are used
// again come back from the page cache.
// Source: madvise(2), MADV_DONTNEED on file mappings.
func dropText() {
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	maps, err := os.Open("/proc/self/smaps")
	if err != nil {
		return
	}
	defer maps.Close()
	for _, m := range textOf(exe, maps) {
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, m.start, m.end-m.start, unix.MADV_DONTNEED) // if it fails, the pages stay mapped
	}
}

// mapping is a range of addresses.
type mapping struct{ start, end uintptr }

// textOf returns the mappings of a program's file in /proc/PID/smaps that are not writable and were not written to.
// Source: proc(5).
func textOf(exe string, smaps io.Reader) (found []mapping) {
	ours := false // the last mapping is in found
	for lines := bufio.NewScanner(smaps); lines.Scan(); {
		var m mapping
		var mode, offset, device, inode string
		if n, _ := fmt.Sscanf(lines.Text(), "%x-%x %s %s %s %s", &m.start, &m.end, &mode, &offset, &device, &inode); n == 6 {
			if ours = (mode == "r-xp" || mode == "r--p") && strings.HasSuffix(lines.Text(), " "+exe); ours {
				found = append(found, m)
			}
			continue
		}
		written := strings.HasPrefix(lines.Text(), "Anonymous:") || strings.HasPrefix(lines.Text(), "Swap:")
		if fields := strings.Fields(lines.Text()); ours && written && len(fields) > 1 && fields[1] != "0" {
			found, ours = found[:len(found)-1], false
		}
	}
	return found
}
