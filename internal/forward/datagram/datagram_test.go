package datagram

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

func TestFramesArriveAsTheyWereSent(t *testing.T) {
	frames := []Frame{
		{Open, 1, []byte("127.0.0.1:53")},
		{Data, 1, nil},
		{Data, 1<<32 - 1, bytes.Repeat([]byte{7}, MaxPayload)},
		{Close, 1, nil},
	}
	var stream []byte
	for _, f := range frames {
		stream = f.Append(stream)
	}
	r := NewReader(bytes.NewReader(stream))
	for _, want := range frames {
		got, err := r.Next()
		if err != nil || got.Kind != want.Kind || got.Session != want.Session || !bytes.Equal(got.Payload, want.Payload) {
			t.Errorf("%c %d %d bytes: %v", got.Kind, got.Session, len(got.Payload), err)
		}
	}
	if _, err := r.Next(); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	if _, err := NewReader(bytes.NewReader(stream[:10])).Next(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error("a frame that is cut off:", err)
	}
	if _, err := NewReader(bytes.NewReader([]byte("Welcome to the guest!"))).Next(); err == nil {
		t.Error("a greeting is taken for a frame")
	}
}
