package proc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"time"
)

// Tree is a running command with all processes that it starts. They end with this process, even when it is killed: our own
// programs call EndWithParent for that, and other programs are run by Guard.
type Tree struct {
	cmd    *exec.Cmd
	group  group
	tether io.Closer
	ended  chan struct{} // closed when the command has ended and what it left was killed
}

// EnvTether tells a program that it is the root of a tree. Its main passes the value to EndWithParent.
const EnvTether = "RDD_TETHER"

// Start starts cmd as the root of a tree. When ctx ends, cmd is interrupted, and after grace the whole tree is killed. What
// cmd leaves running when it ends is killed, too.
func Start(ctx context.Context, cmd *exec.Cmd, grace time.Duration) (*Tree, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	lead(cmd)
	tether, err := startTethered(cmd)
	if err != nil {
		return nil, err
	}
	g, err := groupOf(cmd.Process)
	if err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return nil, fmt.Errorf("start %s so that it ends with all it starts: %w", cmd.Path, errors.Join(err, tether.Close()))
	}
	t := &Tree{cmd: cmd, group: g, tether: tether, ended: make(chan struct{})}
	go t.watch(ctx, grace)
	return t, nil
}

// watch ends the tree. Wait has not been called for the root yet, so no other process can have its PID.
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
	_ = t.tether.Close()
}

// Wait waits for the end of the tree and returns how its root has ended. As with exec.Cmd, pipes to the command must have been
// read before.
func (t *Tree) Wait() error {
	<-t.ended
	return t.cmd.Wait()
}
