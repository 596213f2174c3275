package proc

import (
	"context"
	"fmt"
	"os/exec"
	"time"
)

// Tree is a command that runs, with everything it starts. It belongs to this process.
type Tree struct {
	cmd   *exec.Cmd
	group group
	ended chan struct{} // closed when the command has ended and what it left was killed
}

// Start starts cmd as the root of a tree. When ctx ends, cmd is interrupted, and after grace the
// whole tree is killed. Whatever cmd leaves behind when it ends is killed as well.
func Start(ctx context.Context, cmd *exec.Cmd, grace time.Duration) (*Tree, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	lead(cmd)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	g, err := groupOf(cmd.Process)
	if err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return nil, fmt.Errorf("start %s so that it ends with all it starts: %w", cmd.Path, err)
	}
	t := &Tree{cmd: cmd, group: g, ended: make(chan struct{})}
	go t.watch(ctx, grace)
	return t, nil
}

// watch ends the tree. Nobody has waited for the root yet, so its number is still its own.
func (t *Tree) watch(ctx context.Context, grace time.Duration) {
	defer close(t.ended)
	exited := make(chan struct{})
	go func() {
		t.group.await()
		close(exited)
	}()
	select {
	case <-exited:
	case <-ctx.Done():
		if interrupt(t.cmd.Process) != nil {
			grace = 0
		}
		select {
		case <-exited:
		case <-time.After(grace):
			t.group.kill()
			<-exited
		}
	}
	t.group.kill()
	t.group.close()
}

// Wait waits for the end of the tree, and says how its root ended. What is read from a pipe to the
// command must have been read before, as with exec.Cmd.
func (t *Tree) Wait() error {
	<-t.ended
	return t.cmd.Wait()
}
