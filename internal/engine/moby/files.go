package moby

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rancherdesktop.io/rdd/internal/api/containers/v1alpha1"
	"rancherdesktop.io/rdd/internal/engine/answers"
	"rancherdesktop.io/rdd/internal/engine/mirror"
	"rancherdesktop.io/rdd/internal/view"
)

const (
	// maxFiles is how many files of a folder are listed.
	maxFiles = 10_000
	// maxField bounds the length of one field of the guest's answer: a path has at most 4096 bytes.
	maxField = 16 << 10
)

func (e *Engine) volumeSubresources() map[string]view.Subresource {
	return map[string]view.Subresource{"files": e.Stream((*session).serveFiles, http.MethodGet), "inspect": e.inspected(inspectVolume)}
}

// serveFiles answers with what is in a folder of a volume, as JSON; with download, with the file itself, or the folder as
// a tar archive. The path in the volume follows the name of the subresource.
//
// The engine's own API can only pack a whole folder with all that is below it, and only for a container that has the
// volume. So a command in the guest does it.
func (s *session) serveFiles(w http.ResponseWriter, r *http.Request, o view.Object) error {
	download, err := answers.Boolean(r.URL.Query(), "download")
	if err != nil {
		return err
	}
	v, ok := o.(*v1alpha1.Volume)
	if !ok || v.Status.Mountpoint == "" {
		return view.Status(http.StatusConflict, "The volume's driver does not say where its files are.")
	}
	at := path.Clean("/" + r.URL.Path)
	script := listScript
	if download {
		script = downloadScript
	}
	answer, err := s.run(r.Context(), script, "volume", v.Status.Mountpoint, at)
	if err != nil {
		return err
	}
	defer answer.Close()
	if download {
		answer.send(w, at, v.Status.Name)
		return nil
	}
	return answer.sendList(w, at)
}

// sendList answers with the files of the folder at.
func (a *answer) sendList(w http.ResponseWriter, at string) error {
	files, err := a.list()
	if err != nil {
		return view.Status(http.StatusServiceUnavailable, "The list of files is incomplete: "+plain(err).Error()+".")
	}
	files.Path = at
	answers.JSON(w, http.StatusOK, files)
	return nil
}

// The scripts get the folder of the volume and a path in it. They answer with a first line: what there is and its size,
// or "error CODE". A link that leads out of the volume is not followed.
//
// A script is one line, because a request to the hostagent is.
const (
	findScript = `root=$(realpath -e -- "$1") && at=$(realpath -e -- "$1$2") || { echo error 404; exit; }; ` +
		`case "$at/" in "$root"/*) ;; *) echo error 403; exit ;; esac; `
	// Each file is a line of fields that end with a zero byte; at the end comes an empty one.
	listScript     = findScript + `[ -d "$at" ] || { echo error 400; exit; }; echo folder 0; ` + findHere
	findHere       = `find "$at/" -mindepth 1 -maxdepth 1 -printf '%f\0%y\0%s\0%m\0%U\0%G\0%T@\0%l\0'; printf '\0'`
	downloadScript = findScript + `if [ -d "$at" ]; then echo folder 0; exec tar -C "$at" -cf - .; fi; ` +
		`[ -f "$at" ] || { echo error 400; exit; }; exec 3<"$at"; echo file $(stat -Lc %s /dev/fd/3); exec cat <&3`
)

// answer is what a script has answered.
type answer struct {
	*mirror.Script
	of     string // volume or container
	folder bool
	size   int64
}

// run runs a script in the guest as root, for files of a volume or container. The last argument is a path in it.
func (s *session) run(ctx context.Context, script, of string, args ...string) (*answer, error) {
	running, first, err := s.Script(ctx, script, args...)
	if err != nil {
		return nil, err
	}
	a := &answer{Script: running, of: of}
	if err := a.begin(first, args[len(args)-1]); err != nil {
		_ = a.Close()
		return nil, err
	}
	return a, nil
}

// begin understands the first line of an answer about a path.
func (a *answer) begin(line, at string) error {
	kind, number, _ := strings.Cut(strings.TrimSpace(line), " ")
	n, err := strconv.ParseInt(number, 10, 64)
	switch {
	case err != nil:
		return view.Status(http.StatusInternalServerError, fmt.Sprintf("The virtual machine answered %q.", line))
	case kind == "error" && n == http.StatusNotFound:
		return view.Status(http.StatusNotFound, fmt.Sprintf("There is no %s in the %s.", at, a.of))
	case kind == "error" && n == http.StatusForbidden:
		return view.Status(http.StatusForbidden, fmt.Sprintf("%s is a link that leads out of the volume.", at))
	case kind == "error" && n == http.StatusConflict:
		return view.Status(http.StatusConflict, "The container has just stopped. Try it again.")
	case kind == "error" && n == http.StatusInternalServerError:
		return view.Status(http.StatusInternalServerError, "The virtual machine can't read the container's files. Start the container, and try it again.")
	case kind == "error":
		return view.Status(http.StatusBadRequest, fmt.Sprintf("%s can't be shown: it is no folder. Add ?download=true for the content of a file.", at))
	}
	a.folder, a.size = kind == "folder", n
	return nil
}

// list reads the files of a folder.
func (a *answer) list() (*v1alpha1.VolumeFiles, error) {
	out := &v1alpha1.VolumeFiles{Files: []v1alpha1.VolumeFile{}}
	for {
		name, err := a.field()
		if err != nil {
			return nil, err
		}
		if name == "" {
			break
		}
		if len(out.Files) == maxFiles {
			out.Truncated = true
			break
		}
		f := v1alpha1.VolumeFile{Name: name}
		if err := a.describe(&f); err != nil {
			return nil, err
		}
		out.Files = append(out.Files, f)
	}
	slices.SortFunc(out.Files, func(a, b v1alpha1.VolumeFile) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// describe reads the fields after a file's name.
func (a *answer) describe(f *v1alpha1.VolumeFile) error {
	var fields [7]string
	for i := range fields {
		var err error
		if fields[i], err = a.field(); err != nil {
			return err
		}
	}
	switch fields[0] {
	case "f":
		f.Type = "file"
	case "d":
		f.Type = "folder"
	case "l":
		f.Type = "link"
	default:
		f.Type = "other"
	}
	var errs [4]error
	var seconds float64
	f.Size, errs[0] = strconv.ParseInt(fields[1], 10, 64)
	f.Mode = fmt.Sprintf("%04s", fields[2])
	f.Owner, errs[1] = strconv.ParseInt(fields[3], 10, 64)
	f.Group, errs[2] = strconv.ParseInt(fields[4], 10, 64)
	seconds, errs[3] = strconv.ParseFloat(fields[5], 64)
	f.Modified = metav1.NewTime(time.Unix(int64(seconds), 0))
	f.Target = fields[6]
	return errors.Join(errs[:]...)
}

// field reads up to the next zero byte.
func (a *answer) field() (string, error) {
	var field []byte
	for {
		part, err := a.Output.ReadSlice(0)
		field = append(field, part...)
		switch {
		case err == nil:
			return string(bytes.TrimSuffix(field, []byte{0})), nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return "", io.ErrUnexpectedEOF
		case len(field) > maxField:
			return "", errors.New("a name is too long")
		}
	}
}

// send sends a file, or a folder's archive.
func (a *answer) send(w http.ResponseWriter, at, volume string) {
	name := path.Base(at)
	if at == "/" {
		name = volume
	}
	if a.folder {
		attach(w, name+".tar", -1)
	} else {
		attach(w, name, a.size)
	}
	var n int64
	var err error
	if a.folder {
		n, err = io.Copy(w, a)
	} else {
		n, err = io.Copy(w, io.LimitReader(a, a.size)) // it may have grown
	}
	if err != nil || !a.folder && n < a.size || a.folder && n == 0 {
		panic(http.ErrAbortHandler) // the client must not take it for whole
	}
}

// attach writes the headers of a download. A negative size is unknown, that of an archive.
func attach(w http.ResponseWriter, name string, size int64) {
	kind := "application/x-tar"
	if size >= 0 {
		kind = "application/octet-stream"
		w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": name}))
}
