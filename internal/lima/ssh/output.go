package ssh

import "strings"

// OutputTail returns the last lines of a script's or a program's output, or else how it ended.
func OutputTail(said, failure string) string {
	lines := strings.FieldsFunc(said, func(r rune) bool { return r == '\n' || r == '\r' })
	var kept []string
	for _, line := range lines {
		line = strings.TrimSpace(line)
		if strings.Trim(line, "@ ") == "" || strings.HasPrefix(line, "+ ") || strings.HasPrefix(line, "Warning: Permanently added") {
			continue // a frame, a script's trace, or what every first connection says
		}
		kept = append(kept, line)
	}
	if len(kept) > 0 {
		return strings.Join(kept[max(0, len(kept)-maxOutputLines):], "\n")
	}
	if i := strings.LastIndex(failure, ": "); i >= 0 {
		failure = failure[i+2:]
	}
	return failure
}

// maxOutputLines is how many lines of a script's output are shown.
const maxOutputLines = 6
