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

// Problem is one thing that goes wrong on users' machines.
type Problem struct {
	ID      ID
	Meaning string // one sentence: what is wrong
	remedy  remedy
	host    []string // regular expressions, without regard to case; empty: only a check finds it
	guest   []string
	ours    []string // messages of ours on the host, which say the remedy themselves
}

// remedy says how to fix a problem, by GOOS; "" is for all other systems.
type remedy map[string]string

// Remedy says how to fix the problem on that system.
func (p Problem) Remedy(goos string) string {
	if r, ok := p.remedy[goos]; ok {
		return r
	}
	return p.remedy[""]
}

// Advice is what a message adds to the cause, once: the problem's ID, its meaning and its remedy.
func (p Problem) Advice(goos string) string {
	return fmt.Sprintf("%s%s: %s\nwhat to do: %s", problemPrefix, p.ID, p.Meaning, p.Remedy(goos))
}

const problemPrefix = "known problem "

// Split parts a message from the advice at its end; ok is false when it has none.
func Split(text string) (cause string, p Problem, ok bool) {
	for at := 0; ; {
		next := strings.Index(text[at:], problemPrefix)
		if next < 0 {
			return text, Problem{}, false
		}
		at += next
		id, _, _ := strings.Cut(text[at+len(problemPrefix):], ":")
		if p, ok := Find(ID(id)); ok {
			return strings.TrimRight(text[:at], "\n"), p, true
		}
		at += len(problemPrefix)
	}
}

// Advises says whether a text of this problem says its remedy itself, so that advice would repeat it.
func (p Problem) Advises(text string) bool { return matches(p.ours, text) }

// Identified is an error that knows which known problem it is, so that nobody has to recognise its words.
// It says its remedy itself.
type Identified interface {
	error
	ProblemID() ID
}

// Of returns the known problem that an error in err's chain says it is.
func Of(err error) (Problem, bool) {
	var e Identified
	if !errors.As(err, &e) {
		return Problem{}, false
	}
	return Find(e.ProblemID())
}

// Known lists every problem, in the order in which they are looked for: the specific before the general.
func Known() []Problem { return problems }

// Find returns the problem of that ID.
func Find(id ID) (Problem, bool) {
	for _, p := range problems {
		if p.ID == id {
			return p, true
		}
	}
	return Problem{}, false
}

// Match returns the first problem of the table that the text tells of. It takes milliseconds, so it is
// for failures.
func Match(source Source, text string) (Problem, bool) {
	if text == "" {
		return Problem{}, false
	}
	for _, p := range problems {
		if source == Guest && matches(p.guest, text) || source == Host && (matches(p.host, text) || matches(p.ours, text)) {
			return p, true
		}
	}
	return Problem{}, false
}

func matches(patterns []string, text string) bool {
	return len(patterns) > 0 && regexp.MustCompile("(?i)(?:"+strings.Join(patterns, ")|(?:")+")").MatchString(text)
}
