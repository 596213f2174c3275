// Package diag knows the known problems: by which words a log or message tells of one, what it means
// and how to fix it. The machine workers, the core and, through it, every client show the same ones.
// It also takes secrets out of what a user is about to hand on. All of it is pure.
package diag

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// ID names a problem. It is stable: scripts, documentation and reports rely on it.
type ID string

// Source says whose words a text is. The same words mean other things in the guest than on the host.
type Source int

// The sources.
const (
	Host  Source = iota // an error, or the log of a program that runs on the host
	Guest               // the guest's console
)

// KnownProblem is one thing that goes wrong on users' machines.
type KnownProblem struct {
	ID      ID
	Meaning string // one sentence: what is wrong
	remedy  remedy
	host    []string // regular expressions, without regard to case; empty: only a check finds it
	guest   []string
}

// remedy says how to fix a problem, by GOOS; "" is for all other systems.
type remedy map[string]string

// Remedy says how to fix the problem on that system.
func (p KnownProblem) Remedy(goos string) string {
	if r, ok := p.remedy[goos]; ok {
		return r
	}
	return p.remedy[""]
}

// Advice is what a message adds to the cause, once: the problem's ID, its meaning and its remedy.
func (p KnownProblem) Advice(goos string) string {
	return fmt.Sprintf("%s%s: %s\nwhat to do: %s", problemPrefix, p.ID, p.Meaning, p.Remedy(goos))
}

const problemPrefix = "known problem "

// Split parts a message from the advice at its end; ok is false when it has none.
func Split(text string) (cause string, p KnownProblem, ok bool) {
	for at := 0; ; {
		next := strings.Index(text[at:], problemPrefix)
		if next < 0 {
			return text, KnownProblem{}, false
		}
		at += next
		id, _, _ := strings.Cut(text[at+len(problemPrefix):], ":")
		if p, ok := Find(ID(id)); ok {
			return strings.TrimRight(text[:at], "\n"), p, true
		}
		at += len(problemPrefix)
	}
}

// Identified is an error of ours that is a known problem: it has the problem's ID, so that nobody has to recognise
// its text.
type Identified interface {
	error
	ProblemID() string
}

// Errorf returns an Identified error whose text says what to do. The format is that of fmt.Errorf.
func Errorf(id ID, format string, a ...any) error {
	return &identified{id, fmt.Errorf(format, a...), true}
}

// Mark makes err an Identified error. Its text does not say what to do; AdviceFor does.
func Mark(id ID, err error) error { return &identified{id, err, false} }

// Restore makes err what Errorf or Mark had made it before it came from another process; err itself without an ID.
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

// Advised says whether the text of an Identified error says what to do. It does unless it was made by Mark.
func Advised(err error) bool {
	var e interface{ Advised() bool }
	return !errors.As(err, &e) || e.Advised()
}

// AdviceFor returns the known problem that err is, or that its text tells of, and what to add to its text; advice is
// empty when the text says what to do.
func AdviceFor(err error, goos string) (p KnownProblem, advice string, ok bool) {
	if p, ok = Of(err); ok {
		if Advised(err) {
			return p, "", true
		}
		return p, p.Advice(goos), true
	}
	if p, ok = Match(Host, err.Error()); ok {
		return p, p.Advice(goos), true
	}
	return p, "", false
}

// Of returns the known problem that an error in err's chain says it is.
func Of(err error) (KnownProblem, bool) {
	var e Identified
	if !errors.As(err, &e) {
		return KnownProblem{}, false
	}
	return Find(ID(e.ProblemID()))
}

// Known lists every problem, in the order in which they are looked for: the specific before the general.
func Known() []KnownProblem { return problems }

// Find returns the problem of that ID.
func Find(id ID) (KnownProblem, bool) {
	for _, p := range problems {
		if p.ID == id {
			return p, true
		}
	}
	return KnownProblem{}, false
}

// Match returns the first problem of the table that the text tells of. It takes milliseconds, so it is
// for failures.
func Match(source Source, text string) (KnownProblem, bool) {
	if text == "" {
		return KnownProblem{}, false
	}
	for _, p := range problems {
		if source == Guest && matches(p.guest, text) || source == Host && matches(p.host, text) {
			return p, true
		}
	}
	return KnownProblem{}, false
}

func matches(patterns []string, text string) bool {
	return len(patterns) > 0 && regexp.MustCompile("(?i)(?:"+strings.Join(patterns, ")|(?:")+")").MatchString(text)
}
