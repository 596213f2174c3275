//go:build unix

package lima

import (
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lima-vm/lima/pkg/limayaml"

	"rancherdesktop.io/rdd/internal/lima/limatest"
)

func TestNetworkWhoseProgramIsNotThereIsNamed(t *testing.T) {
	limatest.NewVM(t)
	path := filepath.Join(t.TempDir(), "x.sock")
	y := &limayaml.LimaYAML{Networks: []limayaml.Network{{Socket: path}}}
	if err := reachNetworks(t.Context(), y); err == nil || !strings.Contains(err.Error(), "networks[0].socket: no network answers at "+path) {
		t.Error(err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := reachNetworks(t.Context(), y); err != nil {
		t.Error(err)
	}
}
