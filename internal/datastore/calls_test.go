package datastore

import (
	"context"
	"errors"
	"testing"
	"time"
)

// The API server compares with ==.
//
//nolint:errorlint // see above
func TestRequestWhoseContextHasEndedSaysWhy(t *testing.T) {
	interrupted := errors.New("interrupted")
	request := func(ctx context.Context) error {
		<-ctx.Done()
		return interrupted
	}
	calls := newCalls()
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := calls.do(canceled, request); err != context.Canceled {
		t.Errorf("canceled: %v", err)
	}
	late, cancel := context.WithTimeout(t.Context(), 1)
	defer cancel()
	if err := calls.do(late, request); err != context.DeadlineExceeded {
		t.Errorf("late: %v", err)
	}
	if err := calls.do(t.Context(), func(context.Context) error { return interrupted }); err != interrupted {
		t.Errorf("for another reason: %v", err)
	}
	calls.endRequests(errClosed)
	if err := calls.do(t.Context(), request); err != errClosed {
		t.Errorf("at the end of the store: %v", err)
	}
}

// A request that panics in the middle of a write does no more than end its context.
func TestWriterThatPanicsIsNotInTheWayOfOthers(t *testing.T) {
	life, work, connector := database(t, "")
	dialect, err := newDialect(life, work, connector)
	if err != nil {
		t.Fatal(err)
	}
	func() {
		defer func() { _ = recover() }()
		_ = newCalls().do(t.Context(), func(ctx context.Context) error {
			if _, err := dialect.BeginTx(ctx, nil); err != nil {
				t.Error(err)
			}
			panic("in the middle of a write")
		})
	}()
	limited, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	tx, err := dialect.BeginTx(limited, nil)
	if err != nil {
		t.Fatalf("the next write: %v", err)
	}
	if _, err := tx.Insert(limited, "/registry/next", true, false, 0, 0, []byte("x")); err != nil {
		t.Error(err)
	}
	if err := tx.Commit(); err != nil {
		t.Error(err)
	}
}
