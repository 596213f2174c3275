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

// reconnectingReader reads one kind of object from whatever run of the service is there, so that a wait goes
// on over a restart. It serves one wait at a time.
type reconnectingReader struct {
	core     *Core
	resource func(dynamic.Interface) dynamic.ResourceInterface
	tell     func(step string)

	client      dynamic.Interface
	absentSince time.Time // since when no service lives
	renewed     bool      // the credential was read again and has not worked yet
}

// reconnectGrace is how long a wait goes on while no service lives. Between the halves of a restart there
// are some 10 ms without one.
const reconnectGrace = 5 * time.Second

// errServiceEnded ends a wait for something that only the service can do.
var errServiceEnded = errors.New("the service has stopped; the operation continues when you start it again with: rdd svc start")

// errReconnected makes the wait ask again.
var errReconnected = errors.New("reconnected to the service")

// reconnecting returns a reader for the wait o that begins with this session.
func (s *Session) reconnecting(resource func(dynamic.Interface) dynamic.ResourceInterface, o *operation) *reconnectingReader {
	tell := func(step string) { o.report(Event{Phase: "service", Message: step}) }
	return &reconnectingReader{core: s.core, resource: resource, tell: tell, client: s.client}
}

func (l *reconnectingReader) List(ctx context.Context, o metav1.ListOptions) (*unstructured.UnstructuredList, error) {
	list, err := l.resource(l.client).List(ctx, o)
	return list, l.reconnect(err)
}

func (l *reconnectingReader) Watch(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	w, err := l.resource(l.client).Watch(ctx, o)
	return w, l.reconnect(err)
}

// reconnect looks at the service after a request that failed. It returns the error if asking again is
// the way to go on, else a *wait.Final.
func (l *reconnectingReader) reconnect(err error) error {
	if err == nil {
		l.absentSince, l.renewed = time.Time{}, false
		return nil
	}
	var status apierrors.APIStatus
	answered := errors.As(err, &status)
	if answered && !apierrors.IsUnauthorized(err) {
		return err
	}
	rec, live, findErr := lifecycle.Find(l.core.inst)
	switch {
	case findErr != nil:
		return err
	case !live:
		return l.checkAbsent(err)
	case rec.Phase != lifecycle.Ready:
		l.absentSince = time.Time{}
		l.tell(fmt.Sprintf("the service is %s: %s", rec.Phase, rec.Step))
		return errReconnected
	case answered && l.renewed:
		return err
	}
	session, sessionErr := l.core.session() // the port and the credential may be new ones
	if sessionErr != nil {
		return err
	}
	l.client, l.absentSince, l.renewed = session.client, time.Time{}, true
	return errReconnected
}

func (l *reconnectingReader) checkAbsent(err error) error {
	switch {
	case l.absentSince.IsZero():
		l.absentSince = time.Now()
		l.tell("the service has ended")
	case time.Since(l.absentSince) > reconnectGrace:
		return &wait.Final{Err: errServiceEnded}
	}
	return fmt.Errorf("the service is not running: %v", err) //nolint:errorlint // as Unauthorized it would end the wait
}
