package forward

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// accepted is the answer to a request that the hostagent accepts.
const accepted = "ok\n"

// Accept tells the other side that its request is accepted.
func Accept(conn io.Writer) error {
	_, err := io.WriteString(conn, accepted)
	return err
}

// Refuse tells the other side why its request is not accepted. The caller closes the connection.
func Refuse(conn io.Writer, reason error) error {
	code := "failed"
	for name, err := range codes {
		if errors.Is(reason, err) {
			code = name
		}
	}
	_, err := fmt.Fprintf(conn, "error %s %s\n", code, strings.TrimSpace(reason.Error()))
	return err
}

// ReadRequest reads a request: its verb and its arguments.
func ReadRequest(r *bufio.Reader) (verb, args string, err error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		if err == nil {
			verb, args, _ = strings.Cut(strings.TrimRight(string(line), "\r\n"), " ")
			return verb, args, nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return "", "", err
		}
		if len(line) >= maxRequest {
			return "", "", errors.New("the request is too long")
		}
	}
}
