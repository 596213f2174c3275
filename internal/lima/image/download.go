package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/lima-vm/lima/pkg/downloader"
	"github.com/opencontainers/go-digest"

	"rancherdesktop.io/rdd/internal/atomicfile"
	"rancherdesktop.io/rdd/internal/diag"
	"rancherdesktop.io/rdd/internal/machine/layout"
	"rancherdesktop.io/rdd/internal/proc"
)

// download gets one file from a server into Lima's cache. It keeps what it got before it was interrupted, and the
// next one resumes there.
type download struct {
	url          string
	digest       digest.Digest   // of the complete file; empty: any
	dir          string          // the cache's for this URL
	stallTimeout time.Duration   // longest silence of the server
	begin        func(Operation) // called before report is, for another operation
	report       func(done, total int64)
}

// The files of a cached download. All but the last three are Lima's.
func (d *download) data() string { return filepath.Join(d.dir, "data") }
func (d *download) digestFile() string {
	return filepath.Join(d.dir, d.digest.Algorithm().String()+".digest")
}
func (d *download) modifiedFile() string { return filepath.Join(d.dir, "time") }
func (d *download) part() string         { return filepath.Join(d.dir, "rdd.part") }
func (d *download) validator() string    { return filepath.Join(d.dir, "rdd.part.validator") }
func (d *download) lock() string         { return filepath.Join(d.dir, "rdd.lock") }

// cacheDir is where Lima caches the file at a URL.
func cacheDir(url string) (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(base, "lima", "download", "by-url-sha256", downloader.CacheKey(url)), nil
}

var (
	errStalled  = diag.Mark(diag.DownloadCut, errors.New("the server sent nothing for too long"))
	errNoFile   = diag.Mark(diag.DownloadMissing, errors.New("the server has no such file"))
	errMismatch = diag.Mark(diag.ImageDigest, errors.New("it is another file or it is damaged; correct the template or get the file again"))
)

// get fills the cache and returns the path of the file there. errNoFile and errMismatch are permanent.
func (d *download) get(ctx context.Context) (string, error) {
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return "", err
	}
	lock, err := d.acquire(ctx)
	if err != nil {
		return "", err
	}
	defer func() { _ = lock.Release() }()
	if ok, err := d.cached(ctx); ok || err != nil {
		return d.data(), err
	}
	resumed := layout.Exists(d.part())
	err = d.fetch(ctx)
	if resumed && errors.Is(err, errMismatch) { // the part may have been of another file
		err = d.fetch(ctx)
	}
	return d.data(), err
}

// lockInterval is the time between attempts to lock a cached file.
const lockInterval = time.Second

// acquire waits while another VM downloads the same file.
func (d *download) acquire(ctx context.Context) (*proc.Lock, error) {
	for {
		lock, err := proc.Acquire(d.lock())
		if !errors.Is(err, proc.ErrLocked) {
			return lock, err
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(lockInterval):
		}
	}
}

// cached reports whether the cache has the file. Without a digest, it asks the server for a newer one; if the server
// doesn't answer, the cached one is used.
func (d *download) cached(ctx context.Context) (bool, error) {
	if !layout.Exists(d.data()) {
		return false, nil
	}
	if d.digest == "" {
		return !d.newer(ctx), context.Cause(ctx)
	}
	if b, err := os.ReadFile(d.digestFile()); err == nil && strings.TrimSpace(string(b)) == d.digest.String() {
		return true, nil
	}
	if d.verify(ctx, d.data()) == nil {
		return true, atomicfile.Write(d.digestFile(), []byte(d.digest))
	}
	return false, context.Cause(ctx)
}

// newer asks the server whether its file differs from the cached one.
func (d *download) newer(ctx context.Context) bool {
	modified, _ := os.ReadFile(d.modifiedFile())
	if len(modified) == 0 {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, d.stallTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, d.url, nil)
	if err != nil {
		return true
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK && resp.Header.Get("Last-Modified") != string(modified)
}

// maxAttempts limits how often an interrupted download is resumed immediately. After that the caller has to retry.
const maxAttempts = 10

// fetch downloads what is missing, verifies the file, and puts it into the cache.
func (d *download) fetch(ctx context.Context) error {
	d.begin(downloading)
	var modified string
	for try := 1; ; try++ {
		before := size(d.part())
		var err error
		if modified, err = d.request(ctx); err == nil {
			break
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if size(d.part()) <= before || try == maxAttempts {
			return err
		}
	}
	if err := d.verify(ctx, d.part()); err != nil {
		if errors.Is(err, errMismatch) {
			err = errors.Join(err, os.Remove(d.part()))
		}
		return err
	}
	return d.keep(modified)
}

// keep makes the downloaded part the cached file. What describes the old file is removed before, and what describes the
// new one is written after: a kill in between leaves a file that is checked again.
func (d *download) keep(modified string) error {
	if err := d.forget(); err != nil {
		return err
	}
	if err := os.Rename(d.part(), d.data()); err != nil {
		return err
	}
	_ = os.Remove(d.validator())
	about := map[string]string{d.modifiedFile(): modified, filepath.Join(d.dir, "url"): d.url}
	if d.digest != "" {
		about[d.digestFile()] = d.digest.String()
	}
	for name, text := range about {
		if err := atomicfile.Write(name, []byte(text)); err != nil {
			return err
		}
	}
	return nil
}

// forget removes what describes the cached file: when it was modified, and its digests, of any algorithm.
func (d *download) forget() error {
	files, err := os.ReadDir(d.dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		path := filepath.Join(d.dir, f.Name())
		if path == d.modifiedFile() || filepath.Ext(path) == ".digest" {
			if err := os.Remove(path); err != nil {
				return err
			}
		}
	}
	return nil
}

// request requests the missing part once. It returns the server's modification time of the file.
func (d *download) request(ctx context.Context) (modified string, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(d.stallTimeout, func() { cancel(fmt.Errorf("%w (%s)", errStalled, d.stallTimeout)) })
	defer silence.Stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url, nil)
	if err != nil {
		return "", err
	}
	have := size(d.part())
	validator, _ := os.ReadFile(d.validator())
	switch {
	case have > 0 && len(validator) > 0: // the rest of that very file, or all of another
		req.Header.Set("If-Range", string(validator))
		fallthrough
	case have > 0 && d.digest != "": // the digest will show whether the parts fit
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", have))
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", causeOr(ctx, err)
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
		have = 0
		if err := d.startOver(validatorOf(resp)); err != nil {
			return "", err
		}
	case http.StatusPartialContent: // the validator stays: with none, only the digest can show whether the parts fit
	case http.StatusRequestedRangeNotSatisfiable: // it has no more than we have
		if resp.Header.Get("Content-Range") == fmt.Sprintf("bytes */%d", have) {
			return resp.Header.Get("Last-Modified"), nil // an earlier download was killed when it had everything
		}
		return "", errors.Join(fmt.Errorf("the server's file has changed (%s)", resp.Status), os.Remove(d.part()))
	case http.StatusNotFound, http.StatusGone:
		return "", fmt.Errorf("%w (%s)", errNoFile, resp.Status)
	default:
		return "", fmt.Errorf("the server answers %s", resp.Status)
	}
	body := &progressReader{r: resp.Body, done: have, total: max(have+resp.ContentLength, 0), report: d.report, stopped: func() error {
		silence.Reset(d.stallTimeout)
		return nil
	}}
	if err := d.write(body, resp.ContentLength); err != nil {
		return "", causeOr(ctx, err)
	}
	return resp.Header.Get("Last-Modified"), nil
}

// startOver removes the part, and then records the validator of the file whose first part comes next: a part never lies
// beside the validator of another file.
func (d *download) startOver(validator string) error {
	if err := os.RemoveAll(d.part()); err != nil {
		return err
	}
	return atomicfile.Write(d.validator(), []byte(validator))
}

// validatorOf returns what identifies this version of the file in a later request; empty if the server sent nothing.
func validatorOf(resp *http.Response) string {
	if tag := resp.Header.Get("ETag"); tag != "" && !strings.HasPrefix(tag, "W/") {
		return tag
	}
	return resp.Header.Get("Last-Modified")
}

// write appends the body to the partial file. It keeps what arrives even if it fails.
func (d *download) write(body io.Reader, length int64) error {
	if err := checkSpace(d.dir, length); err != nil {
		return err
	}
	f, err := os.OpenFile(d.part(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := io.Copy(f, body); err != nil {
		return err
	}
	return f.Sync()
}

func (d *download) verify(ctx context.Context, path string) error {
	return verifyDigest(ctx, path, d.digest, d.begin, d.report)
}

// causeOr returns the cause of ctx if it has ended, or else err.
func causeOr(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// size returns the size of a file, or 0 if it doesn't exist.
func size(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// verifyDigest reads a file and compares its digest with want, if that is given.
func verifyDigest(ctx context.Context, path string, want digest.Digest, begin func(Operation), report func(done, total int64)) error {
	if want == "" {
		return nil
	}
	begin(verifying)
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	digester := want.Algorithm().Digester()
	counted := &progressReader{r: f, total: size(path), report: report, stopped: func() error { return context.Cause(ctx) }}
	if _, err := io.Copy(digester.Hash(), counted); err != nil {
		return err
	}
	if got := digester.Digest(); got != want {
		return fmt.Errorf("the file's digest is %s, not %s as the template says: %w", got, want, errMismatch)
	}
	return nil
}

// progressReader reports how much of r was read, and fails when stopped returns an error.
type progressReader struct {
	stopped     func() error
	r           io.Reader
	done, total int64
	report      func(done, total int64)
}

func (c *progressReader) Read(p []byte) (int, error) {
	if err := c.stopped(); err != nil {
		return 0, err
	}
	n, err := c.r.Read(p)
	c.done += int64(n)
	c.report(c.done, c.total)
	return n, err
}
