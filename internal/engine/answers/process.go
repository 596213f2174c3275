package answers

import (
	"context"
	"io"
	"net/http"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rancherdesktop.io/rdd/internal/view"
)

// CommandStreamsOf is StreamsOf for a request that runs a command in a container: command, repeated, its words; stdin, stdout,
// stderr and tty; user, workdir and env, repeated.
func CommandStreamsOf(r *http.Request) (Streams, error) {
	want, err := StreamsOf(r)
	if err == nil && len(r.URL.Query()["command"]) == 0 {
		err = view.Status(http.StatusBadRequest, "The query needs command, once for each word of the command.")
	}
	return want, err
}

// Process is what the streams of a client are connected to.
type Process struct {
	Stdin    io.Writer // if it is wanted
	EndStdin func()    // says that nothing more will be written
	// Output copies the output to its end. Its error means that the engine is lost.
	Output func(stdout, stderr io.Writer) error
	Resize func(ctx context.Context, height, width uint) error
	// Status says how it ended, after its output has.
	Status func(ctx context.Context) metav1.Status
	HangUp func() // ends the streams
}

// Serve copies between a WebSocket and the process until either ends. engine ends with the engine: the context of the request does
// not end with a connection that was taken over.
func (p *Process) Serve(engine context.Context, w http.ResponseWriter, r *http.Request, want Streams) {
	defer p.HangUp()
	ctx, cancel := context.WithCancel(engine)
	defer cancel()
	defer context.AfterFunc(r.Context(), cancel)() // when the service stops
	channels, err := open(w, r, want)
	if err != nil {
		return
	}
	defer func() { _ = channels.socket.Close() }()
	defer context.AfterFunc(ctx, p.HangUp)()
	go func() {
		channels.sizes(ctx, p.Resize)
		cancel() // this channel ends with the WebSocket
	}()
	if want.Stdin {
		go func() {
			_, _ = io.Copy(p.Stdin, channels.stdin)
			p.EndStdin()
			_, _ = io.Copy(io.Discard, channels.stdin) // nobody reads it any more
		}()
	}
	err = p.Output(channels.stdout, channels.stderr)
	switch {
	case ctx.Err() != nil && engine.Err() == nil: // the client is gone
	case err != nil:
		channels.end(Failed("The connection to the engine is lost."))
	default:
		channels.end(p.Status(ctx))
	}
}
