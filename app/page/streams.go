package page

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"rancherdesktop.io/rdd/app/operation"
	"rancherdesktop.io/rdd/core"
)

// stream is an open log or shell.
type stream struct {
	cancel   context.CancelCauseFunc
	terminal terminal // nil: a log
}

// terminal is a shell in a VM or a container.
type terminal interface {
	io.ReadWriteCloser
	Resize(cols, rows int) error
}

// errClosed ends a stream that the page closes.
var errClosed = errors.New("closed")

// open opens a stream, which pump fills until it returns.
func (a *API) open(shell terminal, pump func(ctx context.Context, deliver func([]byte) error) error) (StreamRef, error) {
	id := a.newID()
	known := make(chan struct{})
	err := a.background(func(run context.Context) {
		ctx, cancel := context.WithCancelCause(run)
		defer cancel(nil)
		a.mu.Lock()
		a.streams[id] = &stream{cancel, shell}
		a.mu.Unlock()
		close(known)
		var rest []byte
		err := pump(ctx, func(b []byte) error {
			for chunk := range slices.Chunk(b, maxPartSize-utf8.UTFMax) {
				var text string
				text, rest = printable(append(rest, chunk...))
				if err := a.events.deliver(ctx, Stream{ID: id, Data: text}); err != nil {
					return err
				}
			}
			return nil
		})
		a.mu.Lock()
		delete(a.streams, id)
		a.mu.Unlock()
		end := Stream{ID: id, End: true}
		if err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, errClosed) && !errors.Is(err, io.EOF) {
			end.Problem = problemOf(err)
		}
		_ = a.events.deliver(run, end) // fails only when Run ends
	})
	if err == nil {
		<-known
	}
	return StreamRef{id}, err
}

// printable returns b as valid UTF-8, without an incomplete character at its end. That is the rest, with which the next
// data begins.
func printable(b []byte) (text string, rest []byte) {
	end := len(b)
	for n := 1; n < utf8.UTFMax && n <= len(b); n++ {
		if tail := b[len(b)-n:]; utf8.RuneStart(tail[0]) {
			if !utf8.FullRune(tail) {
				end -= n
			}
			break
		}
	}
	return strings.ToValidUTF8(string(b[:end]), "\uFFFD"), b[end:]
}

func (a *API) closeStreams(cause error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range a.streams {
		s.cancel(cause)
	}
}

func (a *API) stream(id string) (*stream, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s, ok := a.streams[id]
	if !ok {
		return nil, &core.Error{Kind: core.NotFound, Err: fmt.Errorf("stream %q is not open: it has ended", id)}
	}
	return s, nil
}

func (a *API) logOpen(_ context.Context, p operation.Log) (StreamRef, error) {
	c := a.current().core
	follow := func(ctx context.Context, w io.Writer) error { return c.VMLog(ctx, w, p.VM, p.Source, true) }
	switch {
	case p.Operation != "":
		engine := a.engineOf(p.Operation)
		follow = func(ctx context.Context, w io.Writer) error {
			return engine.CopyOutput(ctx, p.Operation, func(text []byte) error {
				_, err := w.Write(text)
				return err
			})
		}
	case p.Source == "service":
		follow = func(ctx context.Context, w io.Writer) error { return c.Service().Log(ctx, w, true) }
	case p.VM == "":
		return StreamRef{}, badField("vm", "vm: is required, except for the log of the service")
	}
	return a.openLog(follow)
}

// openLog opens a stream of what follow writes.
func (a *API) openLog(follow func(ctx context.Context, w io.Writer) error) (StreamRef, error) {
	return a.open(nil, func(ctx context.Context, deliver func([]byte) error) error {
		tail := newTail()
		var all sync.WaitGroup
		defer all.Wait()
		all.Go(func() { tail.end(follow(ctx, tail)) })
		for {
			text, err := tail.next(ctx)
			if err == nil {
				err = deliver(text)
			}
			if err != nil {
				return err
			}
		}
	})
}

func (a *API) shellOpen(ctx context.Context, p ShellParams) (StreamRef, error) {
	if err := p.checkSize(); err != nil {
		return StreamRef{}, err
	}
	session, err := a.current().core.Connect(ctx)
	if err != nil {
		return StreamRef{}, err
	}
	terminal, err := session.VMs().Terminal(ctx, p.Name, p.Cols, p.Rows)
	if err != nil {
		return StreamRef{}, err
	}
	return a.openShell(terminal, func(error) error { return io.EOF }) // every error of it means that the shell has ended
}

func (s TerminalSize) checkSize() error {
	for field, n := range map[string]int{"cols": s.Cols, "rows": s.Rows} {
		if n < 1 || n > 1000 {
			return badField(field, "%s: want 1 to 1000; got %d", field, n)
		}
	}
	return nil
}

// shell returns the terminal of an open stream.
func (a *API) shell(id string) (terminal, error) {
	s, err := a.stream(id)
	if err == nil && s.terminal == nil {
		err = badField("stream", "stream %q is a log and takes no input", id)
	}
	if err != nil {
		return nil, err
	}
	return s.terminal, nil
}

func (a *API) streamWrite(_ context.Context, p WriteParams) (nothing, error) {
	terminal, err := a.shell(p.Stream)
	if err != nil {
		return nothing{}, err
	}
	_, err = io.WriteString(terminal, p.Data)
	return nothing{}, err
}

func (a *API) streamResize(_ context.Context, p ResizeParams) (nothing, error) {
	if err := p.checkSize(); err != nil {
		return nothing{}, err
	}
	terminal, err := a.shell(p.Stream)
	if err != nil {
		return nothing{}, err
	}
	return nothing{}, terminal.Resize(p.Cols, p.Rows)
}

// streamClose ends a stream. It is no error if the stream has already ended.
func (a *API) streamClose(_ context.Context, p StreamParams) (nothing, error) {
	if s, err := a.stream(p.Stream); err == nil {
		s.cancel(errClosed)
	}
	return nothing{}, nil
}

// tail keeps the end of a log for a page that reads more slowly than the log grows. It counts the lines that it drops.
type tail struct {
	more chan struct{}

	mu    sync.Mutex
	text  []byte
	lost  int // lines
	ended error
}

// maxTail is to how many bytes a tail is cut when it has twice as many.
const maxTail = 256 << 10

func newTail() *tail { return &tail{more: make(chan struct{}, 1)} }

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	t.text = append(t.text, p...)
	if len(t.text) > 2*maxTail { // not at each line, because a cut copies the rest
		over := len(t.text) - maxTail
		if line := bytes.IndexByte(t.text[over:], '\n'); line >= 0 {
			over += line + 1
		}
		t.lost += bytes.Count(t.text[:over], []byte{'\n'})
		t.text = append([]byte(nil), t.text[over:]...)
	}
	t.mu.Unlock()
	notify(t.more)
	return len(p), nil
}

// end records why the log has ended.
func (t *tail) end(err error) {
	if err == nil {
		err = io.EOF
	}
	t.mu.Lock()
	t.ended = err
	t.mu.Unlock()
	notify(t.more)
}

// next waits for more text, and returns it.
func (t *tail) next(ctx context.Context) ([]byte, error) {
	for {
		t.mu.Lock()
		text, lost, ended := t.text, t.lost, t.ended
		t.text, t.lost = nil, 0
		t.mu.Unlock()
		switch {
		case lost > 0:
			return append(fmt.Appendf(nil, "… %d lines skipped …\n", lost), text...), nil
		case len(text) > 0:
			return text, nil
		case ended != nil:
			return nil, ended
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-t.more:
		}
	}
}
