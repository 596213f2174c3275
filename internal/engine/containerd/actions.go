package containerd

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	containers "github.com/containerd/containerd/api/services/containers/v1"
	images "github.com/containerd/containerd/api/services/images/v1"
	snapshots "github.com/containerd/containerd/api/services/snapshots/v1"
	tasks "github.com/containerd/containerd/api/services/tasks/v1"
	tasktypes "github.com/containerd/containerd/api/types/task"
	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"github.com/distribution/reference"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rancherdesktop.io/rdd/internal/api/containers/v1alpha1"
	"rancherdesktop.io/rdd/internal/engine/answers"
	"rancherdesktop.io/rdd/internal/engine/mirror"
	"rancherdesktop.io/rdd/internal/view"
)

const (
	// stopTimeout is how long a container may take to stop before it is killed, if the client doesn't say.
	stopTimeout = 10 * time.Second
	// killTimeout bounds the wait for the end of a container that was killed.
	killTimeout = 10 * time.Second
)

// Labels that say how a container is stopped, and whether containerd starts it again.
const (
	stopSignalLabel    = "io.containerd.image.config.stop-signal"
	restartStatusLabel = "containerd.io/restart.status"
	explicitStopLabel  = "containerd.io/restart.explicitly-stopped"
)

func conflict(format string, a ...any) error {
	return view.Status(http.StatusConflict, fmt.Sprintf(format, a...))
}

// refusal makes an error of containerd one that reaches the client with containerd's own sentence.
func refusal(err error) error {
	said, ok := status.FromError(err)
	switch {
	case err == nil:
		return nil
	case !ok: // it is not containerd's
		return answers.Refusal(err, err.Error())
	case said.Code() == codes.Unavailable:
		return view.Status(http.StatusServiceUnavailable, "The engine does not answer: "+plain(err).Error()+".")
	}
	return answers.Refusal(errgrpc.ToNative(err), said.Message())
}

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

// signalNumber returns the number of a signal of Linux: 15, TERM or SIGTERM.
func signalNumber(name string) (uint32, error) {
	if n, err := strconv.ParseUint(name, 10, 8); err == nil && n > 0 && n <= 64 {
		return uint32(n), nil
	}
	i := slices.Index(signals(), strings.TrimPrefix(strings.ToUpper(name), "SIG"))
	if i < 0 {
		return 0, view.Status(http.StatusBadRequest, fmt.Sprintf("There is no signal %q.", name))
	}
	return uint32(i + 1), nil
}

// signals are the signals of Linux from 1 on, without SIG. This program may run on another system.
func signals() []string {
	return strings.Fields("HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS")
}

func (e *Engine) containerSubresources() map[string]view.Subresource {
	onTask := func(do func(ctx context.Context, t *task, query url.Values) error) view.Subresource {
		return answers.Action(func(r *http.Request, o view.Object) error {
			return e.Act(r.Context(), mirror.Key{Kind: mirror.Containers, ID: o.GetName()}, func(ctx context.Context, s *session) error {
				ctx, t, err := s.open(ctx, o.GetName())
				if err != nil {
					return err
				}
				return do(ctx, t, r.URL.Query())
			})
		})
	}
	stop := func(ctx context.Context, t *task, query url.Values) error {
		timeout := stopTimeout
		seconds, err := answers.Number(query, "timeout")
		if err != nil {
			return err
		}
		if seconds != nil {
			timeout = time.Duration(*seconds) * time.Second
		}
		return t.stop(ctx, query.Get("signal"), timeout)
	}
	return map[string]view.Subresource{
		"start": onTask(func(ctx context.Context, t *task, _ url.Values) error { return t.start(ctx) }),
		"stop":  onTask(stop),
		"restart": onTask(func(ctx context.Context, t *task, query url.Values) error {
			if err := stop(ctx, t, query); err != nil {
				return err
			}
			ctx, t, err := t.open(ctx, objectName(t.namespace, t.id))
			if err != nil {
				return err
			}
			return t.start(ctx)
		}),
		"pause": onTask(func(ctx context.Context, t *task, _ url.Values) error {
			if t.status() != tasktypes.Status_RUNNING {
				return conflict("The container does not run.")
			}
			_, err := t.tasks.Pause(ctx, &tasks.PauseTaskRequest{ContainerID: t.id})
			return err
		}),
		"unpause": onTask(func(ctx context.Context, t *task, _ url.Values) error {
			if t.status() != tasktypes.Status_PAUSED {
				return conflict("The container is not paused.")
			}
			_, err := t.tasks.Resume(ctx, &tasks.ResumeTaskRequest{ContainerID: t.id})
			return err
		}),
		"kill": onTask(func(ctx context.Context, t *task, query url.Values) error {
			number, err := signalNumber(cmp.Or(query.Get("signal"), "SIGKILL"))
			switch {
			case err != nil:
				return err
			case !t.runs():
				return conflict("The container does not run.")
			}
			return t.kill(ctx, number, false)
		}),
		"log":  e.Stream((*session).serveLog, http.MethodGet),
		"exec": e.Stream((*session).serveExec, http.MethodGet, http.MethodPost),
	}
}

// deleteContainer removes a container with its snapshot. With a grace period of 0 it is killed first, with another one it is
// stopped first; without one, a container that runs is not removed.
func (e *Engine) deleteContainer(ctx context.Context, o view.Object, options *metav1.DeleteOptions) error {
	return e.Act(ctx, mirror.Key{Kind: mirror.Containers, ID: o.GetName()}, func(ctx context.Context, s *session) error {
		ctx, t, err := s.open(ctx, o.GetName())
		if err != nil {
			return err
		}
		forced := answers.Forced(options)
		ours := t.container.GetLabels()[nerdctlName] == ""
		switch {
		case forced && !ours:
			return t.nerdctl(ctx, "rm", "--force")
		case t.runs() && forced:
			err = t.end(ctx)
		case t.runs() && options != nil && options.GracePeriodSeconds != nil:
			err = t.stop(ctx, "", time.Duration(*options.GracePeriodSeconds)*time.Second)
		case t.runs():
			err = conflict("The container runs. Stop it first, or force its removal.")
		}
		if err != nil {
			return err
		}
		if !ours {
			return t.nerdctl(ctx, "rm")
		}
		return t.remove(ctx)
	})
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

func (e *Engine) imageSubresources() map[string]view.Subresource {
	return map[string]view.Subresource{"tag": answers.Action(func(r *http.Request, o view.Object) error {
		target := r.URL.Query().Get("target")
		if target == "" {
			return view.Status(http.StatusBadRequest, "The query needs target=REPOSITORY:TAG, for example ?target=shop:2.")
		}
		named, err := reference.ParseDockerRef(target)
		if err != nil {
			return view.Status(http.StatusBadRequest, err.Error())
		}
		return e.Act(r.Context(), mirror.Key{Kind: mirror.Images}, func(ctx context.Context, s *session) error {
			ctx, all, err := s.namesOf(ctx, o)
			if err != nil {
				return err
			}
			if len(all) == 0 {
				return view.Status(http.StatusNotFound, "The image is gone.")
			}
			tagged := &images.Image{Name: named.String(), Target: all[0].GetTarget(), Labels: all[0].GetLabels()}
			_, err = s.images.Create(ctx, &images.CreateImageRequest{Image: tagged})
			if errdefs.IsAlreadyExists(errgrpc.ToNative(err)) {
				_, err = s.images.Update(ctx, &images.UpdateImageRequest{Image: tagged})
			}
			return err
		})
	})}
}

// namesOf returns all of containerd's images that are the one of an object. The returned context is for its namespace.
func (s *session) namesOf(ctx context.Context, o view.Object) (context.Context, []*images.Image, error) {
	i, ok := o.(*v1alpha1.Image)
	if !ok {
		return ctx, nil, view.Status(http.StatusInternalServerError, "This is no image.")
	}
	ctx = in(ctx, i.Status.Namespace)
	list, err := s.images.List(ctx, &images.ListImagesRequest{Filters: []string{"target.digest==" + i.Status.ID}})
	return ctx, list.GetImages(), err
}

// deleteImage removes a tag, and with the last one the image, unless containers use it. A grace period of 0 removes it
// although they do.
func (e *Engine) deleteImage(ctx context.Context, o view.Object, options *metav1.DeleteOptions) error {
	return e.Act(ctx, mirror.Key{Kind: mirror.Images}, func(ctx context.Context, s *session) error {
		ctx, all, err := s.namesOf(ctx, o)
		if err != nil {
			return err
		}
		i := o.(*v1alpha1.Image).Status //nolint:forcetypeassert // namesOf has checked it
		names, tags := []string{i.RepoTag}, 0
		for _, other := range all {
			if isTag(other.GetName()) {
				tags++
			}
		}
		if tags <= 1 { // the references with digests go with the last tag
			if len(i.Containers) > 0 && !answers.Forced(options) {
				return conflict("These containers use the image: %s. Remove them first, or force its removal.", strings.Join(i.Containers, ", "))
			}
			names = nil
			for _, other := range all {
				names = append(names, other.GetName())
			}
		}
		for _, name := range names {
			if _, err := s.images.Delete(ctx, &images.DeleteImageRequest{Name: name, Sync: true}); err != nil && !isNotFound(err) {
				return err
			}
		}
		return nil
	})
}
