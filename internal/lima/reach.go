package lima

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/lima-vm/lima/pkg/limayaml"
)

// reachNetworks says whether the programs of the VM's networks are there. They may come.
func reachNetworks(ctx context.Context, y *limayaml.LimaYAML) error {
	for i, n := range y.Networks {
		if n.Socket == "" {
			continue
		}
		d := net.Dialer{Timeout: networkTimeout}
		conn, err := d.DialContext(ctx, "unix", n.Socket)
		if err != nil {
			return fmt.Errorf("networks[%d].socket: no network answers at %s: start its program, or leave the network out: %w", i, n.Socket, err)
		}
		_ = conn.Close()
	}
	return nil
}

// networkTimeout bounds a try to reach a network's program, which is on this host.
const networkTimeout = 5 * time.Second
