package hostagent

import (
	"fmt"
	"strconv"
	"strings"
)

// scanLog parses a line of Lima's log with the format that Lima writes it with.
func scanLog(line, format string, into ...any) bool {
	n, err := fmt.Sscanf(line, format, into...)
	return err == nil && n == len(into)
}

// scriptResult reads how a script in the guest ended, which Lima logs in this form.
func scriptResult(line string) (stdout, stderr, failure string, ok bool) {
	for _, part := range []struct {
		key  string
		into *string
	}{{"stdout=", &stdout}, {", stderr=", &stderr}} {
		rest, found := strings.CutPrefix(line, part.key)
		quoted, err := strconv.QuotedPrefix(rest)
		if !found || err != nil {
			return "", "", "", false
		}
		*part.into, _ = strconv.Unquote(quoted)
		line = rest[len(quoted):]
	}
	failure, ok = strings.CutPrefix(line, ", err=")
	if failure == "<nil>" {
		failure = ""
	}
	return stdout, stderr, failure, ok
}
