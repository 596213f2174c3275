package qemu

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"time"

	"github.com/lima-vm/lima/pkg/store/filenames"

	"rancherdesktop.io/rdd/internal/machine/layout"
)

// qmpTimeout bounds one exchange with QEMU.
const qmpTimeout = 5 * time.Second

// This client is our own because github.com/digitalocean/go-qemu/qmp waits for answers without a limit and can't be
// canceled: a suspended QEMU would block its callers.

// qmpConn is a connection to QEMU's control socket. Protocol: QEMU Machine Protocol Specification;
// QEMU greets, capabilities are negotiated, then commands are taken and answered in their order.
type qmpConn struct {
	net.Conn
	in  *json.Decoder
	out *json.Encoder
}

// qmpReply is a message from QEMU: the answer to a command, or an event.
type qmpReply struct {
	Return json.RawMessage
	Error  *struct{ Desc string }
	Event  string
	Data   json.RawMessage
}

// dialQMP connects to a QEMU and negotiates, within qmpTimeout.
func dialQMP(ctx context.Context, socket string) (*qmpConn, error) {
	d := net.Dialer{Timeout: qmpTimeout}
	conn, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, err
	}
	c := &qmpConn{conn, json.NewDecoder(conn), json.NewEncoder(conn)}
	var greeting struct{ QMP any }
	err = errors.Join(c.SetDeadline(time.Now().Add(qmpTimeout)), c.in.Decode(&greeting))
	if err == nil {
		err = errors.Join(c.execute("qmp_capabilities"), c.SetDeadline(time.Time{}))
	}
	if err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("QEMU's greeting: %w", err)
	}
	return c, nil
}

// send sends a command that has no arguments.
func (c *qmpConn) send(command string) error {
	return c.out.Encode(map[string]string{"execute": command})
}

// execute sends a command and waits for its answer; events before it are passed over.
func (c *qmpConn) execute(command string) error {
	if err := c.send(command); err != nil {
		return err
	}
	for {
		var r qmpReply
		if err := c.in.Decode(&r); err != nil {
			return err
		}
		switch {
		case r.Error != nil:
			return errors.New(r.Error.Desc)
		case r.Event == "":
			return nil
		}
	}
}

// limaSocket is the control socket that Lima gives to QEMU.
func limaSocket(vm layout.VM) string { return filepath.Join(vm.Dir(), filenames.QMPSock) }

// PowerDown asks the VM's guest to power off.
func PowerDown(vm layout.VM) error { return qmpExecute(limaSocket(vm), "system_powerdown") }

// qmpExecute sends one command that has no arguments to a QEMU.
func qmpExecute(socket, command string) error {
	c, err := dialQMP(context.Background(), socket)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(qmpTimeout)); err != nil {
		return err
	}
	if err := c.execute(command); err != nil {
		return fmt.Errorf("QEMU command %s: %w", command, err)
	}
	return nil
}
