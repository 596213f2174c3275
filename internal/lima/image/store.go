package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"rancherdesktop.io/rdd/internal/atomicfile"
	"rancherdesktop.io/rdd/internal/machine/layout"
	"rancherdesktop.io/rdd/internal/proc"
)

// store keeps the files that VMs are made of, once for a Lima home and by content. A VM's own file is another name of the stored
// one, so the store may drop its name at any time. Nobody may write to these files.
type store struct {
	home string
	ways []func(ctx context.Context, from, to string) error // to give a VM a stored file, the cheapest first
}

func newStore(home string) *store {
	return &store{home: home, ways: []func(ctx context.Context, from, to string) error{
		func(_ context.Context, from, to string) error { return os.Link(from, to) },
		func(_ context.Context, from, to string) error { return reflink(from, to) },
		copyFile,
	}}
}

// The names of what belongs to one stored file.
const (
	newSuffix  = ".new"  // while it is made; a kill leaves it, and whoever locks the file next removes it
	lockSuffix = ".lock" // held by who makes, links or removes it
)

func (s *store) path(key string) string { return filepath.Join(layout.ImagesDir(s.home), key) }

// keyOf is the name under which a file with that digest is stored. A compressed file is stored unpacked unless packed is true.
func keyOf(d digest.Digest, packed bool) string {
	key := d.Algorithm().String() + "-" + d.Encoded()
	if packed {
		key += "-packed"
	}
	return key
}

// storeInterval is the time between attempts to lock a stored file.
const storeInterval = 100 * time.Millisecond

// lock locks one stored file. It waits while another process makes, links or removes it.
func (s *store) lock(ctx context.Context, key string) (*proc.Lock, error) {
	if err := os.MkdirAll(layout.ImagesDir(s.home), 0o700); err != nil {
		return nil, err
	}
	for {
		lock, err := proc.Acquire(s.path(key) + lockSuffix)
		if !errors.Is(err, proc.ErrLocked) {
			return lock, err
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(storeInterval):
		}
	}
}

// give puts the stored file at dest. If the store doesn't have it, write makes it first, at the path that it gets; without write,
// ok is false then.
func (s *store) give(ctx context.Context, key, dest string, write func(path string) error) (ok bool, err error) {
	lock, err := s.lock(ctx, key)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, lock.Remove()) }()
	if !layout.Exists(s.path(key)) {
		if write == nil {
			return false, nil
		}
		if err := s.make(key, write); err != nil {
			return false, err
		}
	}
	return true, s.place(ctx, key, dest)
}

// make makes a stored file. The file gets its name when it is on the disk as a whole, so that a power failure leaves no half of it.
func (s *store) make(key string, write func(path string) error) error {
	part := s.path(key) + newSuffix
	err := os.RemoveAll(part)
	if err == nil {
		err = write(part)
	}
	if err == nil {
		err = syncFile(part)
	}
	if err == nil {
		err = os.Chmod(part, 0o400)
	}
	if err == nil {
		err = atomicfile.Rename(part, s.path(key))
	}
	if err != nil {
		err = errors.Join(err, os.RemoveAll(part))
	}
	return err
}

// place gives a VM a stored file in the cheapest way that works.
func (s *store) place(ctx context.Context, key, dest string) (err error) {
	var all error
	for _, way := range s.ways {
		if err := os.RemoveAll(dest); err != nil {
			return err
		}
		if err = way(ctx, s.path(key), dest); err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return errors.Join(context.Cause(ctx), os.RemoveAll(dest))
		}
		all = errors.Join(all, err)
	}
	return errors.Join(fmt.Errorf("put %s into the VM's folder: %w", filepath.Base(dest), all), os.RemoveAll(dest))
}

// copyFile copies a file, and makes the copy read-only.
func copyFile(ctx context.Context, from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, &progressReader{r: in, report: func(int64, int64) {}, stopped: func() error { return context.Cause(ctx) }})
	return errors.Join(err, out.Close(), os.Chmod(to, 0o400))
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Sweep removes the stored files that no VM says it uses, and what killed processes have left of others. It leaves alone what
// another process works on.
func Sweep(home string) error {
	s := newStore(home)
	entries, err := os.ReadDir(layout.ImagesDir(home))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	keys := map[string]bool{}
	for _, e := range entries {
		keys[strings.TrimSuffix(strings.TrimSuffix(e.Name(), lockSuffix), newSuffix)] = true
	}
	for key := range keys {
		err = errors.Join(err, s.sweep(key))
	}
	return err
}

// sweep removes one stored file if no VM uses it. A VM writes down that it uses a file before it locks that: so either it is seen
// here, or it finds the file gone and makes it again.
func (s *store) sweep(key string) error {
	lock, err := proc.Acquire(s.path(key) + lockSuffix)
	if errors.Is(err, proc.ErrLocked) {
		return nil
	}
	if err != nil {
		return err
	}
	err = os.RemoveAll(s.path(key) + newSuffix)
	if err == nil {
		var used bool
		if used, err = layout.ImageUsed(s.home, key); err == nil && !used {
			err = os.RemoveAll(s.path(key))
		}
	}
	return errors.Join(err, lock.Remove())
}
