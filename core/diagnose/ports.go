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

	"rancherdesktop.io/rdd/internal/diag"
	"rancherdesktop.io/rdd/internal/instance"
	"rancherdesktop.io/rdd/internal/lifecycle"
	"rancherdesktop.io/rdd/internal/machine/layout"
)

// checkSockets checks the lengths of socket paths.
func checkSockets(_ context.Context, i *inspection) []Finding {
	if err := i.inst.Check(); err != nil {
		return []Finding{problem(SeverityProblem, diag.SocketPathTooLong, "%v", err)}
	}
	longest := 1
	for longest < 30 && i.inst.CheckVM(strings.Repeat("a", longest+1)) == nil {
		longest++
	}
	all := []Finding{ok("VM names can have up to %d characters", longest)}
	for _, vm := range i.files {
		if err := i.inst.CheckVM(vm.Name); err != nil {
			all = append(all, problem(SeverityProblem, diag.SocketPathTooLong, "%v", err))
		}
	}
	return all
}

// checkPorts checks whether other programs use the ports that the service and its VMs need when they start.
func checkPorts(ctx context.Context, i *inspection) []Finding {
	all := checkAPIPort(ctx, i)
	for _, vm := range i.files {
		if port := sshPort(vm); port != 0 && !vm.Alive() && isListening(ctx, net.JoinHostPort("127.0.0.1", strconv.Itoa(port))) {
			all = append(all, problem(SeverityWarning, diag.PortInUse, "another program uses port %d, which VM %q needs for SSH", port, vm.Name))
		}
	}
	return orOK(all, "no other program uses a port that RDD needs")
}

// checkAPIPort checks whether a stopped service would get its port.
func checkAPIPort(ctx context.Context, i *inspection) []Finding {
	if !stopped(i.status.State) {
		return nil
	}
	config, _ := lifecycle.LoadConfig(i.inst) // another check reports the error
	if config.Port != 0 {
		if address := net.JoinHostPort(instance.Loopback(), strconv.Itoa(config.Port)); isListening(ctx, address) {
			return []Finding{problem(SeverityProblem, diag.PortInUse, "another program uses %s, the configured address of this instance's API, so the service will not start", address)}
		}
		return nil
	}
	if address := apiAddress(i); address != "" && isListening(ctx, address) {
		return []Finding{problem(SeverityWarning, diag.PortInUse, "another program uses %s, the last address of this instance's API: the service will use another port, so copies of the kubeconfig will not work", address)}
	}
	return nil
}

// apiAddress is the address of the last run's API server. It is empty when there was none.
func apiAddress(i *inspection) string {
	if config, err := i.core.RESTConfig(); err == nil {
		if u, err := url.Parse(config.Host); err == nil {
			return u.Host
		}
	}
	return ""
}

// sshPort is the SSH port in a VM's configuration; 0 when the VM takes any free port.
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
		return 60022 // Lima's default for this name
	}
	return config.SSH.LocalPort
}

// Timeouts of connections.
const (
	loopbackDialTimeout = time.Second
	externalDialTimeout = 3 * time.Second // over a network
)

func isListening(ctx context.Context, address string) bool {
	return dial(ctx, address, loopbackDialTimeout) == nil
}

// dial reports why a TCP server can't be reached.
func dial(ctx context.Context, address string, timeout time.Duration) error {
	conn, err := (&net.Dialer{Timeout: timeout}).DialContext(ctx, "tcp", address)
	if err == nil {
		conn.Close()
	}
	return err
}
