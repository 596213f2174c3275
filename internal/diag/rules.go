package diag

import (
	"regexp"
	"strings"
)

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
