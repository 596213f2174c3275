package core

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/kballard/go-shellquote"
	"github.com/opencontainers/go-digest"

	"rancherdesktop.io/rdd/internal/atomicfile"
	"rancherdesktop.io/rdd/internal/engine"
	"rancherdesktop.io/rdd/internal/forward"
	"rancherdesktop.io/rdd/internal/machine/layout"
)

// Nerdctl is the client of containerd that runs in the App's VM. It is part of neither RDD nor the guest's distribution: the user
// names an archive with it, which is kept by its digest, and copied to the VM's data disk.
type Nerdctl struct{ core *Core }

// Nerdctl returns the instance's nerdctl.
func (c *Core) Nerdctl() *Nerdctl { return &Nerdctl{c} }

// ErrNoNerdctl means that the user has not named an archive yet.
var ErrNoNerdctl = errors.New("nerdctl is not installed: neither RDD nor the guest's distribution has it. " +
	"Choose an archive nerdctl-full-VERSION-linux-ARCH.tar.gz and its SHA-256 digest on https://github.com/containerd/nerdctl/releases, then run: " +
	"rdd nerdctl install --from URL|FILE --digest sha256:HEX")

// nerdctlChoice is what the user has chosen, as it is stored.
type nerdctlChoice struct {
	Digest digest.Digest `json:"digest"`
	From   string        `json:"from"`
}

func (n *Nerdctl) choiceFile() string { return filepath.Join(n.core.inst.NerdctlDir(), "choice.json") }

func (n *Nerdctl) archive(d digest.Digest) string {
	return filepath.Join(n.core.inst.NerdctlDir(), d.Encoded()+".tar.gz")
}

// Install fetches an archive from a URL or a file, unless one with this digest is there already, and makes it the one that is
// used. The archive must have the digest. progress is called now and then with the bytes that were read, and all there are (0: not
// known); it may be nil.
func (n *Nerdctl) Install(ctx context.Context, from, sum string, progress func(done, total int64)) error {
	const op = "install nerdctl"
	want, err := digest.Parse(sum)
	if err != nil || want.Algorithm() != digest.SHA256 {
		return &Error{Kind: Usage, Op: op, Err: fmt.Errorf("the digest must be sha256: and 64 hexadecimal digits, and is %q", sum)}
	}
	if err := n.core.inst.Create(); err != nil {
		return Failed(op, "", err)
	}
	if err := os.MkdirAll(n.core.inst.NerdctlDir(), 0o700); err != nil {
		return Failed(op, "", err)
	}
	if check(n.archive(want), want) != nil {
		if err := n.fetch(ctx, from, want, progress); err != nil {
			return Failed(op, "", err)
		}
	}
	return Failed(op, "", atomicfile.WriteJSON(n.choiceFile(), nerdctlChoice{want, from}))
}

// check returns why a file is not what has the digest.
func check(file string, want digest.Digest) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	got, err := want.Algorithm().FromReader(f)
	if err == nil && got != want {
		err = fmt.Errorf("it has the digest %s, not %s, so it is another file or was damaged on the way; nothing was installed", got, want)
	}
	return err
}

// fetch puts an archive beside the others, once it is known to be the right one.
func (n *Nerdctl) fetch(ctx context.Context, from string, want digest.Digest, progress func(done, total int64)) error {
	in, total, err := openArchive(ctx, from)
	if err != nil {
		return err
	}
	defer in.Close()
	f, err := os.CreateTemp(n.core.inst.NerdctlDir(), "part-")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = io.Copy(f, &counted{ctx: ctx, from: in, total: total, progress: progress})
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("read %s: %w", from, err)
	}
	if err := check(f.Name(), want); err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	if err := hasNerdctl(f.Name()); err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	return os.Rename(f.Name(), n.archive(want))
}

// openArchive opens a file, or what a server has at a URL.
func openArchive(ctx context.Context, from string) (in io.ReadCloser, size int64, err error) {
	if u, err := url.Parse(from); err != nil || u.Scheme != "http" && u.Scheme != "https" {
		f, err := os.Open(from)
		if err != nil {
			return nil, 0, err
		}
		info, err := f.Stat()
		if err != nil {
			return nil, 0, errors.Join(err, f.Close())
		}
		return f, info.Size(), nil
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, 0, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, 0, errors.Join(fmt.Errorf("%s: the server says %s", from, response.Status), response.Body.Close())
	}
	return response.Body, max(response.ContentLength, 0), nil
}

// counted reads until its context ends, and tells how far it is.
type counted struct {
	ctx         context.Context //nolint:containedctx // lives as long as one call
	from        io.Reader
	done, total int64
	told        int64 // done, when progress was called
	progress    func(done, total int64)
}

// progressBytes is how much is read between two calls of progress.
const progressBytes = 1 << 20

func (c *counted) Read(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	n, err := c.from.Read(p)
	c.done += int64(n)
	if c.progress != nil && (err != nil || c.done-c.told >= progressBytes) {
		c.told = c.done
		c.progress(c.done, c.total)
	}
	return n, err
}

// hasNerdctl checks that a file is an archive with nerdctl.
func hasNerdctl(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		return errors.New("it is no tar.gz archive")
	}
	for r := tar.NewReader(unzipped); ; {
		h, err := r.Next()
		switch {
		case errors.Is(err, io.EOF):
			return errors.New("it has no " + engine.NerdctlProgram + ": use an archive nerdctl-full-…, which has the network plugins, too")
		case err != nil:
			return fmt.Errorf("it is no tar.gz archive: %w", err)
		case path.Clean(h.Name) == engine.NerdctlProgram && h.Typeflag == tar.TypeReg:
			return nil
		}
	}
}

// Command returns a command that runs nerdctl with arguments in the App's VM, in the current directory if the VM has it. It starts
// nothing, but copies the archive to the VM's data disk if it is not there. copying is called before; it may be nil.
func (n *Nerdctl) Command(ctx context.Context, session *Session, args []string, copying func()) (*exec.Cmd, error) {
	const op = "run nerdctl"
	a, err := session.App().Show(ctx)
	if err != nil {
		return nil, err
	}
	if name := a.Spec.ContainerEngine.Name; name != Containerd {
		return nil, Failed(op, "", fmt.Errorf("the App's engine is %s, which docker is for; to use containerd and nerdctl, switch with: rdd set containerEngine.name=containerd", name))
	}
	var choice nerdctlChoice
	err = atomicfile.ReadJSON(n.choiceFile(), &choice)
	if errors.Is(err, os.ErrNotExist) {
		err = ErrNoNerdctl
	}
	if err != nil {
		return nil, Failed(op, "", err)
	}
	cmd, err := session.VMs().Shell(ctx, AppVM, ShellOptions{Command: engine.Nerdctl(args...)})
	if err != nil {
		return nil, err
	}
	return cmd, Failed(op, "", n.copyToVM(ctx, choice.Digest, copying))
}

// The scripts get the digest. A lock keeps two commands from copying at once.
const (
	nerdctlCheck = `[ "$(cat ` + engine.NerdctlFolder + `/.digest 2>/dev/null)" = "$1" ] && echo there || echo missing`
	nerdctlCopy  = `set -e; d=` + engine.NerdctlFolder + `; mkdir -p "${d%/*}"; exec 9>"$d.lock"; flock 9; rm -rf "$d.new"; mkdir "$d.new"; tar --no-same-owner -C "$d.new" -xzf -; ` +
		`echo "$1" >"$d.new/.digest"; sync -f "$d.new"; rm -rf "$d.old"; [ ! -e "$d" ] || mv "$d" "$d.old"; mv "$d.new" "$d"; rm -rf "$d.old"; echo there`
)

const (
	// askTimeout bounds a question to the guest.
	askTimeout = 30 * time.Second
	// copyTimeout bounds the copy of an archive to the guest.
	copyTimeout = 10 * time.Minute
)

// copyToVM puts nerdctl onto the data disk, unless it is there.
func (n *Nerdctl) copyToVM(ctx context.Context, d digest.Digest, copying func()) error {
	said, err := n.inVM(ctx, askTimeout, nerdctlCheck, d, nil)
	if err != nil || said == "there" {
		return err
	}
	if copying != nil {
		copying()
	}
	f, err := os.Open(n.archive(d))
	if err != nil {
		return fmt.Errorf("its archive is gone, install it again: %w", err)
	}
	defer f.Close()
	said, err = n.inVM(ctx, copyTimeout, nerdctlCopy, d, f)
	if err == nil && said != "there" {
		err = fmt.Errorf("it can't be copied to the virtual machine: %s", said)
	}
	return err
}

// inVM runs a script in the guest as root, with a file as its input, and returns what it has said last.
func (n *Nerdctl) inVM(ctx context.Context, timeout time.Duration, script string, d digest.Digest, input io.Reader) (said string, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	conn, err := forward.Dial(ctx, layout.Of(n.core.inst, AppVM), "exec", "sudo -n sh -c "+shellquote.Join(script)+" sh "+d.Encoded()+" 2>&1")
	if err != nil {
		return "", fmt.Errorf("the virtual machine does not answer: %w", err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	sent := make(chan error, 1)
	go func() {
		var err error
		if input != nil {
			_, err = io.Copy(conn, input)
		}
		sent <- errors.Join(err, conn.CloseWrite())
	}()
	text, err := io.ReadAll(io.LimitReader(conn, 64<<10))
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if said = strings.TrimSpace(lines[len(lines)-1]); said == "" {
		err = errors.Join(errors.New("the virtual machine has not answered"), err, <-sent)
	}
	return said, err
}
