// Package image fetches the files that a template names, such as images and kernels, checks their digests and
// puts them into a VM's directory. Package vm calls it.
//
// The downloader is our own and not Lima's, nor a library's: it resumes what was cut short, reports progress
// and ends when its context does, and it keeps the layout of Lima's cache, so that both share one.
package image

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/lima-vm/lima/pkg/downloader"
	"github.com/lima-vm/lima/pkg/fileutils"
	"github.com/lima-vm/lima/pkg/limayaml"
	"github.com/lima-vm/lima/pkg/localpathutil"
	"github.com/opencontainers/go-digest"

	"rancherdesktop.io/rdd/internal/lima"
)

// Operation is a pass over the bytes of a file that is fetched. Operations follow in this order, each as its own step.
type Operation string

const (
	downloading Operation = "downloading"
	verifying   Operation = "checking the digest of"
	reading     Operation = "reading" // to find out the digest
	copying     Operation = "copying"
)

// OperationsFor lists the operations that fetching one of the files may take. copied says whether they go to a VM.
func OperationsFor(files []limayaml.File, copied bool) (all []Operation) {
	if slices.ContainsFunc(files, func(f limayaml.File) bool { return !downloader.IsLocal(f.Location) }) {
		all = append(all, downloading)
	}
	if slices.ContainsFunc(files, func(f limayaml.File) bool { return f.Digest != "" }) {
		all = append(all, verifying)
	}
	if copied {
		if slices.ContainsFunc(files, func(f limayaml.File) bool { return f.Digest == "" }) {
			all = append(all, reading)
		}
		all = append(all, copying)
	}
	return all
}

// stallTimeout ends a download that delivers nothing for this long.
const stallTimeout = time.Minute

// sizeInterval is the time between two reports of the size of a file that is being copied.
const sizeInterval = 200 * time.Millisecond

// Fetcher fetches the files that a template names: images, kernels, archives.
type Fetcher struct {
	Home   string                              // the Lima home, whose disk the files go to
	Use    func(name string) error             // records that the VM uses a file of layout.ImagesDir, before it is there
	Begin  func(op Operation, location string) // called when an operation on a file begins
	Report func(done, total int64)             // called with the bytes of that operation
}

// Fetch puts one file at dest, by way of Lima's cache when it is remote, and of the files that VMs share (see store). A file that
// the store has by its digest is neither downloaded nor read. An empty dest fills the cache only. The error names the template's
// field.
func (t *Fetcher) Fetch(ctx context.Context, field, dest string, f limayaml.File, decompress bool) error {
	if dest != "" && f.Digest != "" {
		if ok, err := t.give(ctx, f.Digest, dest, decompress, nil); ok || err != nil {
			return err
		}
	}
	path, err := t.locate(ctx, field, f)
	if err != nil || dest == "" {
		return err
	}
	if f.Digest == "" {
		if f.Digest, err = t.digestOf(ctx, path, f.Location); err != nil {
			return err
		}
	}
	_, err = t.give(ctx, f.Digest, dest, decompress, func(to string) error { return t.unpack(ctx, path, to, f, decompress) })
	return err
}

// give puts a file of the store at dest. If the store doesn't have it, write makes it.
func (t *Fetcher) give(ctx context.Context, d digest.Digest, dest string, decompress bool, write func(path string) error) (bool, error) {
	key := keyOf(d, !decompress)
	if err := t.Use(key); err != nil {
		return false, err
	}
	return newStore(t.Home).give(ctx, key, dest, write)
}

// locate returns the path of a file on this machine. It downloads a remote one, and checks the digest, if there is one.
func (t *Fetcher) locate(ctx context.Context, field string, f limayaml.File) (string, error) {
	begin := func(op Operation) { t.Begin(op, f.Location) }
	if downloader.IsLocal(f.Location) {
		return t.checkLocal(ctx, field, f, begin)
	}
	dir, err := cacheDir(f.Location)
	if err != nil {
		return "", err
	}
	d := &download{url: f.Location, digest: f.Digest, dir: dir, stallTimeout: stallTimeout, begin: begin, report: t.Report}
	path, err := d.get(ctx)
	switch {
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case errors.Is(err, errNoFile):
		return "", lima.FieldErrorf(field+".location", "%s: %w", f.Location, err)
	case errors.Is(err, errMismatch):
		return "", lima.FieldErrorf(field+".digest", "%s: %w", f.Location, err)
	case err != nil:
		return "", fmt.Errorf("%s: %w", f.Location, ExplainSpace(err, dir))
	}
	return path, nil
}

// checkLocal returns the path of a file of this machine whose digest is the right one.
func (t *Fetcher) checkLocal(ctx context.Context, field string, f limayaml.File, begin func(Operation)) (string, error) {
	path, err := LocalPath(f.Location)
	if err != nil {
		return "", lima.FieldError(field+".location", err)
	}
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return "", lima.FieldErrorf(field+".location", "there is no file %s", path)
	} else if err != nil {
		return "", err
	}
	err = verifyDigest(ctx, path, f.Digest, begin, t.Report)
	if errors.Is(err, errMismatch) {
		return "", lima.FieldErrorf(field+".digest", "%s: %w", path, err)
	}
	return path, err
}

// digestOf reads a file to find out its digest.
func (t *Fetcher) digestOf(ctx context.Context, path, location string) (digest.Digest, error) {
	t.Begin(reading, location)
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return digest.Canonical.FromReader(&progressReader{r: f, total: size(path), report: t.Report, stopped: func() error { return context.Cause(ctx) }})
}

// unpack copies a file of this machine, and decompresses it if it is to be and is compressed.
func (t *Fetcher) unpack(ctx context.Context, path, to string, f limayaml.File, decompress bool) error {
	total := size(path)
	if err := checkSpace(t.Home, total); err != nil {
		return err
	}
	t.Begin(copying, f.Location)
	stop := lima.Every(sizeInterval, func() {
		if written := size(to); written > 0 {
			t.Report(written, max(total, written))
		}
	})
	_, err := fileutils.DownloadFile(ctx, to, limayaml.File{Location: path, Arch: f.Arch}, decompress, filepath.Base(to), f.Arch)
	stop()
	if err == nil {
		t.Report(size(to), size(to))
	}
	return err
}

// LocalPath is the path of a local image: absolute, or below the home directory.
func LocalPath(location string) (string, error) {
	if path, ok := strings.CutPrefix(location, "file://"); ok {
		if !filepath.IsAbs(path) {
			return "", fmt.Errorf("%q must be an absolute path", location)
		}
		return path, nil
	}
	return localpathutil.Expand(location)
}
