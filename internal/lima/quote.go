package lima

import (
	"strings"
)

// shellWord quotes a word for the guest's shell.
func shellWord(w string) string { return "'" + strings.ReplaceAll(w, "'", `'\''`) + "'" }
