package operation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/core/image"
)

// moves is work with the engine that reports, waits for ctx or for the channel, and then ends with err.
func moves(e *Engine, object string, end <-chan error, report func(image.Report)) Work {
	return e.onEngine(BuildImage, object, func(ctx context.Context, _ *image.Client, r image.Report) (*Result, error) {
		report(r)
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case err := <-end:
			return &Result{"It is done.", []string{"a"}}, err
		}
	})
}

func nothingMore(image.Report) {}

func TestTheProgressHasAllParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, end := newEngine(t), make(chan error)
		var before Operation
		id := begin(t, e, moves(e, "shop", end, func(r image.Report) {
			r.Part(image.Part{ID: "l1", Status: "Waiting"})
			r.Part(image.Part{ID: "l2", Name: "RUN make", Status: "Running"})
			before = e.List().Operations()[0]
			r.Message("Pulling")
			r.Part(image.Part{ID: "l1", Status: "Downloading", Current: 1, Total: 2})
			r.Bytes(3, 4)
		}))
		o, _ := e.List().Find(id)
		want := []Part{{ID: "l1", Name: "l1", Status: "Downloading", Current: 1, Total: 2}, {ID: "l2", Name: "RUN make", Status: "Running"}}
		if p := o.Progress; !slices.Equal(p.Parts, want) || p.Phase != "build" || p.Message != "Pulling" || p.Bytes != 3 || p.Total != 4 {
			t.Errorf("%+v", p)
		}
		if before.Progress.Parts[0].Status != "Waiting" {
			t.Error("a list that was read has changed")
		}
		end <- nil
		synctest.Wait()
		if o, _ := e.List().Find(id); o.State != Done || o.Result == nil || o.Result.Message != "It is done." {
			t.Errorf("%+v", o)
		}
	})
}

func TestCancelEndsWorkWithTheEngine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		id := begin(t, e, moves(e, "shop", nil, nothingMore))
		begin(t, e, moves(e, "blog", nil, nothingMore))
		if undo, err := e.Cancel(id, false); err != nil || undo != "" {
			t.Errorf("%q, %v", undo, err)
		}
		synctest.Wait()
		if got := states(e); !slices.Equal(got, []string{"build-image shop canceled", "build-image blog running"}) {
			t.Errorf("%q", got)
		}
		if o, _ := e.List().Find(id); o.Problem != nil {
			t.Errorf("%+v", o.Problem)
		}
	})
}

// It was canceled too late.
func TestWorkThatIsDoneInSpiteOfCancelIsDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		canceled := make(chan struct{})
		id := begin(t, e, e.onEngine(PushImage, "shop", func(_ context.Context, _ *image.Client, _ image.Report) (*Result, error) {
			<-canceled
			return nil, nil //nolint:nilnil // no result and no error
		}))
		if _, err := e.Cancel(id, false); err != nil {
			t.Fatal(err)
		}
		close(canceled)
		synctest.Wait()
		if got := states(e); !slices.Equal(got, []string{"push-image shop done"}) {
			t.Errorf("%q", got)
		}
	})
}

func TestDifferentWorkWithTheEngineRunsSideBySide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		first := begin(t, e, moves(e, "shop", nil, nothingMore))
		if again := begin(t, e, moves(e, "shop", nil, nothingMore)); again != first {
			t.Error("a double click has begun two builds")
		}
		begin(t, e, e.onEngine(PushImage, "shop", func(ctx context.Context, _ *image.Client, _ image.Report) (*Result, error) {
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}))
		begin(t, e, endless(Start, "shop"))
		if got := states(e); !slices.Equal(got, []string{"build-image shop running", "push-image shop running", "start shop running"}) {
			t.Errorf("%q", got)
		}
	})
}

func TestTheLogOfABuildCanBeReadWhileItGrowsAndAfterItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, end, more := newEngine(t), make(chan error), make(chan string)
		id := begin(t, e, moves(e, "shop", end, func(r image.Report) {
			r.Log("one\n")
			for text := range more {
				r.Log(text)
			}
		}))
		if o, _ := e.List().Find(id); o.Log == nil || *o.Log != (Log{Source: "operation", Operation: id}) {
			t.Fatalf("%+v", o.Log)
		}
		read := func() (text *strings.Builder, ended *error) {
			text, ended = &strings.Builder{}, new(errors.New("not yet"))
			go func() {
				*ended = e.CopyOutput(t.Context(), id, func(b []byte) error { text.Write(b); return nil })
			}()
			synctest.Wait()
			return text, ended
		}
		text, ended := read()
		if text.String() != "one\n" || *ended == nil {
			t.Errorf("%q, %v", text, *ended)
		}
		more <- "two\n"
		synctest.Wait()
		if text.String() != "one\ntwo\n" {
			t.Errorf("%q", text)
		}
		close(more)
		end <- errors.New("it fails")
		synctest.Wait()
		if *ended != nil {
			t.Errorf("the reader does not end: %v", *ended)
		}
		if again, _ := read(); again.String() != "one\ntwo\n" {
			t.Errorf("after the end: %q", again)
		}
		e.Dismiss(id)
		if _, ended := read(); core.KindOf(*ended) != core.NotFound || len(e.outputs) > 0 {
			t.Errorf("after it was dismissed: %v, %d kept", *ended, len(e.outputs))
		}
	})
}

func TestALongLogIsCutAtItsBeginning(t *testing.T) {
	o := newOutput()
	for i := range 40 {
		o.write(strings.Repeat(fmt.Sprint(i%10), maxOutput/10))
	}
	o.end()
	text, next, ended := o.after(t.Context(), 0)
	if len(text) > 2*maxOutput || text[len(text)-1] != '9' || next < 3*maxOutput || !ended {
		t.Errorf("%d bytes, next %d, ended %t", len(text), next, ended)
	}
	if text, _, _ := o.after(t.Context(), next); len(text) > 0 {
		t.Errorf("%d bytes twice", len(text))
	}
}

func TestResultsSayWhatWasDone(t *testing.T) {
	for want, r := range map[string]*Result{
		"There was nothing to delete. []": pruned(image.Pruned{}),
		"1 deleted. [a]":                  pruned(image.Pruned{Deleted: []string{"a"}}),
		"2 deleted. 3 MiB freed. [a b]":   pruned(image.Pruned{Deleted: []string{"a", "b"}, Reclaimed: 3 << 20}),
		"The archive had no images. []":   loaded(nil),
		"2 loaded. [a:1 sha256:b]":        loaded([]string{"Loaded image: a:1", "Loaded image ID: sha256:b"}),
	} {
		if got := fmt.Sprintf("%s %v", r.Message, r.Items); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
