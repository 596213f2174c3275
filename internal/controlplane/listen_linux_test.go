package controlplane_test

import (
	"bufio"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestNothingElseListens(t *testing.T) {
	u, err := url.Parse(shared.Endpoint().URL)
	if err != nil {
		t.Fatal(err)
	}
	if u.Hostname() != "127.82.68.68" {
		t.Errorf("listens on %s", u.Host)
	}
	var port int
	fmt.Sscan(u.Port(), &port)
	want := fmt.Sprintf("4444527F:%04X", port)
	if got := listening(t); !slices.Equal(got, []string{want}) {
		t.Errorf("this process listens on %v, want only %s", got, want)
	}
}

// listening returns the addresses of this process's listening sockets, as /proc writes them.
func listening(t *testing.T) []string {
	ours := map[string]bool{}
	fds, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if link, err := os.Readlink(fd); err == nil && strings.HasPrefix(link, "socket:[") {
			ours[strings.TrimSuffix(strings.TrimPrefix(link, "socket:["), "]")] = true
		}
	}
	var found []string
	for _, table := range []string{"tcp", "tcp6", "udp", "udp6"} {
		f, err := os.Open("/proc/self/net/" + table)
		if err != nil {
			continue // no such protocol here
		}
		defer f.Close()
		for s := bufio.NewScanner(f); s.Scan(); {
			field := strings.Fields(s.Text())
			const listen, inode = "0A", 9
			if len(field) > inode && ours[field[inode]] && (field[3] == listen || strings.HasPrefix(table, "udp")) {
				found = append(found, field[1])
			}
		}
	}
	return found
}
