// Package dockerconfig makes docker use an instance's container engine: it keeps a context in docker's folder and, if that takes
// nothing away from another engine, makes it the current one. Of config.json it changes the bytes of currentContext only. The
// App's controller calls it, and the core asks it what docker will do.
package dockerconfig

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	app "rancherdesktop.io/rdd/internal/api/app/v1alpha1"
	"rancherdesktop.io/rdd/internal/atomicfile"
	"rancherdesktop.io/rdd/internal/instance"
)

// Files are docker's files of a user, as far as they are about one context.
type Files struct {
	Dir         string // docker's folder
	StateFile   string // says what was current before the context
	Context     string // its name
	Description string // its text in `docker context ls`
	Host        string // its address

	builtin string // the address of docker's own context; empty: dockerHost
}

// Of returns the files for the context of an instance.
func Of(inst instance.Instance) Files {
	description := "RDD"
	if inst.Name != instance.Default {
		description += " (" + inst.Name + ")"
	}
	return Files{
		Dir: inst.DockerConfigDir(), StateFile: inst.DockerStateFile(),
		Context: inst.Context(), Description: description, Host: inst.DockerHost(),
	}
}

func (f Files) builtinHost() string { return cmp.Or(f.builtin, dockerHost) }

// state is what has to be known to undo everything.
type state struct {
	Dir  string `json:"dir"`  // docker's folder in which the context is
	Host string `json:"host"` // its address

	// Previous is the value in config.json before the context became the current one, as it was written; empty: there was none.
	Previous string `json:"previous,omitempty"`
	// Created says that there was no config.json.
	Created bool `json:"created,omitempty"`
}

// load reads the state. A missing or damaged one is empty: then docker's default context is what was current before.
func (f Files) load() (s state, err error) {
	err = atomicfile.ReadJSON(f.StateFile, &s)
	if _, damaged := errors.AsType[*atomicfile.DamagedError](err); damaged || errors.Is(err, fs.ErrNotExist) {
		return state{}, nil
	}
	return s, err
}

// Ensure makes the context, and makes it the current one if mode says so. It reports whether it is the current one now. problem
// says, for people, why it isn't although it should be; then the user's files are as they were.
func (f Files) Ensure(ctx context.Context, mode app.DockerContextMode) (current bool, problem string, err error) {
	last, err := f.load()
	if err != nil {
		return false, "", err
	}
	if last.Dir != "" && last.Dir != f.Dir {
		// docker's folder was another one at the last start. What is there stays if it can't be removed.
		if err := f.in(last.Dir).leave(last); err != nil {
			problem = fmt.Sprintf("the docker context %s in %s was not removed: %v", f.Context, last.Dir, err)
		}
		last = state{}
	}
	if other := f.foreign(last); other != "" {
		return false, fmt.Sprintf("there is already a docker context %[1]s, for %[2]s, which RDD has not made. Remove it with: docker context rm %[1]s; then run: rdd restart", f.Context, other), nil
	}
	last.Dir, last.Host = f.Dir, f.Host
	if err := atomicfile.WriteJSON(f.StateFile, last); err != nil {
		return false, "", err
	}
	if host, err := readContext(f.Dir, f.Context); err != nil || host != f.Host {
		if err := writeContext(f.Dir, f.Context, f.Description, f.Host); err != nil {
			return false, "", fmt.Errorf("make the docker context %s: %w", f.Context, err)
		}
	}
	current, why, err := f.choose(ctx, mode, last)
	return current, strings.Join(nonEmpty(problem, why), " "), err
}

func nonEmpty(all ...string) (some []string) {
	for _, s := range all {
		if s != "" {
			some = append(some, s)
		}
	}
	return some
}

// choose makes the context the current one if mode says so.
func (f Files) choose(ctx context.Context, mode app.DockerContextMode, last state) (current bool, problem string, err error) {
	var failed error // to write the state
	text, _, err := change(f.Dir, func(d *document) (string, bool, error) {
		name := d.current()
		if name == f.Context || mode == app.DockerContextNever {
			return "", false, nil
		}
		if mode != app.DockerContextAlways {
			dead, why := f.dead(ctx, name)
			if problem = why; !dead {
				return "", false, nil
			}
		}
		last.Previous, last.Created = d.raw(), d.missing
		if failed = atomicfile.WriteJSON(f.StateFile, last); failed != nil {
			return "", false, failed
		}
		raw, err := json.Marshal(f.Context)
		return string(raw), true, err
	})
	switch {
	case failed != nil:
		return false, "", failed
	case err != nil && mode == app.DockerContextNever:
		return false, "", nil
	case err != nil:
		return false, f.leftAlone(err), nil
	case f.is(text) && dockerReads(text) != f.Context:
		return false, fmt.Sprintf("docker ignores %s, because it begins with a byte order mark. Save it as UTF-8 without that", f.config()), nil
	}
	return f.is(text), problem, nil
}

// is reports whether the context is the current one in a text.
func (f Files) is(text []byte) bool {
	d, err := parse(text)
	return err == nil && d.current() == f.Context
}

func (f Files) config() string { return filepath.Join(f.Dir, configFile) }

// leftAlone says that config.json was not changed, and what to do.
func (f Files) leftAlone(err error) string {
	return fmt.Sprintf("%s was left alone: %v. Use RDD's engine with: docker --context %s", f.config(), err, f.Context)
}

// foreign returns the address of a context with this name that isn't RDD's, empty if there is none. A damaged one is nobody's.
func (f Files) foreign(last state) string {
	host, err := readContext(f.Dir, f.Context)
	if err != nil || host == f.Host || host == last.Host && last.Dir == f.Dir {
		return ""
	}
	return cmp.Or(host, f.builtinHost())
}

// in returns the files in another folder of docker's.
func (f Files) in(dir string) Files {
	f.Dir = dir
	return f
}

// Exists reports whether there is the context.
func (f Files) Exists() bool {
	host, err := readContext(f.Dir, f.Context)
	return err == nil && host == f.Host
}

// Remove removes the context. If it is the current one, what was current before comes back first: docker doesn't work with a
// current context that is missing.
func (f Files) Remove(context.Context) error {
	last, err := f.load()
	if err != nil {
		return err
	}
	err = f.leave(last)
	if last.Dir != "" && last.Dir != f.Dir {
		err = errors.Join(err, f.in(last.Dir).leave(last))
	}
	if err != nil {
		return err
	}
	if err := os.Remove(f.StateFile); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// leave removes the context from docker's folder.
func (f Files) leave(last state) error {
	if f.foreign(last) != "" {
		return nil
	}
	if err := f.giveBack(last); err != nil {
		return fmt.Errorf("docker's current context is %[1]s, and %[2]s can't be changed: %[3]w. Choose another with: docker context use default", f.Context, f.config(), err)
	}
	return removeContext(f.Dir, f.Context)
}

// giveBack makes current what was so before, if the context is the current one. It returns nil if it isn't, also when config.json
// is such that docker doesn't read it.
func (f Files) giveBack(last state) error {
	text, changed, err := change(f.Dir, func(d *document) (string, bool, error) {
		return f.previous(last), d.current() == f.Context, nil
	})
	if err != nil {
		c, unread := readConfig(f.Dir)
		if errors.Is(unread, errUnreadable) || unread == nil && dockerReads(c.text) != f.Context {
			return nil
		}
		return err
	}
	if !changed {
		return nil
	}
	if info, err := os.Lstat(f.config()); err == nil && info.Mode().IsRegular() && last.Created && last.Dir == f.Dir && bare(text) {
		return errors.Join(os.Remove(f.config()), dropBackUp(f.Dir, bare))
	}
	return dropBackUp(f.Dir, func(backup []byte) bool { return bytes.Equal(backup, text) })
}

// previous is what was current before, as it is to be written, if docker can still use that. Empty: nothing.
func (f Files) previous(last state) string {
	d, err := parse([]byte(`{"` + key + `":` + cmp.Or(last.Previous, "null") + `}`))
	if err != nil || last.Dir != f.Dir || d.current() == f.Context || !exists(f.Dir, d.current()) {
		return ""
	}
	return last.Previous
}

// Current is the name of the context that docker uses if nothing overrides it, empty for docker's default, and whether docker has
// it: without it, docker does nothing.
func (f Files) Current() (name string, there bool, err error) {
	c, err := readConfig(f.Dir)
	if err != nil {
		return "", false, fmt.Errorf("%s: %w", f.config(), err)
	}
	name = dockerReads(c.text)
	return name, exists(f.Dir, name), nil
}
