package hostagent

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Where the kernel lists sockets, and the state that one has which listens. Source: proc_net_tcp.rst of Linux.
var socketLists = map[string]struct{ protocol, listens string }{
	"/proc/net/tcp": {"tcp", "0A"}, "/proc/net/tcp6": {"tcp", "0A"},
	"/proc/net/udp": {"udp", "07"}, "/proc/net/udp6": {"udp", "07"},
}

// listeners lists what listens on this host. It names the process only for our own sockets.
func listeners(context.Context) ([]listener, error) {
	ours, err := socketsOf("self")
	if err != nil {
		return nil, err
	}
	var all []listener
	for path, list := range socketLists {
		b, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			continue // without IPv6
		}
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(b)) {
			f := strings.Fields(line)
			if len(f) < 10 || f[3] != list.listens {
				continue
			}
			ip, port, err := procAddress(f[1])
			if err != nil {
				return nil, fmt.Errorf("read %s: %w", path, err)
			}
			l := listener{protocol: list.protocol, ip: ip.String(), port: port, inode: f[9]}
			if ours[l.inode] {
				l.pid = os.Getpid()
			}
			all = append(all, l)
		}
	}
	return all, nil
}

// procAddress reads an address such as 0100007F:1F90: words in the processor's own order, and the port.
func procAddress(text string) (net.IP, int, error) {
	address, portText, _ := strings.Cut(text, ":")
	ip, err := hex.DecodeString(address)
	if err != nil {
		return nil, 0, err
	}
	for i := 0; i+4 <= len(ip); i += 4 {
		binary.NativeEndian.PutUint32(ip[i:], binary.BigEndian.Uint32(ip[i:]))
	}
	port, err := strconv.ParseUint(portText, 16, 16)
	return ip, int(port), err
}

// socketsOf are the inodes of a process's sockets.
func socketsOf(pid string) (map[string]bool, error) {
	dir := filepath.Join("/proc", pid, "fd")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	inodes := map[string]bool{}
	for _, e := range entries {
		target, _ := os.Readlink(filepath.Join(dir, e.Name())) // it may be closed by now
		if inode, ok := strings.CutPrefix(target, "socket:["); ok {
			inodes[strings.TrimSuffix(inode, "]")] = true
		}
	}
	return inodes, nil
}

// processOf finds the process that has a socket; 0 if we may not see it.
func processOf(inode string) int {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if sockets, err := socketsOf(e.Name()); err == nil && sockets[inode] {
			return pid
		}
	}
	return 0
}
