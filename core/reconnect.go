package core

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"

	"rancherdesktop.io/rdd/internal/lifecycle"
	"rancherdesktop.io/rdd/internal/wait"
)

// reconnectingReader reads the objects of one kind from the current run of the service, so that a wait continues across a
// restart. It is for one wait at a time.
type reconnectingReader struct {
	core     *Core
	resource func(dynamic.Interface) dynamic.ResourceInterface
	report   func(step string)

	client      dynamic.Interface
	absentSince time.Time // when the service was first seen not running
	renewed     bool      // the credential was reloaded and has not worked yet
}

// reconnectGrace is how long a wait continues while no service runs. During a restart, there is no service for about 10 ms.
const reconnectGrace = 5 * time.Second

// errServiceEnded ends a wait for the work of the service.
var errServiceEnded = errors.New("the service has stopped; the operation continues when you start it again with: rdd svc start")

// errReconnected makes the wait repeat its request.
var errReconnected = errors.New("reconnected to the service")

// reconnecting returns a reader for the wait o. It starts with the connection of this session.
func (s *Session) reconnecting(resource func(dynamic.Interface) dynamic.ResourceInterface, o *operation) *reconnectingReader {
	report := func(step string) { o.report(Event{Phase: "service", Message: step}) }
	return &reconnectingReader{core: s.core, resource: resource, report: report, client: s.client}
}

func (r *reconnectingReader) List(ctx context.Context, o metav1.ListOptions) (*unstructured.UnstructuredList, error) {
	list, err := r.resource(r.client).List(ctx, o)
	return list, r.reconnect(err)
}

func (r *reconnectingReader) Watch(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	w, err := r.resource(r.client).Watch(ctx, o)
	return w, r.reconnect(err)
}

// reconnect checks the service after a failed request. It returns a *wait.Final if the request must not be repeated.
func (r *reconnectingReader) reconnect(err error) error {
	if err == nil {
		r.absentSince, r.renewed = time.Time{}, false
		return nil
	}
	var status apierrors.APIStatus
	answered := errors.As(err, &status)
	if answered && !apierrors.IsUnauthorized(err) {
		return err
	}
	rec, live, findErr := lifecycle.Find(r.core.inst)
	switch {
	case findErr != nil:
		return err
	case !live:
		return r.checkAbsent(err)
	case rec.Phase != lifecycle.Ready:
		r.absentSince = time.Time{}
		r.report(fmt.Sprintf("the service is %s: %s", rec.Phase, rec.Step))
		return errReconnected
	case answered && r.renewed:
		return err
	}
	session, sessionErr := r.core.session() // the port and the credential may have changed
	if sessionErr != nil {
		return err
	}
	r.client, r.absentSince, r.renewed = session.client, time.Time{}, true
	return errReconnected
}

func (r *reconnectingReader) checkAbsent(err error) error {
	switch {
	case r.absentSince.IsZero():
		r.absentSince = time.Now()
		r.report("the service has stopped")
	case time.Since(r.absentSince) > reconnectGrace:
		return &wait.Final{Err: errServiceEnded}
	}
	return fmt.Errorf("the service is not running: %v", err) //nolint:errorlint // a wrapped Unauthorized would end the wait
}
