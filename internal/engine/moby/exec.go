package moby

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rancherdesktop.io/rdd/internal/engine/answers"
	"rancherdesktop.io/rdd/internal/view"
)

// detachKeys are what leaves a terminal. Docker's are Ctrl-P Ctrl-Q, and every shell's Ctrl-P would wait for another key.
const detachKeys = "ctrl-^,ctrl-_,ctrl-^"

// exitTimeout bounds the wait for the exit code of a command whose output has ended.
const exitTimeout = 10 * time.Second

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
	want, err := answers.StreamsOf(r)
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

func (s *session) exec(r *http.Request, id string, want answers.Streams) (*process, error) {
	query, ctx := r.URL.Query(), r.Context()
	created, err := s.actions.ExecCreate(ctx, id, client.ExecCreateOptions{
		User: query.Get("user"), WorkingDir: query.Get("workdir"), Env: query["env"], Cmd: query["command"], TTY: want.TTY,
		AttachStdin: want.Stdin, AttachStdout: want.Stdout, AttachStderr: want.Stderr, DetachKeys: detachKeys,
	})
	if err != nil {
		return nil, err
	}
	attached, err := s.actions.ExecAttach(ctx, created.ID, client.ExecAttachOptions{TTY: want.TTY})
	if err != nil {
		return nil, err
	}
	return &process{
		conn: attached.HijackedResponse, tty: want.TTY,
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
			return answers.Failed("The container was removed while the command ran in it.")
		case err != nil:
			return answers.Failed("How the command ended is unknown: " + plain(err).Error() + ".")
		case !state.Running:
			return answers.Exited(state.ExitCode)
		}
		select { // the engine ends the output a moment before the command
		case <-time.After(min(pause, time.Second)):
		case <-ctx.Done():
			return answers.Failed("The command has closed its output, and goes on.")
		}
	}
}

// serveAttach connects to the streams of a container's own process.
func (e *Engine) serveAttach(w http.ResponseWriter, r *http.Request, o view.Object) {
	s, err := e.Current()
	if err != nil {
		answers.Fail(w, err)
		return
	}
	want, err := answers.StreamsOf(r)
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
		Stream: true, Stdin: want.Stdin, Stdout: want.Stdout, Stderr: want.Stderr || c.terminal && want.Stdout, DetachKeys: detachKeys,
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
func (s *session) serve(w http.ResponseWriter, r *http.Request, want answers.Streams, p *process) {
	defer p.conn.Close()
	ctx, cancel := context.WithCancel(s.target) // the request's does not end with a connection that was taken over
	defer cancel()
	defer context.AfterFunc(r.Context(), cancel)() // but when the service stops
	channels, err := answers.Open(w, r, want)
	if err != nil {
		s.log.Debug("no WebSocket", "err", err)
		return
	}
	defer func() { _ = channels.Close() }()
	defer context.AfterFunc(ctx, func() { p.conn.Close() })()

	go func() {
		channels.Resize(ctx, p.resize)
		cancel() // this channel ends with the WebSocket
	}()
	if want.Stdin {
		go func() {
			_, err := io.Copy(p.conn.Conn, channels.Stdin)
			switch {
			case err == nil && p.tty: // the engine would end the output, too
				return
			case err == nil:
				_ = p.conn.CloseWrite()
				return
			}
			_, _ = io.Copy(io.Discard, channels.Stdin) // nobody reads it any more
		}()
	}
	if p.tty {
		_, err = io.Copy(channels.Stdout, p.conn.Reader)
	} else {
		_, err = stdcopy.StdCopy(channels.Stdout, channels.Stderr, p.conn.Reader)
	}
	status := answers.Failed("The connection to the engine is lost.")
	switch {
	case err == nil:
		status = p.status(ctx)
	case ctx.Err() != nil && s.target.Err() == nil: // the client is gone
		return
	}
	channels.End(status)
}
