// Package diag has the table of known problems: by which messages a problem is recognized, what it means and how to fix
// it. The machine workers, core and the clients use the same table. The package also redacts secrets in text that a user
// is about to share. It has no side effects.
package diag

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// ID names a problem. It is stable: scripts, documentation and reports rely on it.
type ID string

// Source says where a text comes from. The same message can mean one thing on the host and another in the guest.
type Source int

// The sources.
const (
	Host  Source = iota // an error, or the log of a program that runs on the host
	Guest               // the guest's console
)

// KnownProblem is an entry of the table.
type KnownProblem struct {
	ID      ID
	Meaning string // what is wrong, in a sentence or two

	remedy                 string // how to fix it
	linux, darwin, windows string // how to fix it on this system; empty: remedy

	host, guest []string // case-insensitive regular expressions, by Source; empty: only a check finds the problem
}

// Remedy says how to fix the problem on a system, given as a GOOS.
func (p KnownProblem) Remedy(goos string) string {
	return cmp.Or(map[string]string{"linux": p.linux, "darwin": p.darwin, "windows": p.windows}[goos], p.remedy)
}

// Advice is the text that is added to a message, once: the problem's ID, its meaning and its remedy.
func (p KnownProblem) Advice(goos string) string {
	return fmt.Sprintf("%s%s: %s\nwhat to do: %s", problemPrefix, p.ID, p.Meaning, p.Remedy(goos))
}

const problemPrefix = "known problem "

// Split separates a message from the advice at its end. ok is false when it has none.
func Split(text string) (cause string, p KnownProblem, ok bool) {
	for at := 0; ; at += len(problemPrefix) {
		next := strings.Index(text[at:], problemPrefix)
		if next < 0 {
			return text, KnownProblem{}, false
		}
		at += next
		id, _, _ := strings.Cut(text[at+len(problemPrefix):], ":")
		if p, ok := Find(ID(id)); ok {
			return strings.TrimRight(text[:at], "\n"), p, true
		}
	}
}

// Identified is an error of RDD that knows which known problem it is, so that nothing has to match its text.
type Identified interface {
	error
	ProblemID() string
}

// Errorf returns an Identified error whose text says what to do. The format is that of fmt.Errorf.
func Errorf(id ID, format string, a ...any) error {
	return &identified{id, fmt.Errorf(format, a...), true}
}

// Mark makes err an Identified error. Its text does not say what to do, so AdviceFor does.
func Mark(id ID, err error) error { return &identified{id, err, false} }

// Restore returns err as Errorf or Mark returned it before it was sent between processes. Without an ID it returns err.
func Restore(err error, id string, advised bool) error {
	if id == "" {
		return err
	}
	return &identified{ID(id), err, advised}
}

type identified struct {
	id      ID
	err     error
	advised bool // the text says what to do
}

func (e *identified) Error() string     { return e.err.Error() }
func (e *identified) Unwrap() error     { return e.err }
func (e *identified) ProblemID() string { return string(e.id) }
func (e *identified) Advised() bool     { return e.advised }

// Advised reports whether the text of an Identified error says what to do. It is true unless Mark made the error.
func Advised(err error) bool {
	var e interface{ Advised() bool }
	return !errors.As(err, &e) || e.Advised()
}

// AdviceFor returns the known problem that err is, or that its text matches, and the advice to add to the text. The
// advice is empty when the text says what to do.
func AdviceFor(err error, goos string) (p KnownProblem, advice string, ok bool) {
	if p, ok = Of(err); ok && Advised(err) {
		return p, "", true
	}
	if !ok {
		p, ok = Match(Host, err.Error())
	}
	if !ok {
		return p, "", false
	}
	return p, p.Advice(goos), true
}

// Of returns the known problem of an Identified error in err's chain.
func Of(err error) (KnownProblem, bool) {
	var e Identified
	if !errors.As(err, &e) {
		return KnownProblem{}, false
	}
	return Find(ID(e.ProblemID()))
}

// Known lists all problems in the order in which Match tries them: specific ones before general ones.
func Known() []KnownProblem { return problems }

// Find returns the problem with the ID.
func Find(id ID) (KnownProblem, bool) {
	return first(func(p KnownProblem) bool { return p.ID == id })
}

// Match returns the first problem whose patterns match the text. It takes milliseconds, so it is only for failures.
func Match(source Source, text string) (KnownProblem, bool) {
	return first(func(p KnownProblem) bool {
		patterns := p.host
		if source == Guest {
			patterns = p.guest
		}
		return len(patterns) > 0 && regexp.MustCompile("(?i)(?:"+strings.Join(patterns, ")|(?:")+")").MatchString(text)
	})
}

func first(match func(KnownProblem) bool) (KnownProblem, bool) {
	i := slices.IndexFunc(problems, match)
	if i < 0 {
		return KnownProblem{}, false
	}
	return problems[i], true
}
