package diagnose

import (
	"context"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/internal/diag"
	"rancherdesktop.io/rdd/internal/instance"
	"rancherdesktop.io/rdd/internal/lifecycle"
	"rancherdesktop.io/rdd/internal/machine/layout"
)

// checkSockets looks whether paths of sockets fit.
func checkSockets(_ context.Context, i *inspection) []Finding {
	if err := i.inst.Check(); err != nil {
		return []Finding{problem(SeverityProblem, diag.SocketPathTooLong, "%v", err)}
	}
	room := 1
	for room < 30 && i.inst.CheckVM(strings.Repeat("a", room+1)) == nil {
		room++
	}
	all := []Finding{ok("names of VMs may have up to %d characters", room)}
	for _, vm := range i.files {
		if err := i.inst.CheckVM(vm.Name); err != nil {
			all = append(all, problem(SeverityProblem, diag.SocketPathTooLong, "%v", err))
		}
	}
	return all
}

// checkPorts looks whether somebody else has the ports that a start would want.
func checkPorts(ctx context.Context, i *inspection) []Finding {
	var all []Finding
	all = append(all, checkAPIPort(ctx, i)...)
	for _, vm := range i.files {
		if port := sshPort(vm); port != 0 && !vm.Alive() && isListening(ctx, net.JoinHostPort("127.0.0.1", strconv.Itoa(port))) {
			all = append(all, problem(SeverityWarning, diag.PortInUse, "port %d, which VM %q wants for SSH, is taken", port, vm.Name))
		}
	}
	if len(all) == 0 {
		return []Finding{ok("nobody else has a port that is wanted here")}
	}
	return all
}

// checkAPIPort looks whether a stopped service would get its port.
func checkAPIPort(ctx context.Context, i *inspection) []Finding {
	if !stopped(i.status.State) {
		return nil
	}
	config, _ := lifecycle.LoadConfig(i.inst) // another check tells what is wrong with it
	if config.Port != 0 {
		if address := net.JoinHostPort(instance.Loopback(), strconv.Itoa(config.Port)); isListening(ctx, address) {
			return []Finding{problem(SeverityProblem, diag.PortInUse, "%s, which this instance's API was given, is taken: the service will not start", address)}
		}
		return nil
	}
	if address := apiAddress(i.core); address != "" && isListening(ctx, address) {
		return []Finding{problem(SeverityWarning, diag.PortInUse, "%s, where this instance's API was, is taken: the service will use another port, and copied kubeconfigs will not reach it", address)}
	}
	return nil
}

// apiAddress is where the last run's server was; empty when there was none.
func apiAddress(c *core.Core) string {
	config, err := c.RESTConfig()
	if err != nil {
		return ""
	}
	u, err := url.Parse(config.Host)
	if err != nil {
		return ""
	}
	return u.Host
}

// sshPort is the port that a VM's configuration names; 0 when it takes any.
func sshPort(vm layout.VM) int {
	var config struct {
		SSH struct {
			LocalPort int `json:"localPort"`
		} `json:"ssh"`
	}
	b, err := os.ReadFile(vm.LimaYAML())
	if err != nil || yaml.Unmarshal(b, &config) != nil {
		return 0
	}
	if config.SSH.LocalPort == 0 && vm.Name == "default" {
		return 60022 // Lima's own choice for this name
	}
	return config.SSH.LocalPort
}

// dialTimeout bounds a connection: on loopback it is there at once, or not at all.
const (
	dialTimeout         = time.Second
	externalDialTimeout = 3 * time.Second // over a network
)

func isListening(ctx context.Context, address string) bool {
	d := net.Dialer{Timeout: dialTimeout}
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}
