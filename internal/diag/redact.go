package diag

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// redactedMark replaces a secret.
const redactedMark = "[redacted]"

// Redactor replaces secrets in text. In doubt, it redacts.
type Redactor struct {
	literals []string // known secrets in each of their encodings, the longest first
	home     string
	rules    rules
}

// minSecretLength is the length below which a known secret would also be found in common words.
const minSecretLength = 4

// NewRedactor returns a Redactor that also redacts the given secrets wherever they appear. home is the home directory:
// it contains the user's name, so it is shown as ~. An empty home is ignored.
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

// Text returns text without secrets, and the number of redactions in it. It redacts known secrets, also base64- and
// percent-encoded; private keys; users and passwords in URLs; values of keys such as token, password and secret;
// Authorization and cookies; values of environment variables and of env and param maps; tokens with a known format.
func (r *Redactor) Text(text string) (clean string, n int) {
	for _, s := range r.literals {
		text = strings.ReplaceAll(text, s, redactedMark)
	}
	text = r.rules.privateKey.ReplaceAllLiteralString(text, redactedMark)
	var out strings.Builder
	b := block{rules: &r.rules}
	for line := range strings.Lines(text) {
		body := strings.TrimRight(line, "\r\n")
		out.WriteString(b.line(body) + line[len(body):])
	}
	text = out.String()
	if len(r.home) > 1 {
		text = strings.ReplaceAll(text, r.home, "~")
	}
	return text, strings.Count(text, redactedMark)
}

// block follows indented blocks in which every value, or every line, is a secret. Such blocks are in YAML and in
// indented JSON.
type block struct {
	rules  *rules
	within bool
	indent int  // of the line that starts the block; deeper lines belong to it
	whole  bool // redact keys, too
}

// line redacts one line.
func (b *block) line(s string) string {
	indent := len(s) - len(strings.TrimLeft(s, " \t"))
	if b.within && strings.TrimSpace(s) == "" {
		return s
	}
	if b.within && (indent > b.indent || indent == b.indent && strings.HasPrefix(s[indent:], "- ")) {
		return b.inside(s, indent)
	}
	b.within = false
	if m := b.rules.secretKey.FindStringSubmatch(s); m != nil {
		b.within, b.indent, b.whole = true, len(m[1])+len(m[2]), true
		return s
	}
	if m := b.rules.mapKey.FindStringSubmatch(s); m != nil {
		b.within, b.indent, b.whole = true, len(m[1])+len(m[2]), false
		switch strings.TrimSpace(m[3]) {
		case "", "{", "[", "{}", "[]", "{},", "[],", "null":
			return s
		}
		return s[:len(s)-len(m[3])] + " " + redactedMark
	}
	return b.rules.redact(s)
}

// inside redacts a line of a block: the whole line, or the value of its key.
func (b *block) inside(s string, indent int) string {
	if m := b.rules.entry.FindStringSubmatch(s); m != nil && !b.whole {
		if value := strings.TrimSpace(m[2]); value == "{" || value == "[" {
			return s
		}
		return m[1] + " " + redactedMark
	}
	switch strings.TrimSpace(s) {
	case "{", "}", "},", "]", "],":
		return s
	}
	return s[:indent] + redactedMark
}

// redact redacts a line that is not in a block.
func (r *rules) redact(s string) string {
	s = redactUserinfo(s)
	rest := "" // replaces the end of the line
	for _, start := range []*regexp.Regexp{r.inlineMap, r.header, r.assignment, r.scalar} {
		if at := start.FindStringIndex(s); at != nil && at[1] < len(s) {
			s, rest = s[:at[1]], redactedMark
		}
	}
	for _, start := range []*regexp.Regexp{r.begin, r.variable} {
		s = redactAfter(s, start)
	}
	return r.form.ReplaceAllLiteralString(s, redactedMark) + rest
}

// redactUserinfo redacts users and passwords in URLs. A password that is not percent-encoded, as it should be, can
// contain anything but a space, so everything before the last @ is redacted.
func redactUserinfo(s string) string {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(s, "://")
		out.WriteString(before)
		if !found {
			return out.String()
		}
		out.WriteString("://")
		word := rest[:strings.IndexAny(rest+" ", " \t")]
		at := strings.LastIndex(word, "@")
		authority, _, hasPath := strings.Cut(word[:max(at, 0)], "/")
		if at > 0 && (!hasPath || strings.Contains(authority, ":")) {
			out.WriteString(redactedMark)
			rest = rest[at:]
		}
		s = rest
	}
}

// redactAfter redacts the value after each match of start.
func redactAfter(s string, start *regexp.Regexp) string {
	var out strings.Builder
	for {
		at := start.FindStringIndex(s)
		if at == nil {
			return out.String() + s
		}
		out.WriteString(s[:at[1]])
		s = s[at[1]:]
		if open, end := secretEnd(s); open < end {
			out.WriteString(s[:open] + redactedMark)
			s = s[end:]
		}
	}
}

// secretEnd locates the secret at the beginning of s: inside its quotes, which may be escaped, or up to the next space
// or quote.
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
				end++ // skips the escaped character
			}
		}
		return open, len(s)
	}
	return 0, strings.IndexAny(s+" ", " \t\"'`")
}
