package core

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	containers "rancherdesktop.io/rdd/internal/api/containers/v1alpha1"
)

// Files is what is in a folder of a volume or a container.
type Files = containers.VolumeFiles

// Files lists a folder of a container or a volume.
func (e *EngineObjects) Files(ctx context.Context, kind EngineKind, name, path string) (f Files, err error) {
	err = e.read(ctx, string(kind), name, &f, "files", path)
	return f, Failed("list "+path+" of", name, err)
}

// Download copies a file of a container or a volume to a new file of this computer, or a folder as a tar archive. to is
// its absolute path; or empty: then the file gets its own name, or one with a number if that exists, in the folder for
// downloads. Download returns the path.
func (e *EngineObjects) Download(ctx context.Context, kind EngineKind, name, path, to string) (saved string, err error) {
	op := "download " + path + " of"
	if to != "" && !filepath.IsAbs(to) {
		return "", Failed(op, name, &Error{Kind: Usage, Err: fmt.Errorf("want the absolute path of a new file; got %q", to)})
	}
	answer, suggested, err := e.download(ctx, kind, name, path)
	if err != nil {
		return "", Failed(op, name, err)
	}
	defer answer.Close()
	file, err := e.session.core.newFile(to, suggested)
	if err != nil {
		return "", Failed(op, name, err)
	}
	_, err = io.Copy(file, answer)
	if err = errors.Join(err, file.Close()); err != nil {
		return "", Failed(op, name, errors.Join(err, os.Remove(file.Name())))
	}
	return file.Name(), nil
}

// download returns the content and the name that it has there. The control plane's client hides the headers of an answer.
func (e *EngineObjects) download(ctx context.Context, kind EngineKind, name, path string) (content io.ReadCloser, suggested string, err error) {
	client, err := e.client()
	if err != nil {
		return nil, "", err
	}
	r := client.Get().Resource(string(kind)).Name(name).SubResource("files").Suffix(path).Param("download", "true")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.URL().String(), nil)
	if err != nil {
		return nil, "", err
	}
	resp, err := client.Client.Do(req)
	if err != nil {
		return nil, "", err
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		return nil, "", statusError(resp)
	}
	_, params, _ := mime.ParseMediaType(resp.Header.Get("Content-Disposition")) // of the service, or empty
	return resp.Body, filepath.Base(filepath.FromSlash(params["filename"])), nil
}

// maxStatus bounds the answer of the control plane to a request that failed.
const maxStatus = 64 << 10

// statusError returns the error of an answer.
func statusError(resp *http.Response) error {
	var status metav1.Status
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxStatus)).Decode(&status); err != nil || status.Message == "" {
		return fmt.Errorf("the service answered %s", resp.Status)
	}
	return &apierrors.StatusError{ErrStatus: status}
}

// maxNumbered is how many files of one name may be there.
const maxNumbered = 1000

// SaveText saves a text in a new file in the folder for downloads, as Download does, and returns its path. In the name, what
// separates folders is replaced.
func (c *Core) SaveText(name, text string) (saved string, err error) {
	const op = "save"
	file, err := c.newFile("", strings.NewReplacer("/", "-", `\`, "-", ":", "-").Replace(name))
	if err != nil {
		return "", Failed(op, name, err)
	}
	_, err = file.WriteString(text)
	if err = errors.Join(err, file.Close()); err != nil {
		return "", Failed(op, name, errors.Join(err, os.Remove(file.Name())))
	}
	return file.Name(), nil
}

// newFile creates a file.
func (c *Core) newFile(path, suggested string) (*os.File, error) {
	if path != "" {
		file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if errors.Is(err, fs.ErrExist) {
			return nil, &Error{Kind: Usage, Err: fmt.Errorf("%s exists; choose another name", path)}
		}
		return file, err
	}
	dir := filepath.Join(c.inst.Home(), "Downloads")
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		dir = c.inst.Home()
	}
	ext := filepath.Ext(suggested)
	for n := range maxNumbered {
		name := suggested
		if n > 0 {
			name = fmt.Sprintf("%s (%d)%s", strings.TrimSuffix(suggested, ext), n, ext)
		}
		file, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if !errors.Is(err, fs.ErrExist) {
			return file, err
		}
	}
	return nil, fmt.Errorf("%s has too many files named %s", dir, suggested)
}
