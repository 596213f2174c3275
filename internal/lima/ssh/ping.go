package ssh

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/lima-vm/lima/pkg/store/filenames"

	"rancherdesktop.io/rdd/internal/machine/layout"
)

// Ping connects to an SSH server and waits for its first byte.
func Ping(ctx context.Context, address string) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		return fmt.Errorf("its SSH server does not answer: %w", err)
	}
	return nil
}

// Address reads the address of the guest's SSH server from the ssh configuration that Lima wrote.
func Address(vm layout.VM) (string, error) {
	config := filepath.Join(vm.Dir(), filenames.SSHConfig)
	f, err := os.Open(config)
	if err != nil {
		return "", err
	}
	defer f.Close()
	found := map[string]string{}
	for s := bufio.NewScanner(f); s.Scan(); {
		if key, value, ok := strings.Cut(strings.TrimSpace(s.Text()), " "); ok {
			found[key] = strings.TrimSpace(value)
		}
	}
	if found["Hostname"] == "" || found["Port"] == "" {
		return "", errors.New(config + " does not name the guest's address: restart the VM, which writes it again")
	}
	return net.JoinHostPort(found["Hostname"], found["Port"]), nil
}
