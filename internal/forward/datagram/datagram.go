// Package datagram carries the datagrams of many UDP clients over one stream between the hostagent and rdd-guest, a small
// program in the guest: SSH has no UDP. Each client has a session, whose number the hostagent chooses.
package datagram

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
)

// Kind says what a Frame is.
type Kind byte

// The kinds. The guest sends only Data.
const (
	Data  Kind = 'd' // a datagram; Frame.Payload holds it
	Open  Kind = 'o' // begins a session; Frame.Payload is the address in the guest, such as 127.0.0.1:53
	Close Kind = 'c' // ends a session
)

// Frame is what is sent at once: a kind (1 byte), the session (4), the length of the payload (2) and the payload.
type Frame struct {
	Kind    Kind
	Session uint32
	Payload []byte // at most MaxPayload bytes
}

// MaxPayload is the length of the longest payload. A datagram is shorter.
const MaxPayload = 1<<16 - 1

const headerSize = 7

// Append appends the frame's bytes to b.
func (f Frame) Append(b []byte) []byte {
	b = append(b, byte(f.Kind))
	b = binary.BigEndian.AppendUint32(b, f.Session)
	b = binary.BigEndian.AppendUint16(b, uint16(len(f.Payload)))
	return append(b, f.Payload...)
}

// Reader reads frames.
type Reader struct {
	r   *bufio.Reader
	buf [MaxPayload]byte
}

// NewReader returns a Reader of r.
func NewReader(r io.Reader) *Reader { return &Reader{r: bufio.NewReaderSize(r, 1<<16)} }

// Next returns the next frame. Its payload is valid until the next call.
func (r *Reader) Next() (Frame, error) {
	var head [headerSize]byte
	if _, err := io.ReadFull(r.r, head[:]); err != nil {
		return Frame{}, err
	}
	f := Frame{Kind: Kind(head[0]), Session: binary.BigEndian.Uint32(head[1:])}
	if f.Kind != Data && f.Kind != Open && f.Kind != Close {
		return Frame{}, fmt.Errorf("a frame of the unknown kind %d", head[0])
	}
	f.Payload = r.buf[:binary.BigEndian.Uint16(head[5:])]
	if _, err := io.ReadFull(r.r, f.Payload); err != nil {
		return Frame{}, fmt.Errorf("a frame is cut off: %w", err)
	}
	return f, nil
}
