package page

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"rancherdesktop.io/rdd/core"
)

// ContainerUsage is what a container uses.
type ContainerUsage struct {
	ID          string  `json:"id"`
	CPU         float64 `json:"cpu"`         // processors in use
	Memory      int64   `json:"memory"`      // bytes
	MemoryLimit int64   `json:"memoryLimit"` // bytes
	NetRx       int64   `json:"netRx"`       // bytes since the container's start, as the following
	NetTx       int64   `json:"netTx"`
	BlockRead   int64   `json:"blockRead"`
	BlockWrite  int64   `json:"blockWrite"`
	PIDs        int64   `json:"pids"`
}

// Files is what is in a folder of a volume or a container.
type Files struct {
	Path      string `json:"path"`
	Files     []File `json:"files"`               // by name
	Truncated bool   `json:"truncated,omitempty"` // there are more
}

// File is a file, a folder or a link.
type File struct {
	Name     string    `json:"name"`
	Type     string    `json:"type"` // file, folder, link or other
	Size     int64     `json:"size"`
	Mode     string    `json:"mode"` // octal, such as 0644
	Owner    int64     `json:"owner"`
	Group    int64     `json:"group"`
	Modified time.Time `json:"modified"`
	Target   string    `json:"target,omitempty"` // of a link
}

// engine returns the engine's objects of the running service.
func (a *API) engine(ctx context.Context) (*core.EngineObjects, error) {
	session, err := a.current().core.ConnectApp(ctx)
	if err != nil {
		return nil, err
	}
	return session.Engine(), nil
}

// containerUsage leaves out containers that don't run.
func (a *API) containerUsage(ctx context.Context, params IDsParams) ([]ContainerUsage, error) {
	engine, err := a.engine(ctx)
	if err != nil {
		return nil, err
	}
	used := make([]*ContainerUsage, len(params.IDs))
	var all errgroup.Group
	all.SetLimit(parallelActions)
	for i, id := range params.IDs {
		all.Go(func() error {
			if s, err := engine.Stats(ctx, id); err == nil {
				used[i] = &ContainerUsage{
					id, s.CPUPercent / 100, s.Memory, s.MemoryLimit, s.NetworkReceived, s.NetworkSent, s.DiskRead, s.DiskWritten, s.Processes,
				}
			}
			return nil
		})
	}
	_ = all.Wait() // has no errors
	found := []ContainerUsage{}
	for _, u := range used {
		if u != nil {
			found = append(found, *u)
		}
	}
	return found, ctx.Err()
}

// inspects returns a method that returns all that the engine says about an object.
func inspects(kind core.EngineKind) func(*API, context.Context, IDParams) (Text, error) {
	return func(a *API, ctx context.Context, params IDParams) (Text, error) {
		engine, err := a.engine(ctx)
		if err != nil {
			return Text{}, err
		}
		raw, err := engine.Inspect(ctx, kind, params.ID)
		if err != nil {
			return Text{}, err
		}
		var text bytes.Buffer
		err = json.Indent(&text, raw, "", "  ")
		return Text{text.String()}, err
	}
}

func (a *API) containerLogOpen(ctx context.Context, p ContainerLogParams) (StreamRef, error) {
	engine, err := a.engine(ctx)
	if err != nil {
		return StreamRef{}, err
	}
	return a.openLog(func(ctx context.Context, w io.Writer) error {
		return engine.Log(ctx, w, p.ID, core.LogOptions{Tail: p.Tail, Timestamps: p.Timestamps, Follow: p.Follow})
	})
}

// logSave saves a log for the window, which can't save a file as a browser does.
func (a *API) logSave(_ context.Context, p SaveLogParams) (Path, error) {
	if p.Name == "" {
		return Path{}, badField("name", "name: is empty")
	}
	saved, err := a.current().core.SaveText(p.Name, p.Text)
	return Path{saved}, err
}

func (a *API) containerShellOpen(ctx context.Context, p ContainerShellParams) (StreamRef, error) {
	if err := p.checkSize(); err != nil {
		return StreamRef{}, err
	}
	engine, err := a.engine(ctx)
	if err != nil {
		return StreamRef{}, err
	}
	shell, err := engine.Shell(ctx, p.ID, core.ContainerShellOptions{Command: p.Command, User: p.User, Cols: p.Cols, Rows: p.Rows})
	if err != nil {
		return StreamRef{}, err
	}
	return a.openShell(shell, func(err error) error { return err })
}

// openShell opens a stream of a terminal. ended returns the problem that an error of its Read is; io.EOF for none.
func (a *API) openShell(shell terminal, ended func(error) error) (StreamRef, error) {
	ref, err := a.open(shell, func(ctx context.Context, deliver func([]byte) error) error {
		hangUp := sync.OnceFunc(func() { _ = shell.Close() })
		defer hangUp()
		defer context.AfterFunc(ctx, hangUp)()
		b := make([]byte, 32<<10)
		for {
			n, err := shell.Read(b)
			if n > 0 {
				if err := deliver(b[:n]); err != nil {
					return err
				}
			}
			if err != nil {
				return ended(err)
			}
		}
	})
	if err != nil {
		err = errors.Join(err, shell.Close())
	}
	return ref, err
}

func (a *API) files(ctx context.Context, kind core.EngineKind, name, path string) (Files, error) {
	engine, err := a.engine(ctx)
	if err != nil {
		return Files{}, err
	}
	found, err := engine.Files(ctx, kind, name, path)
	all := Files{Path: found.Path, Files: make([]File, 0, len(found.Files)), Truncated: found.Truncated}
	for i := range found.Files {
		f := &found.Files[i]
		all.Files = append(all.Files, File{f.Name, f.Type, f.Size, f.Mode, f.Owner, f.Group, f.Modified.Time, f.Target})
	}
	return all, err
}

func (a *API) download(ctx context.Context, kind core.EngineKind, name, path, to string) (Path, error) {
	engine, err := a.engine(ctx)
	if err != nil {
		return Path{}, err
	}
	saved, err := engine.Download(ctx, kind, name, path, to)
	return Path{saved}, err
}

func (a *API) containerFiles(ctx context.Context, p ContainerPathParams) (Files, error) {
	return a.files(ctx, core.Containers, p.ID, p.Path)
}

func (a *API) containerDownload(ctx context.Context, p ContainerDownloadParams) (Path, error) {
	return a.download(ctx, core.Containers, p.ID, p.Path, p.To)
}
