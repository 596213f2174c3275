package core

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func after(d time.Duration, err error) func(context.Context, *operation) error {
	return func(ctx context.Context, o *operation) error {
		o.report(Event{Phase: "boot", Message: "waiting for SSH"})
		select {
		case <-time.After(d):
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// ask returns answers for Overdue, one for each deadline. With a negative one, the user never answers.
func ask(answers ...time.Duration) func(context.Context, time.Duration) time.Duration {
	return func(ctx context.Context, _ time.Duration) time.Duration {
		a := answers[0]
		answers = answers[1:]
		if a < 0 {
			<-ctx.Done()
		}
		return a
	}
}

func TestWait(t *testing.T) {
	boom := errors.New("boom")
	for _, tc := range []struct {
		name string
		wait Wait
		fn   func(context.Context, *operation) error
		kind Kind
		took time.Duration
		ok   bool
	}{
		{"done in time", Wait{Timeout: time.Minute}, after(time.Second, nil), 0, time.Second, true},
		{"fails in time", Wait{Timeout: time.Minute}, after(time.Second, boom), Other, time.Second, false},
		{"zero waits forever", Wait{}, after(24*time.Hour, nil), 0, 24 * time.Hour, true},
		{"expires", Wait{Timeout: time.Minute}, after(time.Hour, nil), Timeout, time.Minute, false},
		{"extended once", Wait{Timeout: time.Minute, Overdue: ask(time.Hour)}, after(5*time.Minute, nil), 0, 5 * time.Minute, true},
		{"ended by the user", Wait{Timeout: time.Minute, Overdue: ask(time.Minute, 0)}, after(time.Hour, nil), Timeout, 2 * time.Minute, false},
		{"done while the question is open", Wait{Timeout: time.Minute, Overdue: ask(-1)}, after(3*time.Minute, nil), 0, 3 * time.Minute, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				err := tc.wait.run(t.Context(), "start VM", "rd", tc.fn)
				if (err == nil) != tc.ok || err != nil && KindOf(err) != tc.kind || time.Since(start) != tc.took {
					t.Fatalf("err=%v kind=%v took=%v", err, KindOf(err), time.Since(start))
				}
			})
		})
	}
}

func TestTimeoutIncludesTheRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := Wait{Timeout: time.Minute}.FromNow()
		time.Sleep(50 * time.Second) // the request
		start := time.Now()
		w = w.FromNow() // an operation that is a part of another one shares its limit
		err := w.run(t.Context(), "start VM", "rd", after(time.Hour, nil))
		if expired, ok := errors.AsType[*Expired](err); !ok || expired.After != time.Minute || time.Since(start) != 10*time.Second {
			t.Error(err, time.Since(start))
		}
		time.Sleep(time.Minute) // longer than the timeout
		start = time.Now()
		if err := w.run(t.Context(), "start VM", "rd", after(time.Hour, nil)); KindOf(err) != Timeout || time.Since(start) != 0 {
			t.Error(err, time.Since(start))
		}
	})
}

func TestTimeoutErrorHasTheLastStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reported []Event
		w := Wait{Timeout: time.Minute, Progress: func(e Event) { reported = append(reported, e) }}
		err := w.run(t.Context(), "start VM", "rd", after(time.Hour, nil))
		for _, part := range []string{`start VM "rd"`, "context deadline exceeded", "1m0s", "phase boot", "waiting for SSH"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q is missing in %q", part, err)
			}
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Error("the chain lost context.DeadlineExceeded")
		}
		if len(reported) != 1 || reported[0].Op != "start VM" || reported[0].Object != "rd" {
			t.Error(reported)
		}
	})
}

func TestCallerCancelIsNotTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if k := KindOf(Wait{Timeout: time.Minute}.run(ctx, "x", "y", after(time.Hour, nil))); k != Canceled {
			t.Fatal(k)
		}
	})
}

func TestRepeatedEventIsReportedOnce(t *testing.T) {
	reported := 0
	o := &operation{wait: Wait{Progress: func(Event) { reported++ }}, start: time.Now()}
	for range 3 {
		o.report(Event{Phase: "boot"})
	}
	o.report(Event{Phase: "boot", Bytes: 1})
	if reported != 2 {
		t.Fatal(reported)
	}
}

func TestKindOf(t *testing.T) {
	vms := schema.GroupResource{Resource: "limavms"}
	for _, tc := range []struct {
		name string
		err  error
		want Kind
	}{
		{"explicit kind wins over a deadline in the chain", fmt.Errorf("ctx: %w", &Error{Rejected, "set", "app", context.DeadlineExceeded}), Rejected},
		{"an inner kind survives wrapping", &Error{Other, "a", "", &Error{NotFound, "b", "", errors.New("c")}}, NotFound},
		{"deadline", fmt.Errorf("x: %w", context.DeadlineExceeded), Timeout},
		{"name in use", apierrors.NewAlreadyExists(vms, "a"), Rejected},
		{"admission", Failed("create VM", "a", apierrors.NewForbidden(vms, "a", errors.New("no"))), Rejected},
		{"missing", apierrors.NewNotFound(vms, "a"), NotFound},
		{"other error", errors.New("x"), Other},
	} {
		if got := KindOf(tc.err); got != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}

func TestTimeoutWorksWhileProgressBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		resume := make(chan struct{})
		w := Wait{Timeout: time.Minute, Progress: func(Event) { <-resume }}
		err := w.run(t.Context(), "start VM", "rd", func(ctx context.Context, o *operation) error {
			go o.report(Event{Phase: "boot"})
			<-ctx.Done()
			return context.Cause(ctx)
		})
		close(resume)
		if KindOf(err) != Timeout || !strings.Contains(err.Error(), "phase boot") {
			t.Fatal(err)
		}
	})
}
