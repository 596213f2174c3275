package lima

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
)

// meter is the transport below Lima's downloader. It reports bytes, ends a download that stalls, and
// knows why a download is no use, which Lima says in words only.
type meter struct {
	base   http.RoundTripper
	idle   time.Duration // longest silence
	report func(done, total int64)

	mu      sync.Mutex
	want    digest.Digest
	trouble error // of the last request; one that waiting can't mend
}

// expect says which digest the next download should have; empty for any.
func (m *meter) expect(d digest.Digest) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.want, m.trouble = d, nil
}

// problem is why asking again would not help, or nil.
func (m *meter) problem() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.trouble
}

func (m *meter) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.trouble = err
}

var errStalled = errors.New("the server sent nothing for too long")

// RoundTrip sends the request.
func (m *meter) RoundTrip(req *http.Request) (*http.Response, error) {
	m.fail(nil) // what an earlier answer in a chain of redirects said
	ctx, cancel := context.WithCancelCause(req.Context())
	silence := time.AfterFunc(m.idle, func() { cancel(fmt.Errorf("%s: %w (%s)", req.URL.Redacted(), errStalled, m.idle)) })
	resp, err := m.base.RoundTrip(req.WithContext(ctx))
	if err != nil {
		silence.Stop()
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		cancel(nil)
		return nil, err
	}
	if resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusGone {
		m.fail(fmt.Errorf("the server has no such file (%s)", resp.Status))
	}
	m.mu.Lock()
	want := m.want
	m.mu.Unlock()
	b := &body{cause: func() error { return context.Cause(ctx) }, cancel: cancel, rc: resp.Body, m: m, silence: silence, total: max(resp.ContentLength, 0), want: want}
	if want != "" && req.Method == http.MethodGet && resp.StatusCode == http.StatusOK {
		b.digester = want.Algorithm().Digester()
	}
	resp.Body = b
	return resp, nil
}

// body passes a response on and keeps account of it.
type body struct {
	cause       func() error // why the request was ended, if it was
	cancel      context.CancelCauseFunc
	rc          io.ReadCloser
	m           *meter
	silence     *time.Timer
	done, total int64
	want        digest.Digest
	digester    digest.Digester
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.rc.Read(p)
	if n > 0 {
		b.silence.Reset(b.m.idle)
		b.done += int64(n)
		if b.digester != nil {
			b.digester.Hash().Write(p[:n])
		}
		b.m.report(b.done, b.total)
	}
	if errors.Is(err, io.EOF) && b.digester != nil {
		b.m.fail(mismatch(b.want, b.digester.Digest()))
	}
	if err != nil && !errors.Is(err, io.EOF) {
		if cause := b.cause(); cause != nil {
			err = cause
		}
	}
	return n, err
}

func (b *body) Close() error {
	b.silence.Stop()
	b.cancel(nil)
	return b.rc.Close()
}

// counter reports how much of r was read, and stops when stopped says why.
type counter struct {
	stopped     func() error
	r           io.Reader
	done, total int64
	report      func(done, total int64)
}

func (c *counter) Read(p []byte) (int, error) {
	if err := c.stopped(); err != nil {
		return 0, err
	}
	n, err := c.r.Read(p)
	c.done += int64(n)
	c.report(c.done, c.total)
	return n, err
}
