package image

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/moby/moby/client"

	"rancherdesktop.io/rdd/core"
)

// counter counts the bytes that pass. It reports them, but not each few.
type counter struct {
	io.Reader
	total, done int64
	report      Report
	last        time.Time
}

// countInterval is the shortest time between two reports of a counter.
const countInterval = 100 * time.Millisecond

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.done += int64(n)
	if now := time.Now(); now.Sub(c.last) >= countInterval || err != nil {
		c.last = now
		c.report.bytes(c.done, c.total)
	}
	return n, err
}

// badPath is an error about the path of an archive.
func badPath(op, path, problem string) error {
	return &core.Error{Kind: core.Usage, Op: op, Object: path, Err: errors.New(problem)}
}

// Load loads the images of an archive, as docker save makes it, and returns what the engine says about each.
func (c *Client) Load(ctx context.Context, path string, r Report) (loaded []string, err error) {
	const op = "load images from"
	if !filepath.IsAbs(path) {
		return nil, badPath(op, path, "want the absolute path of a file")
	}
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		return nil, badPath(op, path, "this is not a file; want an archive as docker save makes it")
	}
	if err != nil {
		return nil, core.Failed(op, path, cause(err))
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, core.Failed(op, path, cause(err))
	}
	defer f.Close()
	err = c.with(ctx, op, path, func(engine *client.Client) error {
		answer, err := engine.ImageLoad(ctx, &counter{Reader: f, total: info.Size(), report: r})
		if err != nil {
			return err
		}
		defer answer.Close()
		return followOutput(ctx, answer, Report{Part: r.Part, Message: func(line string) {
			loaded = append(loaded, line)
			r.message(line)
		}})
	})
	return loaded, err
}

// cause returns the reason of a file's error, without the path, which the user knows.
func cause(err error) error {
	if in, ok := errors.AsType[*fs.PathError](err); ok {
		return in.Err
	}
	return err
}

// Save saves images with all their layers and tags to a new file.
func (c *Client) Save(ctx context.Context, names []string, path string, r Report) (err error) {
	const op = "save images to"
	if len(names) == 0 {
		return badPath(op, path, "name at least one image")
	}
	if !filepath.IsAbs(path) {
		return badPath(op, path, "want an absolute path")
	}
	exists := badPath(op, path, "a file of this name is already there; choose another name")
	if _, err := os.Lstat(path); err == nil {
		return exists
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".rdd-save-*")
	if err != nil {
		return core.Failed(op, path, cause(err))
	}
	defer func() {
		_ = f.Close() // fails after the Close below
		_ = os.Remove(f.Name())
	}()
	return c.with(ctx, op, path, func(engine *client.Client) error {
		answer, err := engine.ImageSave(ctx, names)
		if err != nil {
			return err
		}
		defer answer.Close()
		if _, err := io.Copy(f, &counter{Reader: answer, report: r}); err != nil {
			return err
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			return err
		}
		if _, err := os.Lstat(path); err == nil {
			return exists
		}
		return os.Rename(f.Name(), path)
	})
}
