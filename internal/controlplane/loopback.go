package controlplane

import (
	"context"
	"crypto/rand"
	"net"
	"net/http"

	"google.golang.org/grpc/test/bufconn"
	"k8s.io/client-go/rest"
)

// loopback carries the service's own requests: HTTP/2 over buffers in memory, with
// no socket and no TLS, through the same handlers as everybody's.
type loopback struct {
	pipe   *bufconn.Listener
	server *http.Server
	config *rest.Config
}

func newLoopback() *loopback {
	l := &loopback{pipe: bufconn.Listen(256 << 10)}
	l.config = &rest.Config{
		Host: "http://localhost",
		Transport: &http.Transport{
			DialContext:        func(ctx context.Context, _, _ string) (net.Conn, error) { return l.pipe.DialContext(ctx) },
			Protocols:          plainHTTP2(),
			DisableCompression: true,
		},
		BearerToken:        rand.Text(),
		QPS:                -1, // no throttling
		DisableCompression: true,
	}
	return l
}

func plainHTTP2() *http.Protocols {
	p := &http.Protocols{}
	p.SetUnencryptedHTTP2(true)
	return p
}

// serve answers until close is called.
func (l *loopback) serve(handler http.Handler) {
	l.server = &http.Server{ //nolint:gosec // G112: its only clients are in this process
		Handler:   handler,
		Protocols: plainHTTP2(),
		HTTP2:     &http.HTTP2Config{MaxConcurrentStreams: 1000},
	}
	go func() { _ = l.server.Serve(l.pipe) }() // ends with close; its error says only that
}

func (l *loopback) close() {
	if l.server != nil {
		_ = l.server.Close()
	}
	_ = l.pipe.Close()
}

// native is a configuration for clients of built-in kinds, which can be read and
// written in the compact form they are stored in.
func (l *loopback) native() *rest.Config {
	c := rest.CopyConfig(l.config)
	c.ContentType = "application/vnd.kubernetes.protobuf"
	c.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	return c
}
