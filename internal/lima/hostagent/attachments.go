package hostagent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/lima-vm/lima/pkg/limayaml"
	"github.com/lima-vm/lima/pkg/store"
	"github.com/sirupsen/logrus"

	"rancherdesktop.io/rdd/internal/machine/layout"
	"rancherdesktop.io/rdd/internal/proc"
)

// takeDisks makes sure that the VM can have its additional disks, and gives back those that an earlier run had. A lock
// file of another VM that doesn't run was left by a crash, and is removed.
func takeDisks(vm layout.VM, y *limayaml.LimaYAML) error {
	if err := vm.FreeDisks(); err != nil {
		return err
	}
	for i, d := range y.AdditionalDisks {
		disk, err := store.InspectDisk(d.Name)
		if err != nil {
			return fmt.Errorf("additionalDisks[%d].name: %w", i, err)
		}
		if disk.Instance == "" {
			continue
		}
		other := layout.VM{Home: vm.Home, Name: disk.Instance}
		for _, lock := range []string{other.HostagentLock(), other.QEMULock()} {
			if held, err := proc.Held(lock); held || err != nil {
				return errors.Join(err, fmt.Errorf("additionalDisks[%d].name: the disk %q is in use by VM %q: stop that one first", i, d.Name, disk.Instance))
			}
		}
		logrus.Warnf("the disk %q was left by VM %q, which doesn't run", d.Name, disk.Instance)
		if err := disk.Unlock(); err != nil {
			return err
		}
	}
	return nil
}

// reachNetworks checks that the programs of the VM's networks answer. The error is not permanent: they may still start.
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

// networkTimeout bounds a connection to a network's program, which runs on this host.
const networkTimeout = 5 * time.Second
