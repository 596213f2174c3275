package socket

import (
	"fmt"
	"net"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// peer names the process at the other end, such as " (dockerd, process 42)". It is empty if that isn't known.
func peer(conn *net.UnixConn) (name string) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return ""
	}
	_ = raw.Control(func(fd uintptr) {
		who, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
		if err != nil || who.Pid == 0 { // 0: it is in another PID namespace
			return
		}
		command, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", who.Pid))
		name = fmt.Sprintf(" (%s, process %d)", strings.TrimSpace(string(command)), who.Pid)
	})
	return strings.Replace(name, "(, ", "(", 1)
}
