//go:build unix

package socket

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
)

// listener listens on a socket that is a file.
type listener struct {
	*net.UnixListener

	path string
	file fs.FileInfo
}

// listen makes the socket at path. It replaces one on which nothing listens any more. At path, only this user can ever connect.
func listen(ctx context.Context, path string) (*listener, error) {
	if err := freePath(ctx, path); err != nil {
		return nil, err
	}
	// It gets its mode under another name: with the umask of the process, which all its threads share, other files would get
	// wrong modes.
	made := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".new")
	if err := os.Remove(made); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: made, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	var info fs.FileInfo
	if err = os.Chmod(made, 0o600); err == nil {
		info, err = os.Lstat(made)
	}
	if err == nil {
		err = place(made, path)
	}
	if err != nil {
		_ = l.Close()
		return nil, errors.Join(err, os.Remove(made))
	}
	return &listener{UnixListener: l, path: path, file: info}, nil
}

// place gives the file made the name path. Unlike a rename, a link replaces nothing that has come meanwhile, but not every file
// system has links.
func place(made, path string) error {
	err := os.Link(made, path)
	if err == nil {
		return os.Remove(made)
	}
	if errors.Is(err, fs.ErrExist) {
		return err
	}
	return os.Rename(made, path)
}

// freePath removes a socket at the path on which nothing listens any more. It returns an error if something else uses the path.
func freePath(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s is there and is not a socket; move it away", path)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		defer conn.Close()
		return fmt.Errorf("another program%s listens on %s; end it", peer(conn.(*net.UnixConn)), path)
	case errors.Is(err, syscall.ECONNREFUSED):
		return os.Remove(path) // whoever made it has ended
	}
	return fmt.Errorf("another program seems to use %s: %w; end it, or remove the file", path, err)
}

// Close removes the socket, if it is still this one, and ends Accept.
func (l *listener) Close() error {
	if l.isThere() {
		_ = os.Remove(l.path)
	}
	return l.UnixListener.Close()
}

// isThere reports whether the file at path is still this socket.
func (l *listener) isThere() bool {
	info, err := os.Lstat(l.path)
	return err == nil && os.SameFile(info, l.file)
}

// watch returns when the file at path is no longer this socket, or ctx ends. Without the system's help it looks now and then, and
// returns at the end why that wasn't there.
func (l *listener) watch(ctx context.Context) error {
	var events chan fsnotify.Event
	var problems chan error
	var tick <-chan time.Time
	watcher, err := fsnotify.NewWatcher()
	if err == nil {
		defer watcher.Close()
		events, problems = watcher.Events, watcher.Errors
		err = watcher.Add(filepath.Dir(l.path))
	}
	if err != nil {
		ticker := time.NewTicker(retryListen)
		defer ticker.Stop()
		tick = ticker.C
	}
	for l.isThere() {
		select {
		case <-ctx.Done():
			return err
		case <-events:
		case <-problems: //nolint:errcheck // it may have missed something, so look
		case <-tick:
		}
	}
	return err
}
