package datastore

import (
	"context"
	"errors"

	"github.com/k3s-io/kine/pkg/logstructured"
	"github.com/k3s-io/kine/pkg/server"
)

// honest is kine's store with one correction. When a write fails, kine looks the key
// up to tell why, forgets the failure itself, and so can report a create as done
// although the disk was full. Here the failure is remembered and returned.
type honest struct{ *logstructured.LogStructured }

func newHonest(log logstructured.Log) honest {
	return honest{logstructured.New(appendLog{log})}
}

// appendLog notes failed appends in the context of the call they serve.
type appendLog struct{ logstructured.Log }

type failureKey struct{}

func (l appendLog) Append(ctx context.Context, event *server.Event) (int64, error) {
	revision, err := l.Log.Append(ctx, event)
	if failure, ok := ctx.Value(failureKey{}).(*error); ok && err != nil && !errors.Is(err, server.ErrKeyExists) {
		*failure = err
	}
	return revision, err
}

func (h honest) Create(ctx context.Context, key string, value []byte, lease int64) (int64, error) {
	var failure error
	revision, err := h.LogStructured.Create(context.WithValue(ctx, failureKey{}, &failure), key, value, lease)
	if failure != nil {
		return revision, failure
	}
	return revision, err
}

func (h honest) Update(ctx context.Context, key string, value []byte, revision, lease int64) (int64, *server.KeyValue, bool, error) {
	var failure error
	now, kv, ok, err := h.LogStructured.Update(context.WithValue(ctx, failureKey{}, &failure), key, value, revision, lease)
	if failure != nil {
		return now, nil, false, failure
	}
	return now, kv, ok, err
}

func (h honest) Delete(ctx context.Context, key string, revision int64) (int64, *server.KeyValue, bool, error) {
	var failure error
	now, kv, ok, err := h.LogStructured.Delete(context.WithValue(ctx, failureKey{}, &failure), key, revision)
	if failure != nil {
		return now, nil, false, failure
	}
	return now, kv, ok, err
}
