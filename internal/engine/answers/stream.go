package answers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/remotecommand"
	"k8s.io/klog/v2"
	"k8s.io/streaming/pkg/httpstream/wsstream"

	"rancherdesktop.io/rdd/internal/view"
)

// The channels of remotecommand over WebSocket.
const (
	stdinChannel = iota
	stdoutChannel
	stderrChannel
	statusChannel
	resizeChannel
)

// Streams are what a client wants of a command.
type Streams struct{ Stdin, Stdout, Stderr, TTY bool }

// StreamsOf reads what a client wants. Its error is for the client.
func StreamsOf(r *http.Request) (s Streams, err error) {
	query := r.URL.Query()
	for name, field := range map[string]*bool{"stdin": &s.Stdin, "stdout": &s.Stdout, "stderr": &s.Stderr, "tty": &s.TTY} {
		if *field, err = Boolean(query, name); err != nil {
			return s, err
		}
	}
	if s.TTY {
		s.Stderr = false // a terminal has one output
	}
	if !s.Stdin && !s.Stdout && !s.Stderr {
		return s, view.Status(http.StatusBadRequest, "Ask for at least one of stdin, stdout and stderr.")
	}
	if !wsstream.IsWebSocketRequest(r) {
		return s, view.Status(http.StatusBadRequest, "This is a stream: connect by WebSocket with the protocol "+remotecommand.StreamProtocolV5Name+", as kubectl does.")
	}
	return s, nil
}

// channels are the streams of a client's WebSocket.
type channels struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	status         io.Writer
	resize         io.Reader
	socket         *wsstream.Conn
}

// open takes over the connection of a request. The caller closes the socket.
func open(w http.ResponseWriter, r *http.Request, want Streams) (*channels, error) {
	channel := func(on bool, t wsstream.ChannelType) wsstream.ChannelType {
		if on {
			return t
		}
		return wsstream.IgnoreChannel
	}
	protocol := wsstream.ChannelProtocolConfig{Binary: true, Channels: []wsstream.ChannelType{
		stdinChannel:  channel(want.Stdin, wsstream.ReadChannel),
		stdoutChannel: channel(want.Stdout, wsstream.WriteChannel),
		stderrChannel: channel(want.Stderr, wsstream.WriteChannel),
		statusChannel: wsstream.WriteChannel,
		resizeChannel: wsstream.ReadChannel,
	}}
	socket := wsstream.NewConn(map[string]wsstream.ChannelProtocolConfig{
		"": protocol, remotecommand.StreamProtocolV5Name: protocol, remotecommand.StreamProtocolV4Name: protocol,
	})
	// It would log the end of each connection as an error.
	_, all, err := socket.Open(w, r.WithContext(klog.NewContext(r.Context(), logr.Discard())))
	if err != nil {
		return nil, err
	}
	return &channels{
		stdin: all[stdinChannel], stdout: all[stdoutChannel], stderr: all[stderrChannel],
		status: all[statusChannel], resize: all[resizeChannel], socket: socket,
	}, nil
}

// end tells the client how the command has ended.
func (c *channels) end(status metav1.Status) {
	if text, err := json.Marshal(status); err == nil {
		_, _ = c.status.Write(text)
	}
}

// sizes tells the process about the sizes of the client's terminal. It ends with the WebSocket.
func (c *channels) sizes(ctx context.Context, resize func(ctx context.Context, height, width uint) error) {
	for decoder := json.NewDecoder(c.resize); ; {
		var size struct{ Width, Height uint }
		if err := decoder.Decode(&size); err != nil {
			if !errors.Is(err, io.EOF) {
				_, _ = io.Copy(io.Discard, c.resize)
			}
			return
		}
		if size.Width == 0 || size.Height == 0 {
			continue
		}
		// A command that has not quite started can't be resized yet.
		for try := 0; try < 5 && resize(ctx, size.Height, size.Width) != nil && ctx.Err() == nil; try++ {
			time.Sleep(50 * time.Millisecond << try)
		}
	}
}

// Exited is the status of a command with that exit code, as kubectl expects it.
func Exited(code int) metav1.Status {
	if code == 0 {
		return metav1.Status{Status: metav1.StatusSuccess}
	}
	return metav1.Status{
		Status: metav1.StatusFailure, Reason: remotecommand.NonZeroExitCodeReason,
		Message: fmt.Sprintf("command terminated with exit code %d", code),
		Details: &metav1.StatusDetails{Causes: []metav1.StatusCause{{Type: remotecommand.ExitCodeCauseType, Message: strconv.Itoa(code)}}},
	}
}

// Failed is the status of a command of which it is not known how it has ended.
func Failed(message string) metav1.Status {
	return metav1.Status{Status: metav1.StatusFailure, Reason: metav1.StatusReasonInternalError, Message: message, Code: http.StatusInternalServerError}
}
