package page

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"rancherdesktop.io/rdd/app/dialog"
	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/core/diagnose"
)

// sample is a measurement that the next one is compared with.
type sample struct {
	cpu time.Duration
	at  time.Time
}

func (a *API) usage(ctx context.Context, _ nothing) ([]Usage, error) {
	p := a.here()
	a.mu.Lock()
	names := make([]string, 0, len(p.vms))
	for _, vm := range p.vms {
		names = append(names, vm.Name)
	}
	a.mu.Unlock()
	stats := p.core.Stats(ctx, names)
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	all := make([]Usage, 0, len(stats))
	used := map[string]sample{}
	for _, s := range stats {
		u := Usage{Name: s.Name, Memory: s.Memory, Disk: s.Disk, Max: s.Max}
		if before, ok := p.used[s.Name]; ok && s.CPU > before.cpu && now.After(before.at) { // less: another process
			u.CPU = float64(s.CPU-before.cpu) / float64(now.Sub(before.at))
		}
		used[s.Name] = sample{s.CPU, now}
		all = append(all, u)
	}
	p.used = used
	return all, nil
}

func (a *API) diagnose(ctx context.Context, _ nothing) (Report, error) {
	found, err := diagnose.Run(ctx, a.here().core)
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
	return a.shownWork(func(p *place) work {
		w := p.onService(dialog.Repair, nil)
		w.run = func(ctx context.Context, w core.Wait) error { return diagnose.Repair(ctx, p.core, params.ID, w) }
		return w
	})
}

// bundlePreview collects a bundle and keeps it, until the next one, to be looked at and saved.
func (a *API) bundlePreview(ctx context.Context, _ nothing) (BundlePreview, error) {
	c := a.here().core
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

// bundleSave writes a bundle to a new file: the one named, or one in the user's home directory.
func (a *API) bundleSave(_ context.Context, params BundleSaveParams) (Path, error) {
	b, err := a.bundleNamed(params.Bundle)
	if err != nil {
		return Path{}, err
	}
	path := params.Path
	if path == "" {
		path = filepath.Join(a.here().core.Instance().Home(), fmt.Sprintf("rdd-%s-%s.tar.gz", b.Instance, time.Now().Format("20060102-150405")))
	}
	if !filepath.IsAbs(path) {
		return Path{}, badField("path", "path: want an absolute path; got %q", path)
	}
	if err := diagnose.CheckBundle(path); err != nil {
		return Path{}, badField("path", "%v", err)
	}
	return Path{path}, b.Write(path)
}

// settingsSet changes some settings.
func (a *API) settingsSet(_ context.Context, change SettingsChange) (Settings, error) {
	p := a.here()
	want, _ := p.core.Settings() // usable with an error, too, which the page shows until settings are stored
	set(&want.Theme, change.Theme)
	set(&want.ServiceTimeout, change.ServiceTimeout)
	set(&want.VMTimeout, change.VMTimeout)
	set(&want.LogLevel, change.LogLevel)
	set(&want.OnQuit, change.OnQuit)
	set(&want.FirstRunDone, change.FirstRunDone)
	if field, err := want.Check(); err != nil {
		return Settings{}, badField(field, "%v", err)
	}
	for part, start := range map[core.LoginPart]*bool{core.LoginService: change.StartAtLogin, core.LoginTray: change.TrayAtLogin} {
		if err := startAtLogin(p.core.Login(), part, start); err != nil {
			return Settings{}, err
		}
	}
	if err := p.core.SetSettings(want); err != nil {
		return Settings{}, err
	}
	a.loadSettings(p)
	a.mu.Lock()
	defer a.mu.Unlock()
	return p.settings, nil
}

// startAtLogin makes a part start at login, or no longer; nil leaves it as it is.
func startAtLogin(login *core.Login, part core.LoginPart, start *bool) (err error) {
	switch {
	case start == nil:
	case *start:
		_, err = login.Install(part)
	default:
		_, err = login.Uninstall(part)
	}
	return err
}

func set[T any](field, value *T) {
	if value != nil {
		*field = *value
	}
}

// instanceOpen shows another instance, and makes nothing. Operations on the one before go on.
func (a *API) instanceOpen(ctx context.Context, params NameParams) (State, error) {
	if params.Name == "" {
		return State{}, badField("name", "name: is empty")
	}
	c, err := a.options.Open(params.Name)
	if err != nil {
		return State{}, badField("name", "name: %v", err)
	}
	a.mu.Lock()
	p := a.places[params.Name]
	if p == nil {
		p = newPlace(c)
		a.places[params.Name] = p
	}
	if p == a.shown {
		a.mu.Unlock()
		return a.State(), nil
	}
	close(a.shown.leave)
	a.shown, p.leave, p.seen = p, make(chan struct{}), make(chan struct{})
	left, seen := p.leave, p.seen
	a.mu.Unlock()
	if err := a.begin(func(ctx context.Context) { a.watch(ctx, p, left) }); err != nil {
		return State{}, err
	}
	select {
	case <-seen:
	case <-left: // for yet another one
	case <-ctx.Done():
		return State{}, context.Cause(ctx)
	}
	return a.State(), nil
}
