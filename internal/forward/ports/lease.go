package ports

import (
	"context"
	"encoding/json"
	"fmt"

	"rancherdesktop.io/rdd/internal/forward"
)

// ServePublisher serves the verb publish: it reads the lists of a forward.Publisher from conn until that ends. They count
// for some time longer, so that nothing changes when a service restarts. A Publisher that comes later replaces an earlier
// one.
func (f *Forwarder) ServePublisher(ctx context.Context, _ string, conn forward.Conn) {
	lease := new(int)
	if f.readLists(lease, conn) {
		_ = conn.Close()
		f.end(ctx, lease)
	}
}

// readLists reads lists until conn ends, and reports whether there was one.
func (f *Forwarder) readLists(lease *int, conn forward.Conn) (some bool) {
	if forward.Accept(conn) != nil {
		return false
	}
	for lists := json.NewDecoder(conn); ; some = true {
		var p forward.Published
		if err := lists.Decode(&p); err != nil {
			return some
		}
		f.publish(lease, p)
		if _, err := fmt.Fprintln(conn, "ok"); err != nil {
			return true
		}
	}
}
