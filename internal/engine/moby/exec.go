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

// process is what a connection to the engine leads to.
func process(conn client.HijackedResponse, tty bool) *answers.Process {
	return &answers.Process{
		Stdin: conn.Conn, HangUp: conn.Close,
		EndStdin: func() {
			if !tty { // the engine would end the output, too
				_ = conn.CloseWrite()
			}
		},
		Output: func(stdout, stderr io.Writer) (err error) {
			if tty {
				_, err = io.Copy(stdout, conn.Reader)
			} else {
				_, err = stdcopy.StdCopy(stdout, stderr, conn.Reader)
			}
			return err
		},
	}
}

// serveExec runs a command in a container.
func (s *session) serveExec(w http.ResponseWriter, r *http.Request, o view.Object) error {
	want, err := answers.CommandStreamsOf(r)
	if err != nil {
		return err
	}
	query, ctx := r.URL.Query(), r.Context()
	created, err := s.actions.ExecCreate(ctx, o.GetName(), client.ExecCreateOptions{
		User: query.Get("user"), WorkingDir: query.Get("workdir"), Env: query["env"], Cmd: query["command"], TTY: want.TTY,
		AttachStdin: want.Stdin, AttachStdout: want.Stdout, AttachStderr: want.Stderr, DetachKeys: detachKeys,
	})
	if err != nil {
		return err
	}
	attached, err := s.actions.ExecAttach(ctx, created.ID, client.ExecAttachOptions{TTY: want.TTY})
	if err != nil {
		return err
	}
	p := process(attached.HijackedResponse, want.TTY)
	p.Resize = func(ctx context.Context, height, width uint) error {
		_, err := s.actions.ExecResize(ctx, created.ID, client.ExecResizeOptions{Height: height, Width: width})
		return err
	}
	p.Status = func(ctx context.Context) metav1.Status { return s.exitStatus(ctx, created.ID) }
	p.Serve(s.Target, w, r, want)
	return nil
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
func (s *session) serveAttach(w http.ResponseWriter, r *http.Request, o view.Object) error {
	want, err := answers.StreamsOf(r)
	if err != nil {
		return err
	}
	id := o.GetName()
	c, err := s.inspect(r.Context(), id)
	if err == nil && !c.running {
		err = view.Status(http.StatusConflict, "The container does not run. Start it first.")
	}
	if err != nil {
		return err
	}
	attached, err := s.actions.ContainerAttach(r.Context(), id, client.ContainerAttachOptions{
		Stream: true, Stdin: want.Stdin, Stdout: want.Stdout, Stderr: want.Stderr || c.terminal && want.Stdout, DetachKeys: detachKeys,
	})
	if err != nil {
		return err
	}
	p := process(attached.HijackedResponse, c.terminal)
	p.Resize = func(ctx context.Context, height, width uint) error {
		_, err := s.actions.ContainerResize(ctx, id, client.ContainerResizeOptions{Height: height, Width: width})
		return err
	}
	p.Status = func(context.Context) metav1.Status { return metav1.Status{Status: metav1.StatusSuccess} }
	p.Serve(s.Target, w, r, want)
	return nil
}
