package relay

import (
	"io"
	"sync"
	"testing"

	"rancherdesktop.io/rdd/internal/forward"
)

// BenchmarkDial is a request over a connection of its own: dial, a byte each way, close.
func BenchmarkDial(b *testing.B) {
	g := newGuest(b)
	address := listening(b, "tcp", "127.0.0.1:0", cat).String()
	one := make([]byte, 1)
	for b.Loop() {
		c, err := forward.Dial(b.Context(), g.vm, "tcp", address)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := c.Write(one); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(c, one); err != nil {
			b.Fatal(err)
		}
		_ = c.Close()
	}
}

// BenchmarkTransfer sends 16 MiB from the guest, with each cipher. Client and server share the machine.
func BenchmarkTransfer(b *testing.B) {
	const size = 16 << 20
	for _, cipher := range ciphers {
		b.Run(cipher, func(b *testing.B) {
			g := newGuest(b, func(c *Client) { c.ciphers = []string{cipher} })
			address := listening(b, "tcp", "127.0.0.1:0", func(c forward.Conn) {
				_, _ = c.Write(make([]byte, size))
				_ = c.Close()
			}).String()
			b.SetBytes(size)
			for b.Loop() {
				c, err := forward.Dial(b.Context(), g.vm, "tcp", address)
				if err != nil {
					b.Fatal(err)
				}
				if n, err := io.Copy(io.Discard, c); err != nil || n != size {
					b.Fatal(n, err)
				}
				_ = c.Close()
			}
		})
	}
}

// BenchmarkFiftyDials is 50 requests at once, over a connection each.
func BenchmarkFiftyDials(b *testing.B) {
	g := newGuest(b)
	address := listening(b, "tcp", "127.0.0.1:0", cat).String()
	for b.Loop() {
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				c, err := forward.Dial(b.Context(), g.vm, "tcp", address)
				if err != nil {
					b.Error(err)
					return
				}
				if _, err := exchange(c, make([]byte, 100)); err != nil {
					b.Error(err)
				}
				_ = c.Close()
			})
		}
		all.Wait()
	}
}
