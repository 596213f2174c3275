package diag

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// redactedMark stands where a secret was.
const redactedMark = "[redacted]"

// Redactor takes secrets out of text. It errs on the side of taking too much.
type Redactor struct {
	literals []string // known secrets in every form in which they are looked for, the longest first
	home     string
	rules    rules
}

// minSecretLength is the length below which a known secret would also be found in common words.
const minSecretLength = 4

// NewRedactor returns a Redactor that also takes out the given secrets, wherever they stand. home is
// the home directory, which names the user and is shown as ~; empty leaves it.
func NewRedactor(secrets []string, home string) *Redactor {
	r := &Redactor{home: home, rules: newRules()}
	for _, s := range secrets {
		s = strings.TrimSpace(s)
		if len(s) < minSecretLength {
			continue
		}
		quoted, _ := json.Marshal(s)
		r.literals = append(r.literals, s, string(quoted[1:len(quoted)-1]), url.QueryEscape(s), url.PathEscape(s),
			base64.StdEncoding.EncodeToString([]byte(s)), base64.RawURLEncoding.EncodeToString([]byte(s)))
	}
	slices.SortFunc(r.literals, func(a, b string) int { return len(b) - len(a) })
	return r
}

// Text returns text without secrets, and how many were taken out. These go: known secrets, also
// base64- and percent-encoded; private keys; users and passwords in URLs; what follows a key that says
// token, password, secret and the like; Authorization and cookies; values of environment variables and
// of env and param maps; tokens by their well-known forms.
func (r *Redactor) Text(text string) (clean string, n int) {
	for _, s := range r.literals {
		n += strings.Count(text, s)
		text = strings.ReplaceAll(text, s, redactedMark)
	}
	text, keys := replaceAll(text, r.rules.privateKey)
	n += keys
	var out strings.Builder
	b := block{rules: &r.rules}
	for line := range strings.Lines(text) {
		body := strings.TrimRight(line, "\r\n")
		clean, k := b.line(body)
		out.WriteString(clean)
		out.WriteString(line[len(body):])
		n += k
	}
	text = out.String()
	if len(r.home) > 1 {
		text = strings.ReplaceAll(text, r.home, "~")
	}
	return text, n
}

// block follows indented blocks in which every value, or everything, is a secret. (YAML, and JSON
// that is laid out)
type block struct {
	rules  *rules
	within bool
	indent int  // of the line that began it; what is deeper belongs to it
	whole  bool // keys too
}

// line redacts one line.
func (b *block) line(s string) (string, int) {
	indent := len(s) - len(strings.TrimLeft(s, " \t"))
	if b.within && strings.TrimSpace(s) == "" {
		return s, 0
	}
	if b.within && (indent > b.indent || indent == b.indent && strings.HasPrefix(s[indent:], "- ")) {
		return b.inside(s, indent)
	}
	b.within = false
	if m := b.rules.secretKey.FindStringSubmatch(s); m != nil {
		b.within, b.indent, b.whole = true, len(m[1])+len(m[2]), true
		return s, 0
	}
	if m := b.rules.mapKey.FindStringSubmatch(s); m != nil {
		b.within, b.indent, b.whole = true, len(m[1])+len(m[2]), false
		switch strings.TrimSpace(m[3]) {
		case "", "{", "[", "{}", "[]", "{},", "[],", "null":
			return s, 0
		}
		return s[:len(s)-len(m[3])] + " " + redactedMark, 1
	}
	return b.rules.redact(s)
}

// inside redacts a line of a block: all of it, or what follows its key.
func (b *block) inside(s string, indent int) (string, int) {
	if m := b.rules.entry.FindStringSubmatch(s); m != nil && !b.whole {
		switch strings.TrimSpace(m[2]) {
		case redactedMark, "{", "[":
			return s, 0
		}
		return m[1] + " " + redactedMark, 1
	}
	switch strings.TrimSpace(s) {
	case redactedMark, "{", "}", "},", "]", "],":
		return s, 0
	}
	return s[:indent] + redactedMark, 1
}

// redact redacts a line that belongs to no block.
func (r *rules) redact(s string) (string, int) {
	s, n := redactUserinfo(s)
	rest := "" // what becomes of the end of the line
	for _, whole := range []*regexp.Regexp{r.inlineMap, r.header, r.assignment, r.scalar} {
		at := whole.FindStringIndex(s)
		if at != nil && s[at[1]:] != "" && s[at[1]:] != redactedMark {
			s, rest = s[:at[1]], redactedMark
			n++
		}
	}
	for _, start := range []*regexp.Regexp{r.begin, r.variable} {
		var k int
		s, k = redactAfter(s, start)
		n += k
	}
	s, k := replaceAll(s, r.form)
	return s + rest, n + k
}

// redactUserinfo takes users and passwords out of URLs. A password that should be percent-encoded and
// is not may hold anything but a space, so what comes before the last @ goes.
func redactUserinfo(s string) (string, int) {
	var out strings.Builder
	n := 0
	for {
		before, rest, found := strings.Cut(s, "://")
		out.WriteString(before)
		if !found {
			return out.String(), n
		}
		out.WriteString("://")
		word := rest
		if end := strings.IndexAny(rest, " \t"); end >= 0 {
			word = rest[:end]
		}
		at := strings.LastIndex(word, "@")
		authority, _, hasPath := strings.Cut(word[:max(at, 0)], "/")
		if at > 0 && word[:at] != redactedMark && (!hasPath || strings.Contains(authority, ":")) {
			out.WriteString(redactedMark)
			rest = rest[at:]
			n++
		}
		s = rest
	}
}

// redactAfter takes out what follows each match of start.
func redactAfter(s string, start *regexp.Regexp) (string, int) {
	var out strings.Builder
	n := 0
	for {
		at := start.FindStringIndex(s)
		if at == nil {
			break
		}
		out.WriteString(s[:at[1]])
		s = s[at[1]:]
		open, end := secretEnd(s)
		if open == end || s[open:end] == redactedMark {
			continue
		}
		out.WriteString(s[:open] + redactedMark)
		s = s[end:]
		n++
	}
	out.WriteString(s)
	return out.String(), n
}

// secretEnd says where the secret at the begin of s lies: within its quotes, which may be escaped, or
// up to the next space or quote.
func secretEnd(s string) (open, end int) {
	slashes := len(s) - len(strings.TrimLeft(s, `\`))
	if slashes < len(s) && (s[slashes] == '"' || s[slashes] == '\'') {
		quote := s[:slashes+1]
		open = len(quote)
		for end = open; end < len(s); end++ {
			if strings.HasPrefix(s[end:], quote) {
				return open, end
			}
			if slashes == 0 && s[end] == '\\' {
				end++ // whatever it escapes
			}
		}
		return open, len(s)
	}
	if end = strings.IndexAny(s, " \t\"'`"); end < 0 {
		end = len(s)
	}
	return 0, end
}

// replaceAll takes out what re matches.
func replaceAll(s string, re *regexp.Regexp) (string, int) {
	n := 0
	s = re.ReplaceAllStringFunc(s, func(string) string { n++; return redactedMark })
	return s, n
}
