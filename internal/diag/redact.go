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

// sensitive matches the names of secrets.
const sensitive = `(?:token|passw(?:or)?d|passphrase|pwd|secret|api[-_]?key|access[-_]?key|private[-_]?key|client-key-data|client-certificate-data|credential|signature|authorization|cookie|session[-_]?id|bearer)`

// rules find secrets. Each Redactor compiles them, because few programs need one.
type rules struct {
	privateKey *regexp.Regexp // a whole key, one whose beginning or end is cut off, or one in a JSON string
	form       *regexp.Regexp // a secret with a known format
	mapKey     *regexp.Regexp // a line whose key starts a map of secrets
	secretKey  *regexp.Regexp // a line with a sensitive key whose value is on the lines below
	entry      *regexp.Regexp // a line of such a map: key, value
	inlineMap  *regexp.Regexp // such a map inside a line, up to its bracket
	header     *regexp.Regexp // a header; the rest of the line is a secret
	assignment *regexp.Regexp // a line that is only an assignment, so that its value can contain spaces
	scalar     *regexp.Regexp // the same in YAML
	begin      *regexp.Regexp // text before a secret of one word
	variable   *regexp.Regexp // an environment variable and its =
}

func newRules() rules {
	const name = `[\w.-]*` + sensitive + `[\w.-]*`
	const maps = `(?:env|envs|environment|environmentvariables|param|params)`
	return rules{
		privateKey: regexp.MustCompile(`(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY( BLOCK)?-----.*?(-----END [A-Z0-9 ]*PRIVATE KEY( BLOCK)?-----|\z)|` +
			`\A[A-Za-z0-9+/=\s\\]*-----END [A-Z0-9 ]*PRIVATE KEY( BLOCK)?-----`),
		form: regexp.MustCompile(strings.Join([]string{
			`eyJ[\w-]{6,}\.[\w-]+(?:\.[\w-]*)?`, // JWT
			`gh[a-z]_\w{16,}`, `github_pat_\w{16,}`, `gl[a-z]+-[\w-]{16,}`, `dckr_pat_[\w-]{16,}`, `npm_\w{16,}`, `hf_\w{16,}`, `sk-[\w-]{16,}`,
			`(?:AKIA|ASIA)[0-9A-Z]{16}`, `xox[a-z]-[\w-]{8,}`, `AIza[\w-]{30,}`, `Basic [A-Za-z0-9+/]{6,}={1,2}`,
		}, "|")),
		mapKey:     regexp.MustCompile(`(?i)^(\s*)((?:- )*)["']?` + maps + `["']?\s*:(.*)$`),
		secretKey:  regexp.MustCompile(`(?i)^(\s*)((?:- )*)["']?` + name + `["']?\s*:\s*(?:[|>][-+0-9]*)?\s*$`),
		entry:      regexp.MustCompile(`^(\s*(?:- )*["']?[\w.-]+["']?\s*:)(.+)$`),
		inlineMap:  regexp.MustCompile(`(?i)(?:^|[\s,{"'])` + maps + `\\*["']?\s*:\s*[{\[]`),
		header:     regexp.MustCompile(`(?i)(?:authorization|cookie)\\*["']?\s*[:=]`),
		assignment: regexp.MustCompile(`^\s*(?:(?:export|declare -x|set|\+|-)\s+)?(?:[A-Z][A-Z0-9_]*|(?i:` + name + `))\s*=`),
		scalar:     regexp.MustCompile(`(?i)^\s*(?:- )*["']?` + name + `["']?\s*:\s+`),
		begin: regexp.MustCompile(`(?i)` + strings.Join([]string{
			name + `\\*["']?\s*(?::=|=>|[:=])\s*[{\[]*`,     // key=value, "key": "value", Key:[value]
			`--?[\w-]*` + sensitive + `[\w-]*\\*["']?,?\s+`, // --key value
			`\bbearer\s+`,                // the value of an Authorization header
			`[?&](?:sig|key|auth|code)=`, // in a URL
		}, "|")),
		variable: regexp.MustCompile("(?:^|[\\s\\[\"'({,;:|&`])[A-Z][A-Z0-9_]{2,}="),
	}
}
