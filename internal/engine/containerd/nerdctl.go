package containerd

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"

	"rancherdesktop.io/rdd/internal/engine"
	"rancherdesktop.io/rdd/internal/engine/answers"
	"rancherdesktop.io/rdd/internal/view"
)

// nerdctl lets nerdctl do something with a container that it has made: it keeps the container's network, name and log. If it is
// not on the data disk, the error names the command that installs and runs it.
func (t *task) nerdctl(ctx context.Context, verb string, flags ...string) error {
	args := append(append([]string{"--namespace", t.namespace, verb}, flags...), t.id)
	var command []string
	for _, word := range engine.Nerdctl(args...) {
		command = append(command, answers.Quote(word))
	}
	program := answers.Quote(engine.NerdctlFolder + "/" + engine.NerdctlProgram)
	conn, err := t.Dial(ctx, "exec", "sudo -n test -x "+program+" || { echo missing; exit; }; "+strings.Join(command, " ")+" 2>&1 && echo done || echo failed")
	if err != nil {
		return view.Status(http.StatusServiceUnavailable, "The virtual machine does not answer: "+plain(err).Error()+".")
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	var said []string
	for lines := bufio.NewScanner(io.LimitReader(conn, 64<<10)); lines.Scan(); {
		said = append(said, strings.TrimSpace(lines.Text()))
	}
	if len(said) == 0 {
		return view.Status(http.StatusServiceUnavailable, "The virtual machine did not answer.")
	}
	switch last := len(said) - 1; said[last] {
	case "done":
		return nil
	case "missing":
		return conflict("nerdctl made this container, and cares for its network, its name and its log, but is not installed. Install it as rdd nerdctl says, or use: rdd nerdctl --namespace %s %s %s", t.namespace, verb, nameOf(t.container))
	default:
		return conflict("nerdctl says: %s", strings.Join(said[max(0, last-1):last], " "))
	}
}
