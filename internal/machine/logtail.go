package machine

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"slices"
	"strings"

	"rancherdesktop.io/rdd/internal/machine/layout"
)

// consoleTail returns the last lines of the guest's console, with the file's name.
func consoleTail(vm layout.VM) string {
	lines := tail(vm.SerialLog(), 0)
	if len(lines) == 0 {
		return ""
	}
	return "last lines of its console, " + vm.SerialLog() + ":" + lastLines(lines)
}

// logTail returns warnings, failures and lines that are not Lima's from the end of a hostagent's log. from is the offset
// where the run begins. A warning, such as one of a port that can't be forwarded, is no failure.
func logTail(path string, from int64) (said, failures []string) {
	for _, line := range tail(path, from) {
		var l struct{ Level, Msg, Error string }
		if json.Unmarshal([]byte(line), &l) != nil {
			l.Level, l.Msg = "panic", line // or the output of a program
		}
		if l.Error != "" {
			l.Msg += ": " + l.Error
		}
		switch {
		case l.Level == "warning":
			said = append(said, l.Msg)
		case slices.Contains([]string{"error", "fatal", "panic"}, l.Level), strings.HasPrefix(l.Msg, "qemu[stderr]"), strings.HasPrefix(l.Msg, "Driver stopped"):
			said, failures = append(said, l.Msg), append(failures, l.Msg)
		}
	}
	return said, failures
}

// lastLines puts the last few lines below a line of a message.
func lastLines(lines []string) string {
	return "\n  " + strings.Join(lines[max(0, len(lines)-maxTailLines):], "\n  ")
}

// tail returns the last lines of a file, but none before the offset from. It drops control characters and empty lines. A
// file that is shorter than from was rotated.
func tail(path string, from int64) []string {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil
	}
	if from > info.Size() {
		from = 0
	}
	if _, err := f.Seek(max(from, info.Size()-maxTailSize), io.SeekStart); err != nil {
		return nil
	}
	b, err := io.ReadAll(io.LimitReader(f, maxTailSize))
	if err != nil {
		return nil
	}
	var lines []string
	for line := range bytes.Lines(b) {
		if text := strings.TrimSpace(printable(string(line))); text != "" {
			lines = append(lines, text)
		}
	}
	return lines
}

// printable drops control characters, so that a guest's text can't control the user's terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' && r != '\n' || r == 0x7f || r == '\uFFFD' {
			return -1
		}
		return r
	}, s)
}

// How much of a log is shown in a message.
const (
	maxTailSize  = 16 << 10
	maxTailLines = 6
)
