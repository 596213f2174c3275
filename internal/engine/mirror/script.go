package mirror

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"rancherdesktop.io/rdd/internal/engine/answers"
	"rancherdesktop.io/rdd/internal/view"
)

// Bounds of the start of a script. An emulated guest is slow.
const (
	dialTimeout      = 20 * time.Second
	firstLineTimeout = time.Minute
)

// Script is a script that runs in the guest: what is written to it is its standard input, and what is read its output after the
// first line.
type Script struct {
	net.Conn
	Output *bufio.Reader
}

func (s *Script) Read(p []byte) (int, error) { return s.Output.Read(p) }

// CloseWrite ends the standard input.
func (s *Script) CloseWrite() error {
	if half, ok := s.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// Script runs a script of one line in the guest as root until ctx ends, and waits for the first line of its output. The error is
// for clients.
func (s *Session[R]) Script(ctx context.Context, script string, args ...string) (_ *Script, first string, err error) {
	command := "sudo -n sh -c " + answers.Quote(script) + " sh"
	for _, arg := range args {
		command += " " + answers.Quote(arg)
	}
	limited, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := s.Dial(limited, "exec", command)
	if err != nil {
		return nil, "", view.Status(http.StatusServiceUnavailable, "The virtual machine does not answer: "+s.plain(err).Error()+".")
	}
	context.AfterFunc(ctx, func() { _ = conn.Close() })
	late := time.AfterFunc(firstLineTimeout, func() { _ = conn.Close() })
	defer late.Stop()
	running := &Script{conn, bufio.NewReaderSize(conn, 32<<10)}
	if first, err = running.Output.ReadString('\n'); err != nil {
		_ = conn.Close()
		return nil, "", view.Status(http.StatusServiceUnavailable, "The virtual machine did not answer: "+s.plain(err).Error()+".")
	}
	return running, first, nil
}
