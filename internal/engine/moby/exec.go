package moby

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/containerd/errdefs"
	"github.com/go-logr/logr"
	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/remotecommand"
	"k8s.io/klog/v2"
	"k8s.io/streaming/pkg/httpstream/wsstream"

	"rancherdesktop.io/rdd/internal/engine/answers"
	"rancherdesktop.io/rdd/internal/view"
)

// detachKeys are what leaves a terminal. Docker's are Ctrl-P Ctrl-Q, and every shell's Ctrl-P would wait for another key.
const detachKeys = "ctrl-^,ctrl-_,ctrl-^"

// exitTimeout bounds the wait for the exit code of a command whose output has ended.
const exitTimeout = 10 * time.Second

// The channels of remotecommand over WebSocket.
const (
	stdinChannel = iota
	stdoutChannel
	stderrChannel
	statusChannel
	resizeChannel
)

// streams are what a client wants of a command.
type streams struct{ stdin, stdout, stderr, tty bool }

func streamsOf(r *http.Request) (s streams, err error) {
	query := r.URL.Query()
	for name, field := range map[string]*bool{"stdin": &s.stdin, "stdout": &s.stdout, "stderr": &s.stderr, "tty": &s.tty} {
		if *field, err = answers.Boolean(query, name); err != nil {
			return s, err
		}
	}
	if s.tty {
		s.stderr = false // a terminal has one output
	}
	if !s.stdin && !s.stdout && !s.stderr {
		return s, view.Status(http.StatusBadRequest, "Ask for at least one of stdin, stdout and stderr.")
	}
	if !wsstream.IsWebSocketRequest(r) {
		return s, view.Status(http.StatusBadRequest, "This is a stream: connect by WebSocket with the protocol "+remotecommand.StreamProtocolV5Name+", as kubectl does.")
	}
	return s, nil
}

// command is what a client is connected to.
type process struct {
	conn   client.HijackedResponse
	tty    bool
	resize func(ctx context.Context, height, width uint) error
	// status says how it ended, after its output has.
	status func(ctx context.Context) metav1.Status
}

// serveExec runs a command in a container: command, repeated, its words; stdin, stdout, stderr and tty; user, workdir and
// env, repeated.
func (e *Engine) serveExec(w http.ResponseWriter, r *http.Request, o view.Object) {
	s, err := e.Current()
	if err != nil {
		answers.Fail(w, err)
		return
	}
	want, err := streamsOf(r)
	if err == nil && len(r.URL.Query()["command"]) == 0 {
		err = view.Status(http.StatusBadRequest, "The query needs command, once for each word of the command.")
	}
	if err != nil {
		answers.Fail(w, err)
		return
	}
	p, err := s.exec(r, o.GetName(), want)
	if err != nil {
		answers.Fail(w, refusal(err))
		return
	}
	s.serve(w, r, want, p)
}

func (s *session) exec(r *http.Request, id string, want streams) (*process, error) {
	query, ctx := r.URL.Query(), r.Context()
	created, err := s.actions.ExecCreate(ctx, id, client.ExecCreateOptions{
		User: query.Get("user"), WorkingDir: query.Get("workdir"), Env: query["env"], Cmd: query["command"], TTY: want.tty,
		AttachStdin: want.stdin, AttachStdout: want.stdout, AttachStderr: want.stderr, DetachKeys: detachKeys,
	})
	if err != nil {
		return nil, err
	}
	attached, err := s.actions.ExecAttach(ctx, created.ID, client.ExecAttachOptions{TTY: want.tty})
	if err != nil {
		return nil, err
	}
	return &process{
		conn: attached.HijackedResponse, tty: want.tty,
		resize: func(ctx context.Context, height, width uint) error {
			_, err := s.actions.ExecResize(ctx, created.ID, client.ExecResizeOptions{Height: height, Width: width})
			return err
		},
		status: func(ctx context.Context) metav1.Status { return s.exitStatus(ctx, created.ID) },
	}, nil
}

// exitStatus waits for the end of a command and returns its exit code as kubectl expects it.
func (s *session) exitStatus(ctx context.Context, exec string) metav1.Status {
	ctx, cancel := context.WithTimeout(ctx, exitTimeout)
	defer cancel()
	for pause := 5 * time.Millisecond; ; pause *= 2 {
		state, err := s.actions.ExecInspect(ctx, exec, client.ExecInspectOptions{})
		switch {
		case errdefs.IsNotFound(err): // the container is gone, and its commands with it
			return failed("The container was removed while the command ran in it.")
		case err != nil:
			return failed("How the command ended is unknown: " + plain(err).Error() + ".")
		case !state.Running && state.ExitCode == 0:
			return metav1.Status{Status: metav1.StatusSuccess}
		case !state.Running:
			return metav1.Status{
				Status: metav1.StatusFailure, Reason: remotecommand.NonZeroExitCodeReason,
				Message: fmt.Sprintf("command terminated with exit code %d", state.ExitCode),
				Details: &metav1.StatusDetails{Causes: []metav1.StatusCause{{Type: remotecommand.ExitCodeCauseType, Message: strconv.Itoa(state.ExitCode)}}},
			}
		}
		select { // the engine ends the output a moment before the command
		case <-time.After(min(pause, time.Second)):
		case <-ctx.Done():
			return failed("The command has closed its output, and goes on.")
		}
	}
}

func failed(message string) metav1.Status {
	return metav1.Status{Status: metav1.StatusFailure, Reason: metav1.StatusReasonInternalError, Message: message, Code: http.StatusInternalServerError}
}

// serveAttach connects to the streams of a container's own process.
func (e *Engine) serveAttach(w http.ResponseWriter, r *http.Request, o view.Object) {
	s, err := e.Current()
	if err != nil {
		answers.Fail(w, err)
		return
	}
	want, err := streamsOf(r)
	if err != nil {
		answers.Fail(w, err)
		return
	}
	id := o.GetName()
	c, err := s.inspect(r.Context(), id)
	if err == nil && !c.running {
		err = view.Status(http.StatusConflict, "The container does not run. Start it first.")
	}
	if err != nil {
		answers.Fail(w, refusal(err))
		return
	}
	attached, err := s.actions.ContainerAttach(r.Context(), id, client.ContainerAttachOptions{
		Stream: true, Stdin: want.stdin, Stdout: want.stdout, Stderr: want.stderr || c.terminal && want.stdout, DetachKeys: detachKeys,
	})
	if err != nil {
		answers.Fail(w, refusal(err))
		return
	}
	s.serve(w, r, want, &process{
		conn: attached.HijackedResponse, tty: c.terminal,
		resize: func(ctx context.Context, height, width uint) error {
			_, err := s.actions.ContainerResize(ctx, id, client.ContainerResizeOptions{Height: height, Width: width})
			return err
		},
		status: func(context.Context) metav1.Status { return metav1.Status{Status: metav1.StatusSuccess} },
	})
}

// serve copies between a WebSocket and a process until either ends.
func (s *session) serve(w http.ResponseWriter, r *http.Request, want streams, p *process) {
	defer p.conn.Close()
	ctx, cancel := context.WithCancel(s.target) // the request's does not end with a connection that was taken over
	defer cancel()
	defer context.AfterFunc(r.Context(), cancel)() // but when the service stops
	channel := func(on bool, t wsstream.ChannelType) wsstream.ChannelType {
		if on {
			return t
		}
		return wsstream.IgnoreChannel
	}
	protocol := wsstream.ChannelProtocolConfig{Binary: true, Channels: []wsstream.ChannelType{
		stdinChannel:  channel(want.stdin, wsstream.ReadChannel),
		stdoutChannel: channel(want.stdout, wsstream.WriteChannel),
		stderrChannel: channel(want.stderr, wsstream.WriteChannel),
		statusChannel: wsstream.WriteChannel,
		resizeChannel: wsstream.ReadChannel,
	}}
	socket := wsstream.NewConn(map[string]wsstream.ChannelProtocolConfig{
		"": protocol, remotecommand.StreamProtocolV5Name: protocol, remotecommand.StreamProtocolV4Name: protocol,
	})
	// It would log the end of each connection as an error.
	_, channels, err := socket.Open(w, r.WithContext(klog.NewContext(r.Context(), logr.Discard())))
	if err != nil {
		s.log.Debug("no WebSocket", "err", err)
		return
	}
	defer func() { _ = socket.Close() }()
	defer context.AfterFunc(ctx, func() { p.conn.Close() })()

	go func() {
		resizeAll(ctx, channels[resizeChannel], p.resize)
		cancel() // this channel ends with the WebSocket
	}()
	if want.stdin {
		go func() {
			_, err := io.Copy(p.conn.Conn, channels[stdinChannel])
			switch {
			case err == nil && p.tty: // the engine would end the output, too
				return
			case err == nil:
				_ = p.conn.CloseWrite()
				return
			}
			_, _ = io.Copy(io.Discard, channels[stdinChannel]) // nobody reads it any more
		}()
	}
	if p.tty {
		_, err = io.Copy(channels[stdoutChannel], p.conn.Reader)
	} else {
		_, err = stdcopy.StdCopy(channels[stdoutChannel], channels[stderrChannel], p.conn.Reader)
	}
	status := failed("The connection to the engine is lost.")
	switch {
	case err == nil:
		status = p.status(ctx)
	case ctx.Err() != nil && s.target.Err() == nil: // the client is gone
		return
	}
	if text, err := json.Marshal(status); err == nil {
		_, _ = channels[statusChannel].Write(text)
	}
}

// resizeAll tells the process about the sizes of the client's terminal until the channel ends.
func resizeAll(ctx context.Context, in io.Reader, resize func(ctx context.Context, height, width uint) error) {
	for decoder := json.NewDecoder(in); ; {
		var size struct{ Width, Height uint }
		if err := decoder.Decode(&size); err != nil {
			if !errors.Is(err, io.EOF) {
				_, _ = io.Copy(io.Discard, in)
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
