package containerd

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"time"

	tasks "github.com/containerd/containerd/api/services/tasks/v1"
	tasktypes "github.com/containerd/containerd/api/types/task"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rancherdesktop.io/rdd/internal/engine/answers"
	"rancherdesktop.io/rdd/internal/engine/mirror"
	"rancherdesktop.io/rdd/internal/view"
)

// stopTimeout is how long a container may take to stop before it is killed, if the client doesn't say.
const stopTimeout = 10 * time.Second

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
