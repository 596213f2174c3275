package moby

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/moby/moby/client"

	"rancherdesktop.io/rdd/internal/engine"
)

// Limits of the mirror's requests. An emulated guest is slow.
const (
	dialTimeout   = 20 * time.Second
	headerTimeout = 30 * time.Second
	listTimeout   = time.Minute
)

// newClient returns a client of the engine that can be reached by dial. headers bounds the wait for an answer's headers;
// 0 is for requests that are answered when they are done.
func newClient(dial engine.Dial, headers time.Duration) (*client.Client, error) {
	dialGuest := func(ctx context.Context, _, _ string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, dialTimeout)
		defer cancel()
		return dial(ctx, "unix", Socket)
	}
	transport := &http.Transport{
		DialContext:           dialGuest, // here, too: without it, there would be a TLS configuration, and no dialGuest for streams
		MaxIdleConnsPerHost:   parallelReads,
		IdleConnTimeout:       30 * time.Second,
		ResponseHeaderTimeout: headers,
		DisableCompression:    true,
	}
	return client.New(
		client.WithHTTPClient(&http.Client{Transport: transport, CheckRedirect: client.CheckRedirect}),
		client.WithHost("unix://"+Socket),
		client.WithDialContext(dialGuest),
		client.WithUserAgent("rdd"),
	)
}
