package core

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"rancherdesktop.io/rdd/internal/wait"
)

// leaves returns errors without an explicit kind.
func leaves() []error {
	return []error{
		errors.New("boom"), context.Canceled, &plainError{},
		apierrors.NewForbidden(schema.GroupResource{Resource: "limavms"}, "a", errors.New("no")),
		apierrors.NewNotFound(schema.GroupResource{Resource: "limavms"}, "a"),
	}
}

// plainError is an error type without a kind.
type plainError struct{}

func (*plainError) Error() string { return "failed" }

// wrapped wraps err in a chain or tree of other errors, depth times.
func wrapped(r *rand.Rand, err error, depth int) error {
	for range depth {
		other := leaves()[r.IntN(len(leaves()))]
		switch r.IntN(7) {
		case 0:
			err = fmt.Errorf("while doing this: %w", err)
		case 1:
			err = errors.Join(err, other)
		case 2:
			err = errors.Join(other, err)
		case 3:
			err = fmt.Errorf("%w and %w", other, err)
		case 4:
			err = &Error{Op: "start VM", Object: "rd", Err: err}
		case 5:
			err = &wait.Final{Err: err}
		case 6:
			err = Failed("start VM", "rd", fmt.Errorf("deep: %w", err))
		}
	}
	return err
}

// FuzzKindSurvivesWrapping checks that an explicit kind is found anywhere in the tree, with or without a deadline, and that
// a deadline without an explicit kind is a timeout.
func FuzzKindSurvivesWrapping(f *testing.F) {
	for seed := range uint64(200) {
		f.Add(seed, uint8(seed))
	}
	f.Fuzz(func(t *testing.T, seed uint64, depth uint8) {
		r := rand.New(rand.NewPCG(seed, uint64(depth)))
		kinds := []Kind{Usage, Rejected, Timeout, Incompatible, Canceled, NotFound}
		kind := kinds[r.IntN(len(kinds))]
		inner := leaves()[r.IntN(len(leaves()))]
		if r.IntN(2) == 0 {
			inner = wrapped(r, &Expired{}, r.IntN(4))
		}
		// Errors below the explicit kind may have a kind, too. Errors above it have none.
		err := wrappedWithoutKind(r, &Error{Kind: kind, Op: "do", Err: inner}, int(depth%12))
		if got := KindOf(err); got != kind {
			t.Errorf("%v: kind %d, want %d", err, got, kind)
		}
		late := wrapped(r, fmt.Errorf("x: %w", context.DeadlineExceeded), int(depth%12))
		if got := KindOf(wrappedWithoutKind(r, context.DeadlineExceeded, int(depth%12))); got != Timeout {
			t.Errorf("a deadline is kind %d", got)
		}
		if !errors.Is(late, context.DeadlineExceeded) {
			t.Errorf("%v lost its deadline", late)
		}
	})
}

// wrappedWithoutKind wraps err in errors without an explicit kind.
func wrappedWithoutKind(r *rand.Rand, err error, depth int) error {
	for range depth {
		switch r.IntN(5) {
		case 0:
			err = fmt.Errorf("while doing this: %w", err)
		case 1:
			err = errors.Join(errors.New("first"), err)
		case 2:
			err = errors.Join(err, apierrors.NewNotFound(schema.GroupResource{}, "a"))
		case 3:
			err = &Error{Op: "start VM", Object: "rd", Err: err}
		case 4:
			err = Failed("start VM", "rd", err)
		}
	}
	return err
}

func TestCanceledOperationIsAnError(t *testing.T) {
	err := Wait{}.run(t.Context(), "start VM", "rd", func(context.Context, *operation) error { return context.Canceled })
	if err == nil {
		t.Fatal("an operation that was canceled elsewhere succeeded")
	}
}
