package hostagent

import (
	"fmt"
	"strings"
)

// scanLog parses a line of Lima's log with the format that Lima writes it with.
func scanLog(line, format string, into ...any) bool {
	n, err := fmt.Sscanf(line, format, into...)
	return err == nil && n == len(into)
}

// scriptResult parses the log line in which Lima says how a script in the guest ended.
func scriptResult(line string) (stdout, stderr, failure string, ok bool) {
	if !scanLog(line, "stdout=%q, stderr=%q, err=", &stdout, &stderr) {
		return "", "", "", false
	}
	failure, ok = strings.CutPrefix(line, fmt.Sprintf("stdout=%q, stderr=%q, err=", stdout, stderr))
	if failure == "<nil>" {
		failure = ""
	}
	return stdout, stderr, failure, ok
}
