package page

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"rancherdesktop.io/rdd/app/operation"
	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/core/diagnose"
)

func (a *API) diagnose(ctx context.Context, _ nothing) (Report, error) {
	found, err := diagnose.Run(ctx, a.current().core)
	r := Report{Instance: found.Instance, Version: found.Version, OS: found.OS, Arch: found.Arch, Findings: []Finding{}}
	for _, f := range found.Findings {
		r.Findings = append(r.Findings, Finding{f, diagnose.RepairOf(f)})
	}
	return r, err
}

func (a *API) diagnoseRepair(_ context.Context, params IDParams) (Ref, error) {
	if diagnose.RepairOf(diagnose.Finding{ID: params.ID}) == "" {
		return Ref{}, badField("id", "id: there is no repair for %q", params.ID)
	}
	view := a.current()
	w := view.engine.OnService(operation.Repair, nil)
	w.Run = func(ctx context.Context, w core.Wait) error { return diagnose.Repair(ctx, view.core, params.ID, w) }
	id, err := view.engine.Begin(w)
	return Ref{id}, err
}

// bundlePreview creates a bundle and keeps it until the next one, so that the page can show and save it.
func (a *API) bundlePreview(ctx context.Context, _ nothing) (BundlePreview, error) {
	c := a.current().core
	report, err := diagnose.Run(ctx, c)
	if err != nil {
		return BundlePreview{}, err
	}
	b, err := diagnose.NewBundle(ctx, c, report)
	if err != nil {
		return BundlePreview{}, err
	}
	id := a.newID()
	a.mu.Lock()
	a.bundle = map[string]*diagnose.Bundle{id: b}
	a.mu.Unlock()
	return BundlePreview{id, b.Files, b.Redactions()}, nil
}

func (a *API) bundleNamed(id string) (*diagnose.Bundle, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	b, ok := a.bundle[id]
	if !ok {
		return nil, &core.Error{Kind: core.NotFound, Err: fmt.Errorf("bundle %q no longer exists: create another one", id)}
	}
	return b, nil
}

func (a *API) bundleFile(_ context.Context, params BundleFileParams) (Text, error) {
	b, err := a.bundleNamed(params.Bundle)
	if err != nil {
		return Text{}, err
	}
	text, ok := b.Text(params.Name)
	if !ok {
		return Text{}, badField("name", "name: the bundle has no file %q", params.Name)
	}
	return Text{text}, nil
}

// bundleSave writes a bundle to a new file: the given one, or one in the home directory of the user.
func (a *API) bundleSave(_ context.Context, params BundleSaveParams) (Path, error) {
	b, err := a.bundleNamed(params.Bundle)
	if err != nil {
		return Path{}, err
	}
	path := params.Path
	if path == "" {
		path = filepath.Join(a.current().core.Instance().Home(), fmt.Sprintf("rdd-%s-%s.tar.gz", b.Instance, time.Now().Format("20060102-150405")))
	}
	if !filepath.IsAbs(path) {
		return Path{}, badField("path", "path: want an absolute path; got %q", path)
	}
	if err := diagnose.CheckBundle(path); err != nil {
		return Path{}, badField("path", "%v", err)
	}
	return Path{path}, b.Write(path)
}
