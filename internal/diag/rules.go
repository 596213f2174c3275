package diag

import (
	"regexp"
	"strings"
)

// sensitive is in the names of things that are secret.
const sensitive = `(?:token|passw(?:or)?d|passphrase|pwd|secret|api[-_]?key|access[-_]?key|private[-_]?key|client-key-data|client-certificate-data|credential|signature|authorization|cookie|session[-_]?id|bearer)`

// rules are how secrets are found. They are compiled for a Redactor, because few programs need one.
type rules struct {
	privateKey *regexp.Regexp // a whole key; also one whose begin or end was cut off, or in a JSON string
	form       *regexp.Regexp // a secret that is known by how it looks
	mapKey     *regexp.Regexp // a line whose key begins a map of secrets
	secretKey  *regexp.Regexp // a line whose sensitive key has its value on the lines below
	entry      *regexp.Regexp // a line of such a map: key, value
	inlineMap  *regexp.Regexp // such a map within a line, up to its bracket
	header     *regexp.Regexp // what makes the rest of the line a secret
	assignment *regexp.Regexp // a line that is nothing but one, so its value may hold spaces
	scalar     *regexp.Regexp // the same in YAML
	begin      *regexp.Regexp // what a secret of one word follows
	variable   *regexp.Regexp // an environment variable, which its value follows
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
			`\bbearer\s+`,                // the value of an authorization
			`[?&](?:sig|key|auth|code)=`, // in a URL
		}, "|")),
		variable: regexp.MustCompile("(?:^|[\\s\\[\"'({,;:|&`])[A-Z][A-Z0-9_]{2,}="),
	}
}
