package socket

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/user"

	"github.com/Microsoft/go-winio"
	"golang.org/x/sys/windows"
)

// listener listens on a named pipe.
type listener struct{ net.Listener }

// listen makes the named pipe at path, which only this user can open.
func listen(_ context.Context, path string) (*listener, error) {
	me, err := user.Current()
	if err != nil {
		return nil, fmt.Errorf("find the current user: %w", err)
	}
	l, err := winio.ListenPipe(path, &winio.PipeConfig{
		SecurityDescriptor: "D:P(A;;GA;;;" + me.Uid + ")",
		MessageMode:        true, // which CloseWrite needs
		InputBufferSize:    64 << 10,
		OutputBufferSize:   64 << 10,
	})
	if errors.Is(err, windows.ERROR_ACCESS_DENIED) {
		return nil, fmt.Errorf("another program listens on %s; end it", path)
	}
	if err != nil {
		return nil, err
	}
	return &listener{l}, nil
}

// watch waits until ctx ends: nobody can take away an open pipe.
func (l *listener) watch(ctx context.Context) error {
	<-ctx.Done()
	return nil
}
