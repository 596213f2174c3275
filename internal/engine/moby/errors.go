package moby

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"rancherdesktop.io/rdd/internal/engine/answers"
	"rancherdesktop.io/rdd/internal/view"
)

// refusal makes an error of the engine one that reaches the client with the engine's own sentence.
func refusal(err error) error {
	switch {
	case err == nil, errdefs.IsNotModified(err): // docker start of a container that runs is no error
		return nil
	case client.IsErrConnectionFailed(err):
		return view.Status(http.StatusServiceUnavailable, "The engine does not answer: "+plain(err).Error()+".")
	}
	return answers.Refusal(err, words(err))
}

// words returns what the engine has said: the innermost error of a chain that only adds who said it.
func words(err error) string {
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	return err.Error()
}

// answered reports whether err is an answer of the engine, so that there is a connection to it.
func answered(err error) bool {
	return !client.IsErrConnectionFailed(err) && (errdefs.IsInternal(err) || errdefs.IsNotFound(err) || errdefs.IsInvalidArgument(err) ||
		errdefs.IsPermissionDenied(err) || errdefs.IsConflict(err) || errdefs.IsUnavailable(err) || errdefs.IsNotImplemented(err))
}

// plain makes an error one that can be part of a sentence.
func plain(err error) error {
	if err == nil {
		return errors.New("the connection has ended")
	}
	if request, ok := errors.AsType[*url.Error](err); ok { // which request it was says nothing to people
		err = request.Err
	}
	if text := strings.TrimRight(err.Error(), ". \n"); text != err.Error() {
		return fmt.Errorf("%s", text)
	}
	return err
}
