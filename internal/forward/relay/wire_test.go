package relay

import (
	"bytes"
	"errors"
	"io"
	"net"
	"slices"
	"testing"

	"rancherdesktop.io/rdd/internal/testenv"
)

// pipe is a TCP connection with a wire at one end.
func pipe(t *testing.T) (w *wire, far net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	near, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if far, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	w = newWire(near)
	t.Cleanup(func() { _ = w.Close(); _ = far.Close() })
	return w, far
}

func TestWhatIsWrittenToAWireArrivesInOrder(t *testing.T) {
	w, far := pipe(t)
	want := random(3 * maxPending)
	go func() {
		for b := range slices.Chunk(want, 1000) {
			if n, err := w.Write(b); err != nil || n != len(b) {
				t.Error(n, err)
			}
		}
	}()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(far, got); err != nil || !bytes.Equal(got, want) {
		t.Error("it arrives otherwise:", err)
	}
}

// A guest that takes nothing must not make memory grow, nor keep a writer forever.
func TestAWireThatNobodyReadsStopsItsWriters(t *testing.T) {
	for name, end := range map[string]func(*wire, net.Conn) error{
		"it is closed": func(w *wire, _ net.Conn) error { return w.Close() },
		"it is broken": func(_ *wire, far net.Conn) error { return errors.Join(far.(*net.TCPConn).SetLinger(0), far.Close()) },
	} {
		w, far := pipe(t)
		failed := make(chan error, 1)
		go func() {
			for {
				if _, err := w.Write(make([]byte, 32<<10)); err != nil {
					failed <- err
					return
				}
			}
		}()
		testenv.Eventually(t, "much is waiting", func() bool { w.mu.Lock(); defer w.mu.Unlock(); return len(w.pending) >= maxPending })
		w.mu.Lock()
		if n := len(w.pending); n > 2*maxPending {
			t.Errorf("%d bytes are waiting", n)
		}
		w.mu.Unlock()
		if err := end(w, far); err != nil {
			t.Fatal(err)
		}
		if err := <-failed; err == nil {
			t.Error(name)
		}
		if _, err := w.Write([]byte("x")); err == nil {
			t.Error("it takes more, though", name)
		}
	}
}
