package containerd

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"rancherdesktop.io/rdd/internal/engine/answers"
	"rancherdesktop.io/rdd/internal/view"
)

func conflict(format string, a ...any) error {
	return view.Status(http.StatusConflict, fmt.Sprintf(format, a...))
}

// refusal makes an error of containerd one that reaches the client with containerd's own sentence.
func refusal(err error) error {
	said, ok := status.FromError(err)
	switch {
	case err == nil:
		return nil
	case !ok: // it is not containerd's
		return answers.Refusal(err, err.Error())
	case said.Code() == codes.Unavailable:
		return view.Status(http.StatusServiceUnavailable, "The engine does not answer: "+plain(err).Error()+".")
	}
	return answers.Refusal(errgrpc.ToNative(err), said.Message())
}

// isNotFound reports whether containerd says that there is no such thing.
func isNotFound(err error) bool { return err != nil && errdefs.IsNotFound(errgrpc.ToNative(err)) }

// answered reports whether err is an answer of containerd, so that there is a connection to it.
func answered(err error) bool {
	native := errgrpc.ToNative(err)
	return !errdefs.IsUnavailable(native) && !errdefs.IsCanceled(native) && !errors.Is(err, io.EOF)
}

// plain makes an error one that can be part of a sentence.
func plain(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return errors.New("the connection has ended")
	}
	text := err.Error()
	if s, ok := status.FromError(err); ok {
		text = s.Message()
	}
	// What gRPC says around the cause is for programmers.
	text = strings.TrimPrefix(text, "connection error: desc = ")
	text = strings.Trim(strings.TrimPrefix(text, `"transport: Error while dialing: `), `"`)
	return errors.New(strings.TrimRight(text, ". \n"))
}
