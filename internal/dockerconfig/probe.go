package dockerconfig

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strings"
	"syscall"
	"time"
)

// probeTimeout bounds a connection to a socket on this computer. One that doesn't answer in time is not dead.
const probeTimeout = 2 * time.Second

// dead reports whether docker can't do anything with its current context: it is missing, or its address is a socket of this
// computer that is missing or refuses. Nothing else is tried: a host that doesn't answer now may answer tomorrow. problem says why
// that isn't known.
func (f Files) dead(ctx context.Context, name string) (dead bool, problem string) {
	host := f.builtinHost()
	if !builtin(name) {
		var err error
		host, err = readContext(f.Dir, name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return true, ""
		case err != nil:
			return false, fmt.Sprintf("docker's current context %s can't be read and was kept: %v. To use RDD's: docker context use %s", name, err, f.Context)
		case host == "":
			host = f.builtinHost()
		}
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	if path, ok := strings.CutPrefix(host, "unix://"); ok && path != "" {
		return refuses(ctx, path), ""
	}
	if path, ok := strings.CutPrefix(host, "npipe://"); ok && path != "" {
		return pipeMissing(ctx, path), ""
	}
	return false, ""
}

// refuses reports whether a socket is missing or refuses connections. One that this user may not open is somebody's.
func refuses(ctx context.Context, path string) bool {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
	if err == nil {
		_ = conn.Close()
		return false
	}
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}
