package datastore

import (
	"context"
	"errors"

	"github.com/k3s-io/kine/pkg/logstructured"
	"github.com/k3s-io/kine/pkg/server"
)

// errorCheckingBackend returns the error of a write that failed. kine looks the key up
// to tell why, forgets the error itself, and so can report a create as done although
// the disk was full.
type errorCheckingBackend struct{ *logstructured.LogStructured }

func newErrorCheckingBackend(log logstructured.Log) errorCheckingBackend {
	return errorCheckingBackend{logstructured.New(errorNotingLog{log})}
}

// errorNotingLog puts the error of a failed append into the context of the call.
type errorNotingLog struct{ logstructured.Log }

type failureKey struct{}

func (l errorNotingLog) Append(ctx context.Context, event *server.Event) (int64, error) {
	revision, err := l.Log.Append(ctx, event)
	if failure, ok := ctx.Value(failureKey{}).(*error); ok && err != nil && !errors.Is(err, server.ErrKeyExists) {
		*failure = err
	}
	return revision, err
}

func (b errorCheckingBackend) Create(ctx context.Context, key string, value []byte, lease int64) (int64, error) {
	var failure error
	revision, err := b.LogStructured.Create(context.WithValue(ctx, failureKey{}, &failure), key, value, lease)
	if failure != nil {
		return revision, failure
	}
	return revision, err
}

func (b errorCheckingBackend) Update(ctx context.Context, key string, value []byte, revision, lease int64) (int64, *server.KeyValue, bool, error) {
	var failure error
	now, kv, ok, err := b.LogStructured.Update(context.WithValue(ctx, failureKey{}, &failure), key, value, revision, lease)
	if failure != nil {
		return now, nil, false, failure
	}
	return now, kv, ok, err
}

func (b errorCheckingBackend) Delete(ctx context.Context, key string, revision int64) (int64, *server.KeyValue, bool, error) {
	var failure error
	now, kv, ok, err := b.LogStructured.Delete(context.WithValue(ctx, failureKey{}, &failure), key, revision)
	if failure != nil {
		return now, nil, false, failure
	}
	return now, kv, ok, err
}
