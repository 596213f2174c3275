package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// cost is what one command took, from before its start until its process was gone.
type cost struct {
	Wall time.Duration `json:"wall"`
	Peak int64         `json:"peak"` // the most memory it had resident, in bytes; 0: this system does not say
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// interruptGrace is how long a command may take to end after an interrupt.
const interruptGrace = 10 * time.Second

// measure runs a command through the peak program, with env added to its environment, and returns what it printed.
// The end of ctx interrupts the command.
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
	shown := filepath.Base(command[0]) + " " + strings.Join(command[1:], " ")
	text, line := splitCost(problem.String())
	if err != nil {
		return c, nil, fmt.Errorf("%s: %w: %s", shown, err, text)
	}
	if err := json.Unmarshal([]byte(line), &c); err != nil {
		return c, nil, fmt.Errorf("read the cost of %s from %q: %w", shown, line, err)
	}
	return c, out.Bytes(), nil
}

// userEnv returns base with the variables of env, and without those by which the user has configured RDD.
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

// splitCost splits stderr into the command's own text and the line with its cost, which is missing when the command
// could not be started.
func splitCost(stderr string) (text, line string) {
	stderr = strings.TrimSpace(stderr)
	i := strings.LastIndexByte(stderr, '\n')
	if !strings.HasPrefix(stderr[i+1:], "{") {
		return stderr, ""
	}
	return strings.TrimSpace(stderr[:i+1]), stderr[i+1:]
}

// goCommand runs the go command and returns what it printed.
func goCommand(ctx context.Context, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, "go", args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

// buildPeak builds the program that measures others, in dir, and returns its path.
func buildPeak(ctx context.Context, dir string) (string, error) {
	_, err := goCommand(ctx, "build", "-o", dir+string(filepath.Separator), module+"build/bench/peak")
	return filepath.Join(dir, "peak"), err
}
