package datastore

import (
	"context"
	"errors"
	"testing"
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
