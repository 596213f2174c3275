package core

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strconv"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
	utilexec "k8s.io/client-go/util/exec"
	"k8s.io/klog/v2"
	"k8s.io/streaming/pkg/httpstream"

	containers "rancherdesktop.io/rdd/internal/api/containers/v1alpha1"
)

// LogOptions says which part of a container's log to read.
type LogOptions struct {
	Tail       int // lines before now; negative: all
	Timestamps bool
	Follow     bool // until the container ends
}

// Log copies the log of a container to w.
func (e *EngineObjects) Log(ctx context.Context, w io.Writer, id string, o LogOptions) error {
	const op = "read the log of container"
	log, err := e.stream(ctx, containers.Containers, id, func(r *rest.Request) {
		if o.Tail >= 0 {
			r.Param("tailLines", strconv.Itoa(o.Tail))
		}
		r.Param("timestamps", strconv.FormatBool(o.Timestamps)).Param("follow", strconv.FormatBool(o.Follow))
	}, "log")
	if err != nil {
		return Failed(op, id, err)
	}
	defer log.Close()
	_, err = io.Copy(w, log)
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return Failed(op, id, err)
}

// stream reads what a path below an object answers.
func (e *EngineObjects) stream(ctx context.Context, resource, name string, query func(*rest.Request), below string, path ...string) (io.ReadCloser, error) {
	client, err := e.client()
	if err != nil {
		return nil, err
	}
	r := client.Get().Resource(resource).Name(name).SubResource(below).Suffix(path...)
	query(r)
	return r.Stream(ctx)
}

// read decodes the JSON that a path below an object answers.
func (e *EngineObjects) read(ctx context.Context, resource, name string, to any, below string, path ...string) error {
	answer, err := e.stream(ctx, resource, name, func(*rest.Request) {}, below, path...)
	if err != nil {
		return err
	}
	defer answer.Close()
	return json.NewDecoder(answer).Decode(to)
}

// ContainerStats is what a container uses.
type ContainerStats = containers.ContainerStats

// Stats returns what a container uses now.
func (e *EngineObjects) Stats(ctx context.Context, id string) (s ContainerStats, err error) {
	err = e.read(ctx, containers.Containers, id, &s, "stats")
	return s, Failed("measure container", id, err)
}

// EngineKind is a kind of the engine's objects.
type EngineKind string

// The kinds.
const (
	Containers EngineKind = containers.Containers
	Images     EngineKind = containers.Images
	Volumes    EngineKind = containers.Volumes
	Networks   EngineKind = containers.Networks
)

// Inspect returns all that the engine says about an object, in JSON.
func (e *EngineObjects) Inspect(ctx context.Context, kind EngineKind, name string) (raw json.RawMessage, err error) {
	err = e.read(ctx, string(kind), name, &raw, "inspect")
	return raw, Failed("inspect", name, err)
}

// shellCommand is a shell that most images have.
var shellCommand = []string{"sh", "-c", "command -v bash >/dev/null && exec bash; exec sh"}

// ContainerShellOptions says what runs in a container.
type ContainerShellOptions struct {
	Command    []string // empty: a shell
	User       string   // empty: the container's
	Cols, Rows int
}

// ContainerShell is a terminal with a command that runs in a container.
type ContainerShell struct {
	input  *io.PipeWriter
	output *io.PipeReader
	sizes  sizes
	end    context.CancelFunc
	ended  chan struct{}
}

// sizes is a remotecommand.TerminalSizeQueue with room for one.
type sizes struct {
	next chan remotecommand.TerminalSize
	end  <-chan struct{}
}

// Next implements remotecommand.TerminalSizeQueue.
func (s sizes) Next() *remotecommand.TerminalSize {
	select {
	case size := <-s.next:
		return &size
	case <-s.end:
		return nil
	}
}

// Shell runs a command in a running container. Errors of its start come from Read.
func (e *EngineObjects) Shell(ctx context.Context, id string, o ContainerShellOptions) (*ContainerShell, error) {
	const op = "open a shell in container"
	client, err := e.client()
	if err != nil {
		return nil, Failed(op, id, err)
	}
	config, err := e.session.core.RESTConfig()
	if err != nil {
		return nil, Failed(op, id, err)
	}
	r := client.Get().Resource(containers.Containers).Name(id).SubResource("exec").Param("stdin", "true").Param("stdout", "true").Param("tty", "true")
	if o.User != "" {
		r.Param("user", o.User)
	}
	command := o.Command
	if len(command) == 0 {
		command = shellCommand
		r.Param("env", "TERM=xterm-256color")
	}
	for _, word := range command {
		r.Param("command", word)
	}
	executor, err := remotecommand.NewWebSocketExecutor(config, "GET", r.URL().String())
	if err != nil {
		return nil, Failed(op, id, err)
	}
	// client-go would log to stderr that a closed shell can't be read.
	ctx, cancel := context.WithCancel(klog.NewContext(context.WithoutCancel(ctx), logr.Discard())) // Close ends it
	input, inputWriter := io.Pipe()
	outputReader, output := io.Pipe()
	s := &ContainerShell{inputWriter, outputReader, sizes{make(chan remotecommand.TerminalSize, 1), ctx.Done()}, cancel, make(chan struct{})}
	_ = s.Resize(o.Cols, o.Rows) // can't fail
	go func() {
		defer close(s.ended)
		err := executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: input, Stdout: output, Tty: true, TerminalSizeQueue: s.sizes})
		_ = inputWriter.Close() // a Write fails from now on
		_ = output.CloseWithError(Failed(op, id, shellEnd(err)))
	}()
	return s, nil
}

// shellEnd returns why a command in a container has ended; nil if by itself.
func shellEnd(err error) error {
	if _, exited := errors.AsType[utilexec.CodeExitError](err); exited {
		return nil
	}
	if refused, ok := errors.AsType[*httpstream.UpgradeFailureError](err); ok {
		return refused.Cause
	}
	return err
}

// Read reads the output. The error is io.EOF when the command has ended by itself.
func (s *ContainerShell) Read(p []byte) (int, error) { return s.output.Read(p) }

// Write writes input.
func (s *ContainerShell) Write(p []byte) (int, error) { return s.input.Write(p) }

// Resize sets the size of the terminal.
func (s *ContainerShell) Resize(cols, rows int) error {
	size := remotecommand.TerminalSize{Width: uint16(cols), Height: uint16(rows)}
	for {
		select {
		case s.sizes.next <- size:
			return nil
		case <-s.sizes.next: // nobody has read the one before
		}
	}
}

// Close ends the connection. The engine ends a shell whose terminal is gone.
func (s *ContainerShell) Close() error {
	s.end()
	err := errors.Join(s.input.Close(), s.output.Close())
	<-s.ended
	return err
}
