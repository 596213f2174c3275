package containerd

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"time"

	containers "github.com/containerd/containerd/api/services/containers/v1"
	snapshots "github.com/containerd/containerd/api/services/snapshots/v1"
	tasks "github.com/containerd/containerd/api/services/tasks/v1"
	tasktypes "github.com/containerd/containerd/api/types/task"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
)

// killTimeout bounds the wait for the end of a container that was killed.
const killTimeout = 10 * time.Second

// Labels that say how a container is stopped, and whether containerd starts it again.
const (
	stopSignalLabel    = "io.containerd.image.config.stop-signal"
	restartStatusLabel = "containerd.io/restart.status"
	explicitStopLabel  = "containerd.io/restart.explicitly-stopped"
)

// task is a container with its task, for actions.
type task struct {
	*session
	namespace, id string
	container     *containers.Container
	process       *tasktypes.Process // nil when there is no task
}

// open reads a container and its task. The returned context is for requests in its namespace.
func (s *session) open(ctx context.Context, name string) (context.Context, *task, error) {
	t := &task{session: s}
	t.namespace, t.id = parseName(name)
	ctx = in(ctx, t.namespace)
	c, err := s.containers.Get(ctx, &containers.GetContainerRequest{ID: t.id})
	if err != nil {
		return ctx, nil, err
	}
	p, err := s.tasks.Get(ctx, &tasks.GetRequest{ContainerID: t.id})
	if err != nil && !isNotFound(err) {
		return ctx, nil, err
	}
	t.container, t.process = c.GetContainer(), p.GetProcess()
	return ctx, t, nil
}

func (t *task) status() tasktypes.Status { return t.process.GetStatus() }

// runs reports whether the container runs or is paused.
func (t *task) runs() bool {
	return slices.Contains([]tasktypes.Status{tasktypes.Status_RUNNING, tasktypes.Status_PAUSED, tasktypes.Status_PAUSING}, t.status())
}

// start starts a container as containerd's own client does. Its output goes into a file, where its log is found again.
func (t *task) start(ctx context.Context) error {
	switch {
	case t.status() == tasktypes.Status_RUNNING:
		return nil
	case t.runs():
		return conflict("The container is paused. Unpause it instead.")
	case t.container.GetLabels()[nerdctlName] != "":
		return t.nerdctl(ctx, "start")
	case t.container.GetLabels()[criKind] != "":
		return conflict("This is a container of a Kubernetes pod, and Kubernetes starts it.")
	}
	if err := t.removeTask(ctx); err != nil {
		return err
	}
	spec := specOf(t.container)
	if spec.Process != nil && spec.Process.Terminal {
		return conflict("The container has a terminal, so only a client that has one can start it: rdd nerdctl, or ctr in rdd shell.")
	}
	create := &tasks.CreateTaskRequest{ContainerID: t.id, Stdout: "file://" + logFile(t.namespace, t.id)}
	create.Stderr = create.Stdout
	if t.container.GetSnapshotKey() != "" {
		mounts, err := t.snapshots.Mounts(ctx, &snapshots.MountsRequest{Snapshotter: t.container.GetSnapshotter(), Key: t.container.GetSnapshotKey()})
		if err != nil {
			return err
		}
		create.Rootfs = mounts.GetMounts()
	}
	if err := t.mark(ctx, false); err != nil {
		return err
	}
	if _, err := t.tasks.Create(ctx, create); err != nil {
		return err
	}
	_, err := t.tasks.Start(ctx, &tasks.StartRequest{ContainerID: t.id})
	if err != nil {
		_, _ = t.tasks.Delete(ctx, &tasks.DeleteTaskRequest{ContainerID: t.id})
	}
	return err
}

// removeTask removes what is left of a run that has ended.
func (t *task) removeTask(ctx context.Context) error {
	if t.process == nil {
		return nil
	}
	_, err := t.tasks.Delete(ctx, &tasks.DeleteTaskRequest{ContainerID: t.id})
	if isNotFound(err) {
		return nil
	}
	return err
}

// mark tells containerd's restart monitor whether somebody has stopped the container, if the monitor watches it.
func (t *task) mark(ctx context.Context, stopped bool) error {
	if t.container.GetLabels()[restartStatusLabel] == "" {
		return nil
	}
	_, err := t.containers.Update(ctx, &containers.UpdateContainerRequest{
		Container:  &containers.Container{ID: t.id, Labels: map[string]string{explicitStopLabel: strconv.FormatBool(stopped)}},
		UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"labels." + explicitStopLabel}},
	})
	return err
}

// stop ends a container with a signal, and kills it after a while; a negative timeout means never.
func (t *task) stop(ctx context.Context, name string, timeout time.Duration) error {
	if !t.runs() {
		return nil
	}
	number, err := signalNumber(cmp.Or(name, t.container.GetLabels()[stopSignalLabel], "SIGTERM"))
	if err != nil {
		return err
	}
	if err := t.mark(ctx, true); err != nil {
		return err
	}
	if t.status() != tasktypes.Status_RUNNING { // it could not take the signal
		if _, err := t.tasks.Resume(ctx, &tasks.ResumeTaskRequest{ContainerID: t.id}); err != nil {
			return err
		}
	}
	if err := t.kill(ctx, number, false); err != nil {
		return err
	}
	if timeout < 0 {
		return t.wait(ctx)
	}
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := t.wait(limited); err == nil || ctx.Err() != nil {
		return err
	}
	return t.end(ctx)
}

// end kills a container, and waits until it has ended.
func (t *task) end(ctx context.Context) error {
	if err := t.kill(ctx, 9, true); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, killTimeout)
	defer cancel()
	return t.wait(ctx)
}

// kill sends a signal. A container that has ended meanwhile is none to complain about.
func (t *task) kill(ctx context.Context, signal uint32, all bool) error {
	_, err := t.tasks.Kill(ctx, &tasks.KillRequest{ContainerID: t.id, Signal: signal, All: all})
	if isNotFound(err) {
		return nil
	}
	return err
}

func (t *task) wait(ctx context.Context) error {
	_, err := t.tasks.Wait(ctx, &tasks.WaitRequest{ContainerID: t.id})
	if isNotFound(err) {
		return nil
	}
	return err
}

// remove removes a container that doesn't run.
func (t *task) remove(ctx context.Context) error {
	if err := t.removeTask(ctx); err != nil {
		return err
	}
	if _, err := t.containers.Delete(ctx, &containers.DeleteContainerRequest{ID: t.id}); err != nil {
		return err
	}
	t.removeLog(ctx)
	if t.container.GetSnapshotKey() == "" {
		return nil
	}
	_, err := t.snapshots.Remove(ctx, &snapshots.RemoveSnapshotRequest{Snapshotter: t.container.GetSnapshotter(), Key: t.container.GetSnapshotKey()})
	if isNotFound(err) {
		return nil
	}
	return err
}
