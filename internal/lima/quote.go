package lima

import "strings"

// ShellQuote quotes a word for a POSIX shell. It quotes every word, unlike shellescape.Quote, which leaves
// words alone that have no special characters: a shell could still take those for a keyword (time), an alias, an
// assignment (A=b) or, zsh, the path of a command (=ls).
func ShellQuote(w string) string { return "'" + strings.ReplaceAll(w, "'", `'\''`) + "'" }
