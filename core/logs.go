package core

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"rancherdesktop.io/rdd/internal/logs"
	"rancherdesktop.io/rdd/internal/machine/layout"
)

// Log writes the service's log to w. With follow, it continues until ctx ends.
func (s *Service) Log(ctx context.Context, w io.Writer, follow bool) error {
	return Failed("read the log of service", s.core.inst.Name, logs.Copy(ctx, w, s.core.inst.ServiceLog(), follow))
}

// The logs of a VM.
const (
	LogHostagent = "hostagent" // the log of Lima's hostagent, which runs the VM
	LogSerial    = "serial"    // the guest's console
	LogEvents    = "events"    // the hostagent's events, one JSON object a line
)

// LogSources names the logs of a VM.
func LogSources() []string { return []string{LogHostagent, LogSerial, LogEvents} }

// VMLog writes one of a VM's logs to w. With follow, it continues until ctx ends. It works without a service.
func (c *Core) VMLog(ctx context.Context, w io.Writer, name, source string, follow bool) error {
	const op = "read the log of VM"
	path := c.VMLogPath(name, source)
	if path == "" {
		return &Error{Kind: Usage, Op: op, Object: name, Err: fmt.Errorf("unknown log %q; must be one of %s", source, strings.Join(LogSources(), ", "))}
	}
	if !filepath.IsLocal(name) || slices.Contains([]string{".", ""}, name) {
		return &Error{Kind: Usage, Op: op, Object: name, Err: errors.New("this is not a valid name of a VM")}
	}
	return Failed(op, name, logs.Copy(ctx, w, path, follow))
}

// VMLogPath returns the path of one of a VM's logs; empty: there is no such log.
func (c *Core) VMLogPath(name, source string) string {
	vm := layout.Of(c.inst, name)
	return map[string]string{LogHostagent: vm.HostagentLog(), LogSerial: vm.SerialLog(), LogEvents: vm.Events()}[source]
}

// LogDir returns the directory of a VM's logs.
func (v *VMs) LogDir(name string) string { return layout.Of(v.session.core.inst, name).Logs }
