package containerd

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"rancherdesktop.io/rdd/internal/view"
)

// signalNumber returns the number of a signal of Linux: 15, TERM or SIGTERM.
func signalNumber(name string) (uint32, error) {
	if n, err := strconv.ParseUint(name, 10, 8); err == nil && n > 0 && n <= 64 {
		return uint32(n), nil
	}
	i := slices.Index(signals(), strings.TrimPrefix(strings.ToUpper(name), "SIG"))
	if i < 0 {
		return 0, view.Status(http.StatusBadRequest, fmt.Sprintf("There is no signal %q.", name))
	}
	return uint32(i + 1), nil
}

// signals are the signals of Linux from 1 on, without SIG. This program may run on another system.
func signals() []string {
	return strings.Fields("HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS")
}
