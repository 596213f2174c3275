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

	"rancherdesktop.io/rdd/core"
)

// Method is one that the page can call. The page's TypeScript types are generated from it (build/pageapi).
type Method struct {
	Name           string
	Params, Result reflect.Type

	changes bool // a read-only page may not call it
	call    func(a *API, ctx context.Context, params []byte) (any, error)
}

// asks returns a method that changes nothing but the page itself.
func asks[P, R any](name string, do func(*API, context.Context, P) (R, error)) Method {
	return Method{name, reflect.TypeFor[P](), reflect.TypeFor[R](), false, func(a *API, ctx context.Context, raw []byte) (any, error) {
		var params P
		if err := decode(raw, &params); err != nil {
			return nil, err
		}
		return do(a, ctx, params)
	}}
}

// changes returns a method that changes something, which a read-only page may not call.
func changes[P, R any](name string, do func(*API, context.Context, P) (R, error)) Method {
	m := asks(name, do)
	m.changes = true
	return m
}

// Methods lists the whole API.
func Methods() []Method {
	return []Method{
		asks("state", (*API).callState),
		asks("usage", (*API).usage),
		changes("service.start", (*API).serviceStart),
		changes("service.stop", (*API).serviceStop),
		changes("service.restart", (*API).serviceRestart),
		changes("service.reset", (*API).serviceReset),
		changes("service.delete", (*API).serviceDelete),
		asks("service.backups", (*API).serviceBackups),
		changes("service.restore", (*API).serviceRestore),
		asks("templates", (*API).templates),
		asks("template.read", (*API).templateRead),
		asks("template.params", (*API).templateParams),
		asks("vm.check", (*API).vmCheck),
		changes("vm.create", (*API).vmCreate),
		changes("vm.start", (*API).vmStart),
		changes("vm.stop", (*API).vmStop),
		changes("vm.restart", (*API).vmRestart),
		changes("vm.delete", (*API).vmDelete),
		changes("vm.reset", (*API).vmReset),
		asks("vm.template", (*API).vmTemplate),
		asks("vm.checkTemplate", (*API).vmCheckTemplate),
		changes("vm.setTemplate", (*API).vmSetTemplate),
		asks("vm.resources", (*API).vmResources),
		changes("vm.setResources", (*API).vmSetResources),
		asks("vm.params", (*API).vmParams),
		asks("vm.checkParams", (*API).vmCheckParams),
		changes("vm.setParams", (*API).vmSetParams),
		asks("operation.background", (*API).operationBackground),
		asks("operation.dismiss", (*API).operationDismiss),
		changes("operation.cancel", (*API).operationCancel),
		changes("operation.answer", (*API).operationAnswer),
		asks("log.open", (*API).logOpen),
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

func badField(field, format string, a ...any) error {
	return &core.Error{Kind: core.Usage, Err: &fieldError{field, fmt.Errorf(format, a...)}}
}

// Partial is some of the fields of a T: those that are given.
type Partial[T any] struct{ given json.RawMessage }

// UnmarshalJSON keeps the given fields.
func (p *Partial[T]) UnmarshalJSON(b []byte) error {
	p.given = bytes.Clone(b)
	return nil
}

// Over returns whole with the given fields instead of its own.
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
	partial, isPartial := reflect.Zero(t).Interface().(interface{ Whole() reflect.Type })
	if isPartial {
		t = partial.Whole()
	}
	var given map[string]json.RawMessage
	if t.Kind() != reflect.Struct || json.Unmarshal(raw, &given) != nil {
		return checkValue(path, raw, t)
	}
	known := map[string]bool{}
	for _, f := range fieldsOf(t) {
		name := strings.TrimPrefix(path+"."+f.name, ".")
		known[f.name] = true
		value, ok := given[f.name]
		switch {
		case !ok && !f.optional && !isPartial:
			return badField(name, "%s: is required", name)
		case ok && string(value) == "null" && !f.optional:
			return badField(name, "%s: must not be null", name)
		case ok:
			if err := check(name, value, f.kind); err != nil {
				return err
			}
		}
	}
	for name := range given {
		if !known[name] {
			name = strings.TrimPrefix(path+"."+name, ".")
			return badField(name, "%s: unknown parameter", name)
		}
	}
	return nil
}

// checkValue fails if a value is not of type t.
func checkValue(path string, raw []byte, t reflect.Type) error {
	err := json.Unmarshal(raw, reflect.New(t).Interface())
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		err = fmt.Errorf("want %s, got %s", wrong.Type, wrong.Value)
	}
	if err != nil {
		return badField(path, "%s: %w", cmp.Or(path, "the parameters"), err)
	}
	return nil
}

// jsonField is a field of a struct in JSON.
type jsonField struct {
	name     string
	optional bool
	kind     reflect.Type
}

// fieldsOf lists the fields of a struct in JSON, including those of embedded structs.
func fieldsOf(t reflect.Type) []jsonField {
	var all []jsonField
	for _, f := range reflect.VisibleFields(t) {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous || !f.IsExported() || name == "-" || name == "" {
			continue
		}
		all = append(all, jsonField{name, strings.Contains(options, "omitempty") || strings.Contains(options, "omitzero"), f.Type})
	}
	return all
}
