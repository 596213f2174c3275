package page

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"rancherdesktop.io/rdd/app/operation"
	"rancherdesktop.io/rdd/core"
)

// Method is a method that the page can call. The page's TypeScript types are generated from Methods (build/pageapi).
type Method struct {
	Name           string
	Params, Result reflect.Type

	changes bool // a read-only page may not call it
	call    func(a *API, ctx context.Context, params []byte) (any, error)
}

// asks returns a method that a read-only page may call: it changes nothing, or only what the page shows.
func asks[P, R any](name string, do func(*API, context.Context, P) (R, error)) Method {
	return Method{name, reflect.TypeFor[P](), reflect.TypeFor[R](), false, func(a *API, ctx context.Context, raw []byte) (any, error) {
		var params P
		if err := decode(raw, &params); err != nil {
			return nil, err
		}
		return do(a, ctx, params)
	}}
}

// asksVMs returns a method that asks the running service about its VMs.
func asksVMs[P, R any](name string, do func(context.Context, *core.VMs, P) (R, error)) Method {
	return asks(name, func(a *API, ctx context.Context, params P) (result R, err error) {
		session, err := a.current().core.Connect(ctx)
		if err != nil {
			return result, err
		}
		return do(ctx, session.VMs(), params)
	})
}

// changes returns a method that changes something, which a read-only page may not call.
func changes[P, R any](name string, do func(*API, context.Context, P) (R, error)) Method {
	m := asks(name, do)
	m.changes = true
	return m
}

// begins returns a method that begins work on the instance that is shown.
func begins[P any](name string, work func(*operation.Engine, P) operation.Work) Method {
	return changes(name, func(a *API, _ context.Context, params P) (Ref, error) {
		engine := a.current().engine
		return begun(engine.Begin(work(engine, params)))
	})
}

// begun is the result of a method that has begun work.
func begun(id string, err error) (Ref, error) { return Ref{id}, err }

// Methods lists all methods of the API.
func Methods() []Method {
	return []Method{
		asks("state", (*API).callState),
		asks("usage", (*API).usage),
		begins("service.start", startService),
		begins("service.stop", stopService),
		begins("service.restart", restartService),
		begins("service.reset", resetService),
		changes("service.delete", (*API).serviceDelete),
		asks("service.backups", (*API).serviceBackups),
		changes("service.restore", (*API).serviceRestore),
		begins("app.start", startApp),
		begins("app.stop", stopApp),
		begins("app.restart", restartApp),
		begins("app.reset", resetApp),
		begins("app.delete", deleteApp),
		asks("app.settings", (*API).appSettings),
		asks("app.check", (*API).appCheck),
		begins("app.set", setApp),
		changes("app.useContext", (*API).appUseContext),
		changes("container.start", acts(core.StartContainer)),
		changes("container.stop", acts(core.StopContainer)),
		changes("container.restart", acts(core.RestartContainer)),
		changes("container.pause", acts(core.PauseContainer)),
		changes("container.unpause", acts(core.UnpauseContainer)),
		changes("container.kill", acts(core.KillContainer)),
		changes("container.delete", (*API).containerDelete),
		begins("image.pull", pullImage),
		begins("image.push", pushImage),
		begins("image.build", buildImage),
		begins("image.load", loadImages),
		begins("image.save", saveImages),
		changes("image.tag", (*API).imageTag),
		changes("image.delete", (*API).imageDelete),
		changes("prune", (*API).prune),
		asks("container.usage", (*API).containerUsage),
		asks("container.inspect", inspects(core.Containers)),
		asks("container.logOpen", (*API).containerLogOpen),
		changes("container.shellOpen", (*API).containerShellOpen),
		asks("container.files", (*API).containerFiles),
		changes("container.download", (*API).containerDownload),
		asks("image.inspect", inspects(core.Images)),
		changes("volume.create", (*API).volumeCreate),
		changes("volume.delete", (*API).volumeDelete),
		asks("volume.inspect", inspects(core.Volumes)),
		asks("volume.files", (*API).volumeFiles),
		changes("volume.download", (*API).volumeDownload),
		changes("network.create", (*API).networkCreate),
		asks("network.inspect", inspects(core.Networks)),
		changes("network.delete", (*API).networkDelete),
		asks("templates", (*API).templates),
		asks("template.read", (*API).templateRead),
		asks("template.params", (*API).templateParams),
		asks("vm.check", (*API).vmCheck),
		changes("vm.create", (*API).vmCreate),
		begins("vm.start", startVM),
		begins("vm.stop", stopVM),
		begins("vm.restart", restartVM),
		begins("vm.delete", deleteVM),
		begins("vm.reset", resetVM),
		asksVMs("vm.template", vmTemplate),
		asks("vm.checkTemplate", (*API).vmCheckTemplate),
		begins("vm.setTemplate", setTemplate),
		asksVMs("vm.resources", vmResources),
		changes("vm.setResources", (*API).vmSetResources),
		asksVMs("vm.params", vmParams),
		asksVMs("vm.checkParams", checkParams),
		begins("vm.setParams", setParams),
		asks("operation.background", (*API).operationBackground),
		asks("operation.dismiss", (*API).operationDismiss),
		changes("operation.cancel", (*API).operationCancel),
		changes("operation.answer", (*API).operationAnswer),
		asks("log.open", (*API).logOpen),
		changes("log.save", (*API).logSave),
		changes("shell.open", (*API).shellOpen),
		changes("stream.write", (*API).streamWrite),
		asks("stream.resize", (*API).streamResize),
		asks("stream.close", (*API).streamClose),
		asks("diagnose", (*API).diagnose),
		changes("diagnose.repair", (*API).diagnoseRepair),
		asks("bundle.preview", (*API).bundlePreview),
		asks("bundle.file", (*API).bundleFile),
		changes("bundle.save", (*API).bundleSave),
		changes("settings.set", (*API).settingsSet),
		asks("instance.open", (*API).instanceOpen),
	}
}

// Call calls a method with the JSON of its parameters, and returns the JSON of its result.
func (a *API) Call(ctx context.Context, name string, params []byte) ([]byte, *Problem) {
	i := slices.IndexFunc(a.methods, func(m Method) bool { return m.Name == name })
	if i < 0 {
		return nil, problemOf(&core.Error{Kind: core.NotFound, Err: fmt.Errorf("unknown method %q: the page may be of another version of RDD; reload it", name)})
	}
	if a.options.ReadOnly && a.methods[i].changes {
		return nil, problemOf(&core.Error{Kind: core.Rejected, Err: errors.New("this page is read-only: it was opened with --read-only")})
	}
	result, err := a.methods[i].call(a, ctx, params)
	if err != nil {
		return nil, problemOf(err)
	}
	b, err := json.Marshal(result)
	if err != nil {
		return nil, problemOf(err)
	}
	return b, nil
}

// fieldError reports a bad field of a request.
type fieldError struct {
	field string
	err   error
}

func (e *fieldError) Error() string { return e.err.Error() }
func (e *fieldError) Unwrap() error { return e.err }

// problemOf describes an error for the user.
func problemOf(err error) *Problem {
	p := operation.ProblemOf(err)
	if bad, ok := errors.AsType[*fieldError](err); ok {
		p.Field = bad.field
	}
	return p
}

func badField(field, format string, a ...any) error {
	return &core.Error{Kind: core.Usage, Err: &fieldError{field, fmt.Errorf(format, a...)}}
}

// inField makes a refusal of the engine a bad field of the request: the one for the kind of the error, if any.
func inField(err error, fields map[core.Kind]string) error {
	kind := core.KindOf(err)
	if field := fields[kind]; err != nil && field != "" {
		return &core.Error{Kind: kind, Err: &fieldError{field, errors.New(innermost(err))}}
	}
	return err
}

// Partial holds some of the fields of a T.
type Partial[T any] struct{ given json.RawMessage }

// UnmarshalJSON keeps the given fields.
func (p *Partial[T]) UnmarshalJSON(b []byte) error {
	p.given = bytes.Clone(b)
	return nil
}

// Over returns whole with the fields of p replaced.
func (p Partial[T]) Over(whole T) (T, error) {
	err := json.Unmarshal(p.given, &whole)
	return whole, err
}

// Whole returns T.
func (p Partial[T]) Whole() reflect.Type { return reflect.TypeFor[T]() }

// decode reads parameters strictly: it fails if a required field is missing or a field is unknown. JSON's own
// decoder can't tell a missing field from an empty one.
func decode(raw []byte, to any) error {
	if len(bytes.TrimSpace(raw)) == 0 {
		raw = []byte("{}")
	}
	if err := check("", raw, reflect.TypeOf(to).Elem()); err != nil {
		return err
	}
	return json.Unmarshal(raw, to)
}

// check compares a JSON value with a type: the names in an object with those of a struct, and each value with its type.
func check(path string, raw []byte, t reflect.Type) error {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if nullable, ok := reflect.Zero(t).Interface().(interface{ Nullable() reflect.Type }); ok {
		if string(raw) == "null" {
			return nil
		}
		t = nullable.Nullable()
	}
	partial, isPartial := reflect.Zero(t).Interface().(interface{ Whole() reflect.Type })
	if isPartial {
		t = partial.Whole()
	}
	var given map[string]json.RawMessage
	if t.Kind() != reflect.Struct || json.Unmarshal(raw, &given) != nil {
		err := json.Unmarshal(raw, reflect.New(t).Interface())
		if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			err = fmt.Errorf("want %s, got %s", wrong.Type, wrong.Value)
		}
		if err != nil {
			return badField(path, "%s: %w", cmp.Or(path, "the parameters"), err)
		}
		return nil
	}
	for _, f := range reflect.VisibleFields(t) {
		key, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous || key == "-" || key == "" {
			continue
		}
		name := strings.TrimPrefix(path+"."+key, ".")
		optional := strings.HasPrefix(options, "omit")
		value, ok := given[key]
		delete(given, key)
		switch {
		case !ok && !optional && !isPartial:
			return badField(name, "%s: is required", name)
		case string(value) == "null" && !optional:
			return badField(name, "%s: must not be null", name)
		case ok:
			if err := check(name, value, f.Type); err != nil {
				return err
			}
		}
	}
	for key := range given {
		name := strings.TrimPrefix(path+"."+key, ".")
		return badField(name, "%s: unknown parameter", name)
	}
	return nil
}
