//go:build unix

package template

import (
	"path/filepath"
	"testing"

	"rancherdesktop.io/rdd/internal/lima/limatest"
)

func TestNetworkThatNobodyStarts(t *testing.T) {
	vm := limatest.NewVM(t)
	var verdicts []verdict
	for _, name := range []string{"user-v2", "shared", "bridged", "host", "mine"} {
		verdicts = append(verdicts, verdict{name, "networks: [{lima: " + name + "}]\n", "networks[0].lima", "RDD doesn't run"})
	}
	file := filepath.Join(t.TempDir(), "file")
	limatest.WriteFile(t, file, "")
	verdicts = append(verdicts, []verdict{
		{"a socket", "networks: [{socket: /no/such.sock}]\n", "", ""},
		{"a relative socket", "networks: [{socket: x.sock}]\n", "networks[0].socket", "absolute"},
		{"a socket that is none", "networks: [{socket: " + file + "}]\n", "networks[0].socket", "socket"},
		{"nothing", "networks: [{interface: x}]\n", "networks[0].socket", "leave the network out"},
		{"vzNAT with QEMU", "vmType: qemu\nnetworks: [{vzNAT: true}]\n", "networks[0].vzNAT", "vz"},
		{"the second", "networks: [{socket: /no/such.sock}, {lima: shared}]\n", "networks[1].lima", "RDD doesn't run"},
		{"a MAC address", "networks: [{socket: /no/such.sock, macAddress: x}]\n", "networks[0].macAddress", "52:55"},
		{"a MAC address of a group", "networks: [{socket: /no/such.sock, macAddress: '53:55:55:12:34:56'}]\n", "networks[0].macAddress", "even"},
	}...)
	judged(t, vm, verdicts)
	// The verdict doesn't depend on what Lima has made before.
	limatest.WriteFile(t, filepath.Join(vm.Home, "_config/networks.yaml"), "networks: {user-v2: {mode: user-v2, gateway: 192.168.104.1, netmask: 255.255.255.0}}\n")
	judged(t, vm, verdicts)
}
