package proc

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// Output runs cmd as the root of a tree and returns its stdout. When ctx ends, cmd is interrupted, and killed after grace; the
// error is then the context's cause. Otherwise the error of a command that fails is an *OutputError.
func Output(ctx context.Context, cmd *exec.Cmd, grace time.Duration) ([]byte, error) {
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	tree, err := Start(ctx, cmd, grace)
	if err == nil {
		err = tree.Wait()
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		err = &OutputError{Stderr: strings.TrimSpace(stderr.String()), Err: err}
	}
	return out.Bytes(), err
}

// OutputError is the failure of a command, with what it wrote to stderr.
type OutputError struct {
	Stderr string
	Err    error // an *exec.ExitError when the command ran
}

func (e *OutputError) Error() string {
	if e.Stderr == "" {
		return e.Err.Error()
	}
	return fmt.Sprintf("%v: %s", e.Err, e.Stderr)
}

func (e *OutputError) Unwrap() error { return e.Err }
