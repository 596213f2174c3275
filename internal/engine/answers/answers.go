// Package answers has what the engines' actions and streams share: how they read the query of a request, and how they
// answer it.
package answers

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rancherdesktop.io/rdd/internal/view"
)

// Fail answers a request with an error.
func Fail(w http.ResponseWriter, err error) {
	status := view.Status(http.StatusInternalServerError, err.Error()).Status()
	if known, ok := errors.AsType[*apierrors.StatusError](err); ok {
		status = known.Status()
	}
	writeStatus(w, status)
}

func writeStatus(w http.ResponseWriter, status metav1.Status) {
	status.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
	JSON(w, int(status.Code), status)
}

// Refusal makes an error of an engine, which has said text, one for the client. It keeps errors that are for the client already.
func Refusal(err error, text string) error {
	if _, ours := errors.AsType[*apierrors.StatusError](err); ours {
		return err
	}
	code := http.StatusInternalServerError
	switch {
	case errdefs.IsNotFound(err):
		code = http.StatusNotFound
	case errdefs.IsConflict(err), errdefs.IsAlreadyExists(err), errdefs.IsFailedPrecondition(err):
		code = http.StatusConflict
	case errdefs.IsInvalidArgument(err):
		code = http.StatusBadRequest
	case errdefs.IsPermissionDenied(err):
		code = http.StatusForbidden
	case errdefs.IsUnavailable(err):
		code = http.StatusServiceUnavailable
	case errdefs.IsNotImplemented(err):
		code = http.StatusNotImplemented
	}
	return view.Status(code, text)
}

// JSON answers a request.
func JSON(w http.ResponseWriter, code int, answer any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(answer) // fails when the client is gone
}

// Action is a subresource that does something and answers when it is done.
func Action(do func(r *http.Request, o view.Object) error) view.Subresource {
	return view.Subresource{Methods: []string{http.MethodPost}, Handler: func(o view.Object) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := do(r, o); err != nil {
				Fail(w, err)
				return
			}
			writeStatus(w, metav1.Status{Status: metav1.StatusSuccess, Code: http.StatusOK})
		})
	}}
}

// Stream is a subresource that is read.
func Stream(serve func(w http.ResponseWriter, r *http.Request, o view.Object), methods ...string) view.Subresource {
	return view.Subresource{Methods: methods, Handler: func(o view.Object) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { serve(w, r, o) })
	}}
}

// Number reads an optional whole number of a query.
func Number(query url.Values, name string) (*int, error) {
	text := query.Get(name)
	if text == "" {
		return nil, nil //nolint:nilnil // absent
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return nil, view.Status(http.StatusBadRequest, name+" must be a whole number, and is "+strconv.Quote(text)+".")
	}
	return &n, nil
}

// Boolean reads an optional truth value of a query. A name without a value is true.
func Boolean(query url.Values, name string) (bool, error) {
	text := query.Get(name)
	if !query.Has(name) {
		return false, nil
	}
	if text == "" {
		return true, nil
	}
	b, err := strconv.ParseBool(text)
	if err != nil {
		return false, view.Status(http.StatusBadRequest, name+" must be true or false, and is "+strconv.Quote(text)+".")
	}
	return b, nil
}

// Forced reports whether the object is to be deleted whatever it does.
func Forced(options *metav1.DeleteOptions) bool {
	return options != nil && options.GracePeriodSeconds != nil && *options.GracePeriodSeconds == 0
}

// Quote makes one word for a shell of any text.
func Quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
