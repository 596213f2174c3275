package operation

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/docker/go-units"

	"rancherdesktop.io/rdd/core/image"
)

// Part is a layer of an image that is moved, or a step of a build.
type Part struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Status  string `json:"status"` // in the words of the engine
	Current int64  `json:"current,omitempty"`
	Total   int64  `json:"total,omitempty"` // bytes
	Done    bool   `json:"done,omitempty"`
}

// Result is what an operation has done, as far as its title doesn't say it.
type Result struct {
	Message string   `json:"message"`
	Items   []string `json:"items"`
}

// outputSource is the source of a Log that is the output of an operation.
const outputSource = "operation"

// onEngine returns work that this program does with the engine. It is never late, and Cancel ends it.
func (e *Engine) onEngine(verb Verb, object string, do func(context.Context, *image.Client, image.Report) (*Result, error)) Work {
	return Work{Verb: verb, Object: object, Log: Log{Source: verbs[verb].log}, do: func(ctx context.Context, r image.Report) (*Result, error) {
		return do(ctx, image.New(e.options.Core), r)
	}}
}

// PullImage downloads an image. platform may be empty.
func (e *Engine) PullImage(reference, platform string) Work {
	return e.onEngine(PullImage, reference, func(ctx context.Context, c *image.Client, r image.Report) (*Result, error) {
		return nil, c.Pull(ctx, reference, platform, r)
	})
}

// PushImage uploads an image.
func (e *Engine) PushImage(reference string) Work {
	return e.onEngine(PushImage, reference, func(ctx context.Context, c *image.Client, r image.Report) (*Result, error) {
		return nil, c.Push(ctx, reference, r)
	})
}

// BuildImage builds an image from a folder.
func (e *Engine) BuildImage(o image.BuildOptions) Work {
	return e.onEngine(BuildImage, cmp.Or(o.Tag, o.Folder), func(ctx context.Context, c *image.Client, r image.Report) (*Result, error) {
		return nil, c.Build(ctx, o, r)
	})
}

// LoadImages loads the images of an archive.
func (e *Engine) LoadImages(path string) Work {
	return e.onEngine(LoadImages, path, func(ctx context.Context, c *image.Client, r image.Report) (*Result, error) {
		said, err := c.Load(ctx, path, r)
		return loaded(said), err
	})
}

// loaded says what was loaded. The engine says it in lines such as "Loaded image: nginx:1.29".
func loaded(said []string) *Result {
	r := &Result{"The archive had no images.", []string{}}
	for _, line := range said {
		if _, name, ok := strings.Cut(line, ": "); ok {
			r.Items = append(r.Items, name)
		}
	}
	if n := len(r.Items); n > 0 {
		r.Message = fmt.Sprintf("%d loaded.", n)
	}
	return r
}

// SaveImages saves images to a new file.
func (e *Engine) SaveImages(references []string, path string) Work {
	return e.onEngine(SaveImages, path, func(ctx context.Context, c *image.Client, r image.Report) (*Result, error) {
		return nil, c.Save(ctx, references, path, r)
	})
}

// Prune deletes what the engine no longer needs; see image.Client.Prune.
func (e *Engine) Prune(what string, all bool) Work {
	object := what
	if what == image.BuildCache {
		object = "the build cache"
	}
	return e.onEngine(Prune, object, func(ctx context.Context, c *image.Client, _ image.Report) (*Result, error) {
		done, err := c.Prune(ctx, what, all)
		return pruned(done), err
	})
}

// pruned says what a prune has done.
func pruned(p image.Pruned) *Result {
	r := &Result{"There was nothing to delete.", append([]string{}, p.Deleted...)}
	switch {
	case len(p.Deleted) > 0 && p.Reclaimed > 0:
		r.Message = fmt.Sprintf("%d deleted. %s freed.", len(p.Deleted), size(p.Reclaimed))
	case len(p.Deleted) > 0:
		r.Message = fmt.Sprintf("%d deleted.", len(p.Deleted))
	}
	return r
}

// size is a number of bytes as the page writes it.
func size(n int64) string {
	return units.CustomSize("%.4g %s", float64(n), 1024, []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"})
}

// move does the work of an operation with the engine. It reports all of the parts with each change.
func (e *Engine) move(ctx context.Context, id string, w Work, out *output) (*Result, error) {
	m := moving{phase: verbs[w.Verb].phase, began: time.Now()}
	report := func(change func()) {
		e.change(func() {
			change()
			e.list = e.list.Progressed(id, m.progress())
		})
	}
	report(func() {})
	return w.do(ctx, image.Report{
		Part:    func(p image.Part) { report(func() { m.add(p) }) },
		Message: func(line string) { report(func() { m.message = line }) },
		Bytes:   func(done, total int64) { report(func() { m.bytes, m.total = done, total }) },
		Log:     out.write,
	})
}

// moving is the progress of an operation with the engine.
type moving struct {
	phase        string
	began        time.Time
	message      string
	bytes, total int64
	parts        []Part
}

func (m *moving) add(p image.Part) {
	part := Part{ID: p.ID, Name: cmp.Or(p.Name, p.ID), Status: p.Status, Current: p.Current, Total: p.Total, Done: p.Done}
	if i := slices.IndexFunc(m.parts, func(known Part) bool { return known.ID == p.ID }); i >= 0 {
		m.parts[i] = part
	} else {
		m.parts = append(m.parts, part)
	}
}

func (m *moving) progress() Progress {
	return Progress{
		Phase: m.phase, Message: m.message, Bytes: m.bytes, Total: m.total, Elapsed: time.Since(m.began).Seconds(),
		Parts: slices.Clone(m.parts), // the list's values are never changed
	}
}

// output is the end of what an operation has written: a build's log.
type output struct {
	mu    sync.Mutex
	text  []byte
	lost  int           // bytes that were before text
	ended bool          // no more comes
	more  chan struct{} // closed with the next change
}

// maxOutput is to how many bytes an output is cut when it has twice as many.
const maxOutput = 1 << 20

func newOutput() *output { return &output{more: make(chan struct{})} }

func (o *output) change(do func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	do()
	close(o.more)
	o.more = make(chan struct{})
}

func (o *output) write(text string) {
	o.change(func() {
		o.text = append(o.text, text...)
		if over := len(o.text) - maxOutput; over > maxOutput {
			o.text = slices.Clone(o.text[over:])
			o.lost += over
		}
	})
}

func (o *output) end() { o.change(func() { o.ended = true }) }

// after returns what comes after a position, and the position after that. At the end, it waits for more.
func (o *output) after(ctx context.Context, at int) (text []byte, next int, ended bool) {
	for {
		o.mu.Lock()
		from := max(at, o.lost)
		text, next, ended = slices.Clone(o.text[from-o.lost:]), o.lost+len(o.text), o.ended
		more := o.more
		o.mu.Unlock()
		if len(text) > 0 || ended {
			return text, next, ended
		}
		select {
		case <-ctx.Done():
			return nil, at, true
		case <-more:
		}
	}
}

// CopyOutput writes what an operation has written, and then follows it until the operation or ctx ends.
func (e *Engine) CopyOutput(ctx context.Context, id string, write func([]byte) error) error {
	e.mu.Lock()
	out := e.outputs[id]
	e.mu.Unlock()
	if out == nil {
		return notRunning(id)
	}
	for at := 0; ; {
		text, next, ended := out.after(ctx, at)
		if len(text) > 0 {
			if err := write(text); err != nil {
				return err
			}
		} else if ended {
			return context.Cause(ctx)
		}
		at = next
	}
}
