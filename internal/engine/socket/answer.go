package socket

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"time"
)

// Bounds of a connection that gets a refusal.
const (
	readTimeout  = 30 * time.Second // for the request's head
	drainTimeout = 5 * time.Second  // for the rest of what the client sends, and for its end
	maxHead      = 1 << 20
)

// apiVersion is the version of Docker's API that refusals name. Clients of all versions accept it: an older one keeps its own, and
// newer ones still know it.
const apiVersion = "1.44"

// answer reads the head of a request and refuses it. docker prints the message of a refusal as it is. rest is what the client has
// sent and will send.
func answer(c *client, rest io.Reader, message string) {
	_ = c.SetDeadline(time.Now().Add(readTimeout))
	head := bufio.NewReader(io.LimitReader(rest, maxHead))
	if _, err := head.Peek(1); err != nil {
		return // it asked nothing
	}
	request, err := http.ReadRequest(head)
	if err != nil {
		request = nil // it isn't HTTP; a person may still read the answer
	}
	body, err := json.Marshal(map[string]string{"message": message})
	if err != nil {
		return
	}
	body = append(body, '\n')
	response := http.Response{
		StatusCode: http.StatusServiceUnavailable, ProtoMajor: 1, ProtoMinor: 1, Request: request, Close: true,
		Header: http.Header{
			"Api-Version":         {apiVersion},
			"Content-Type":        {"application/json"},
			"Date":                {time.Now().UTC().Format(http.TimeFormat)},
			"Docker-Experimental": {"false"},
			"Ostype":              {"linux"},
			"Server":              {"RDD"},
		},
		ContentLength: int64(len(body)), Body: io.NopCloser(bytes.NewReader(body)),
	}
	if response.Write(c) != nil || closeWrite(c) != nil {
		return
	}
	// A close while something is unread could cost the client the answer.
	_ = c.SetDeadline(time.Now().Add(drainTimeout))
	_, _ = io.Copy(io.Discard, rest)
}
