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

	"rancherdesktop.io/rdd/internal/lima"
)

// Operation is a pass over the bytes of a file that is fetched. Operations follow in this order, each as its own step.
type Operation string

const (
	downloading Operation = "downloading"
	verifying   Operation = "checking the digest of"
	copying     Operation = "copying"
)

// OperationsFor lists the operations that fetching one of the files may take.
func OperationsFor(files []limayaml.File, copied bool) (all []Operation) {
	if slices.ContainsFunc(files, func(f limayaml.File) bool { return !downloader.IsLocal(f.Location) }) {
		all = append(all, downloading)
	}
	if slices.ContainsFunc(files, func(f limayaml.File) bool { return f.Digest != "" }) {
		all = append(all, verifying)
	}
	if copied {
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
	Begin  func(op Operation, location string) // called when an operation on a file begins
	Report func(done, total int64)             // called with the bytes of that operation
}

// Fetch puts one file at dest, by way of Lima's cache when it is remote. An empty dest fills the cache only.
// The digest, where there is one, is checked each time. The error names the template's field.
func (t *Fetcher) Fetch(ctx context.Context, field, dest string, f limayaml.File, decompress bool) error {
	begin := func(op Operation) { t.Begin(op, f.Location) }
	if downloader.IsLocal(f.Location) {
		return t.copyLocal(ctx, field, dest, f, decompress, begin)
	}
	dir, err := cacheDir(f.Location)
	if err != nil {
		return err
	}
	d := &download{url: f.Location, digest: f.Digest, dir: dir, stallTimeout: stallTimeout, begin: begin, report: t.Report}
	path, err := d.get(ctx)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, errNoFile):
		return lima.FieldErrorf(field+".location", "%s: %w", f.Location, err)
	case errors.Is(err, errMismatch):
		return lima.FieldErrorf(field+".digest", "%s: %w", f.Location, err)
	case err != nil:
		return fmt.Errorf("%s: %w", f.Location, ExplainSpace(err, dir))
	}
	return t.copyLocal(ctx, field, dest, limayaml.File{Location: path, Arch: f.Arch}, decompress, begin)
}

// copyLocal verifies and copies a file of this machine.
func (t *Fetcher) copyLocal(ctx context.Context, field, dest string, f limayaml.File, decompress bool, begin func(Operation)) error {
	path, err := LocalPath(f.Location)
	if err != nil {
		return lima.FieldError(field+".location", err)
	}
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return lima.FieldErrorf(field+".location", "there is no file %s", path)
	}
	if err != nil {
		return err
	}
	err = verifyDigest(ctx, path, f.Digest, begin, t.Report)
	if errors.Is(err, errMismatch) {
		return lima.FieldErrorf(field+".digest", "%s: %w", path, err)
	}
	if err != nil {
		return err
	}
	f.Digest = "" // verified
	if dest == "" {
		return nil
	}
	if err := checkSpace(t.Home, info.Size()); err != nil {
		return err
	}
	begin(copying)
	stop := lima.Every(sizeInterval, func() {
		if written := size(dest); written > 0 {
			t.Report(written, max(info.Size(), written))
		}
	})
	_, err = fileutils.DownloadFile(ctx, dest, f, decompress, filepath.Base(dest), f.Arch)
	stop()
	if err == nil {
		t.Report(size(dest), size(dest))
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
