package moby

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"rancherdesktop.io/rdd/internal/engine/answers"
	"rancherdesktop.io/rdd/internal/view"
)

// serveContainerFiles answers with what is in a folder of a container, as JSON; with download, with the file itself, or the
// folder as a tar archive. The path in the container follows the name of the subresource. Links are followed as in the
// container.
func (s *session) serveContainerFiles(w http.ResponseWriter, r *http.Request, o view.Object) error {
	download, err := answers.Boolean(r.URL.Query(), "download")
	if err != nil {
		return err
	}
	at := path.Clean("/" + r.URL.Path)
	resolved, err := s.resolve(r.Context(), o.GetName(), at)
	if err != nil {
		return err
	}
	if download {
		return s.sendFromContainer(w, r, o.GetName(), resolved)
	}
	answer, err := s.listContainer(r.Context(), o.GetName(), resolved)
	if err != nil {
		return err
	}
	defer answer.Close()
	return answer.sendList(w, at)
}

// resolve returns a path of a container without links. The engine follows them in the container, whether it runs or not; in
// the guest, an absolute link would lead out of it.
func (s *session) resolve(ctx context.Context, id, at string) (string, error) {
	resolved := "/"
	for name := range strings.SplitSeq(strings.Trim(at, "/"), "/") {
		if name == "" {
			continue
		}
		next := path.Join(resolved, name)
		found, err := s.actions.ContainerStatPath(ctx, id, client.ContainerStatPathOptions{Path: next})
		switch {
		case errdefs.IsNotFound(err): // the answer to this request has no text
			return "", view.Status(http.StatusNotFound, fmt.Sprintf("There is no %s in the container.", at))
		case err != nil:
			return "", err
		}
		if resolved = next; found.Stat.Mode&os.ModeSymlink != 0 {
			resolved = found.Stat.LinkTarget
		}
	}
	return resolved, nil
}

// The scripts get a container and a path in it without links. They answer as those for volumes do.
const (
	listHere = `[ -e "$at" ] || { echo error 404; exit; }; [ -d "$at" ] || { echo error 400; exit; }; echo folder 0; ` + findHere
	// A container that runs is seen as its processes see it, with its volumes. The ID makes sure that the process is still its own.
	liveScript = `grep -qs "$2" "/proc/$1/cgroup" || { echo error 409; exit; }; at="/proc/$1/root$3"; ` + listHere
	// The layers of one that does not run are joined by a mount, in a namespace that ends with the script.
	restingScript = `cd "$(dirname "$1")" && mount -t overlay overlay -o "ro,lowerdir=$(basename "$1")/diff:$(cat "$1/lower")" /mnt || ` +
		`{ echo error 500; exit; }; at="/mnt$2"; ` + listHere
)

// listContainer lists a folder of a container.
func (s *session) listContainer(ctx context.Context, id, at string) (*answer, error) {
	found, err := s.actions.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	if err != nil {
		return nil, err
	}
	c := found.Container
	if c.State != nil && c.State.Pid > 0 {
		return s.run(ctx, liveScript, "container", strconv.Itoa(c.State.Pid), c.ID, at)
	}
	// A volume is not mounted now, and is a folder of the guest.
	root, inside := "", ""
	for _, m := range c.Mounts {
		if rest, below := strings.CutPrefix(at+"/", m.Destination+"/"); below && len(m.Destination) > len(inside) && m.Source != "" {
			root, inside, at = m.Source, m.Destination, "/"+strings.Trim(rest, "/")
		}
	}
	if root != "" {
		return s.run(ctx, listScript, "volume", root, at)
	}
	if c.GraphDriver == nil || c.GraphDriver.Data["UpperDir"] == "" {
		return nil, view.Status(http.StatusConflict, "The files of a container that does not run can be listed only with the storage driver overlay2. Start the container first.")
	}
	return s.run(ctx, "exec unshare -m sh -c "+answers.Quote(restingScript)+` sh "$@"`, "container", path.Dir(c.GraphDriver.Data["UpperDir"]), at)
}

// sendFromContainer sends a file of a container, or a folder's archive. The engine packs it.
func (s *session) sendFromContainer(w http.ResponseWriter, r *http.Request, id, at string) error {
	packed, err := s.actions.CopyFromContainer(r.Context(), id, client.CopyFromContainerOptions{SourcePath: at})
	if err != nil {
		return err
	}
	defer packed.Content.Close()
	name := path.Base(at)
	if at == "/" {
		name = id
	}
	if packed.Stat.Mode.IsDir() {
		attach(w, name+".tar", -1)
		if n, err := io.Copy(w, packed.Content); err != nil || n == 0 {
			panic(http.ErrAbortHandler) // the client must not take it for whole
		}
		return nil
	}
	archive := tar.NewReader(packed.Content)
	header, err := archive.Next()
	if err != nil || header.Typeflag != tar.TypeReg {
		return view.Status(http.StatusBadRequest, fmt.Sprintf("%s can't be downloaded: it is neither a file nor a folder.", at))
	}
	attach(w, name, header.Size)
	if _, err := io.CopyN(w, archive, header.Size); err != nil {
		panic(http.ErrAbortHandler)
	}
	return nil
}
