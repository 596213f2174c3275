package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// cost is what one command took, from before it was started until it was gone.
type cost struct {
	Wall time.Duration `json:"wall"`
	Peak int64         `json:"peak"` // bytes; 0: this system does not say
}

func (c cost) milliseconds() float64 { return milliseconds(c.Wall) }
func (c cost) seconds() float64      { return c.Wall.Seconds() }
func (c cost) megabytes() float64    { return float64(c.Peak) / 1e6 }

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// interruptGrace is how long a command may take to end after an interrupt.
const interruptGrace = 10 * time.Second

// measure runs command through the peak program for the user whom env describes, and
// returns what it printed. Ending ctx interrupts the command.
func measure(ctx context.Context, peak string, env map[string]string, command ...string) (c cost, stdout []byte, err error) {
	var out, problem bytes.Buffer
	cmd := exec.CommandContext(ctx, peak, command...)
	cmd.Stdout, cmd.Stderr = &out, &problem
	cmd.Env = userEnv(cmd.Environ(), env)
	cmd.WaitDelay = interruptGrace
	isolate(cmd)
	err = cmd.Run()
	if ctx.Err() != nil {
		return c, nil, context.Cause(ctx)
	}
	text, line := splitCost(problem.String())
	if err != nil {
		return c, nil, fmt.Errorf("%s: %w: %s", commandLine(command), err, text)
	}
	if err := json.Unmarshal([]byte(line), &c); err != nil {
		return c, nil, fmt.Errorf("read what %s cost from %q: %w", commandLine(command), line, err)
	}
	return c, out.Bytes(), nil
}

// userEnv returns base without what its user has set up for RDD, and with env instead.
func userEnv(base []string, env map[string]string) []string {
	base = slices.DeleteFunc(slices.Clone(base), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		_, replaced := env[name]
		return replaced || name == "KUBECONFIG" || strings.HasPrefix(name, "RDD_") || strings.HasPrefix(name, "XDG_") || strings.HasPrefix(name, "LIMA_")
	})
	for _, name := range slices.Sorted(maps.Keys(env)) {
		base = append(base, name+"="+env[name])
	}
	return base
}

// splitCost splits what stood on stderr into the command's own text and the line that says what
// it cost, which is missing when the command could not be started.
func splitCost(stderr string) (text, line string) {
	stderr = strings.TrimSpace(stderr)
	i := strings.LastIndexByte(stderr, '\n')
	if !strings.HasPrefix(stderr[i+1:], "{") {
		return stderr, ""
	}
	return strings.TrimSpace(stderr[:i+1]), stderr[i+1:]
}

// commandLine shows a command without the folder it is in.
func commandLine(command []string) string {
	line := strings.Join(command, " ")
	return line[strings.LastIndexByte(command[0], '/')+1:]
}
