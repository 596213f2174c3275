package containerd

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	tasks "github.com/containerd/containerd/api/services/tasks/v1"
	"google.golang.org/protobuf/types/known/anypb"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	tasktypes "github.com/containerd/containerd/api/types/task"

	"rancherdesktop.io/rdd/internal/engine/answers"
	"rancherdesktop.io/rdd/internal/engine/mirror"
	"rancherdesktop.io/rdd/internal/view"
)

// processType is what containerd calls an OCI process in an Any.
const processType = "types.containerd.io/opencontainers/runtime-spec/1/Process"

// cleanTimeout bounds the removal of what a command has left.
const cleanTimeout = 10 * time.Second

// serveExec runs a command in a container.
func (s *session) serveExec(w http.ResponseWriter, r *http.Request, o view.Object) error {
	want, err := answers.CommandStreamsOf(r)
	if err != nil {
		return err
	}
	p, err := s.exec(r, o.GetName(), want)
	if err != nil {
		return err
	}
	defer p.clean()
	(&answers.Process{
		Stdin: p.stdin, EndStdin: p.endStdin, Output: p.output, Resize: p.resize, Status: p.status, HangUp: p.hangUp,
	}).Serve(s.Target, w, r, want)
	return nil
}

// process is a command in a container. containerd gives its streams to named pipes in the guest, and a command in the guest for
// each brings it here.
type process struct {
	*task
	exec                  string // its ID
	tty                   bool
	folder                string // of its pipes, in the guest
	stdin, stdout, stderr *mirror.Script
}

// exec starts a command.
func (s *session) exec(r *http.Request, name string, want answers.Streams) (_ *process, err error) {
	ctx, t, err := s.open(r.Context(), name)
	switch {
	case err != nil:
		return nil, err
	case t.status() != tasktypes.Status_RUNNING:
		return nil, conflict("The container does not run. Start it first.")
	}
	spec, err := t.processSpec(r.URL.Query(), want.TTY)
	if err != nil {
		return nil, err
	}
	p := &process{task: t, exec: "rdd-" + strings.ToLower(rand.Text()), tty: want.TTY}
	p.folder = "/run/rdd-exec/" + p.exec
	defer func() {
		if err != nil {
			p.clean()
		}
	}()
	request := &tasks.ExecProcessRequest{ContainerID: t.id, ExecID: p.exec, Terminal: want.TTY, Spec: &anypb.Any{TypeUrl: processType, Value: spec}}
	for _, stream := range []struct {
		name   string
		on     bool
		conn   **mirror.Script
		path   *string
		script string
	}{
		{"stdin", want.Stdin, &p.stdin, &request.Stdin, `cat >"$1"`},
		{"stdout", want.Stdout || want.TTY, &p.stdout, &request.Stdout, `cat <"$1"`},
		{"stderr", want.Stderr, &p.stderr, &request.Stderr, `cat <"$1"`},
	} {
		if !stream.on {
			continue
		}
		*stream.path = p.folder + "/" + stream.name
		if *stream.conn, err = p.pipe(ctx, *stream.path, stream.script); err != nil {
			return nil, err
		}
	}
	if _, err = p.tasks.Exec(ctx, request); err != nil {
		return nil, err
	}
	if _, err = p.tasks.Start(ctx, &tasks.StartRequest{ContainerID: t.id, ExecID: p.exec}); err != nil {
		return nil, err
	}
	return p, nil
}

// pipe makes a named pipe in the guest, and connects to it.
func (p *process) pipe(ctx context.Context, path, script string) (*mirror.Script, error) {
	conn, first, err := p.Script(ctx, `mkdir -p -m 700 "${1%/*}" && mkfifo -m 600 "$1" || { echo failed; exit; }; echo ready; exec `+script, path)
	if err == nil && first != "ready\n" {
		_ = conn.Close()
		err = view.Status(http.StatusInternalServerError, "The virtual machine can't make a pipe for the command.")
	}
	return conn, err
}

// processSpec is the container's own process with another command.
func (t *task) processSpec(query url.Values, tty bool) ([]byte, error) {
	var spec struct {
		Process map[string]any `json:"process"`
	}
	if err := json.Unmarshal(t.container.GetSpec().GetValue(), &spec); err != nil || spec.Process == nil {
		return nil, conflict("What the container runs is not understood, so nothing can be run in it.")
	}
	p := maps.Clone(spec.Process)
	p["args"], p["terminal"] = query["command"], tty
	env, _ := p["env"].([]any)
	for _, variable := range query["env"] {
		env = append(env, variable)
	}
	if tty && len(query["env"]) == 0 {
		env = append(env, "TERM=xterm")
	}
	p["env"] = env
	if dir := query.Get("workdir"); dir != "" {
		p["cwd"] = dir
	}
	if user := query.Get("user"); user != "" {
		uid, gid, _ := strings.Cut(user, ":")
		u, err := strconv.ParseUint(uid, 10, 32)
		g, groupErr := uint64(0), error(nil)
		if gid != "" {
			g, groupErr = strconv.ParseUint(gid, 10, 32)
		}
		if err != nil || groupErr != nil {
			return nil, view.Status(http.StatusBadRequest, fmt.Sprintf("With containerd, user must be numbers, UID or UID:GID, and is %q.", user))
		}
		p["user"] = map[string]any{"uid": u, "gid": g}
	}
	return json.Marshal(p)
}

func (p *process) endStdin() {
	_ = p.stdin.CloseWrite()
	if !p.tty {
		_, _ = p.tasks.CloseIO(in(p.Target, p.namespace), &tasks.CloseIORequest{ContainerID: p.id, ExecID: p.exec, Stdin: true})
	}
}

// output copies the output to its end. Whether containerd is lost is found out by status.
func (p *process) output(stdout, stderr io.Writer) error {
	var both sync.WaitGroup
	if p.stderr != nil {
		both.Go(func() { _, _ = io.Copy(stderr, p.stderr) })
	}
	if p.stdout != nil {
		both.Go(func() { _, _ = io.Copy(stdout, p.stdout) })
	}
	both.Wait()
	return nil
}

func (p *process) resize(ctx context.Context, height, width uint) error {
	_, err := p.tasks.ResizePty(in(ctx, p.namespace), &tasks.ResizePtyRequest{ContainerID: p.id, ExecID: p.exec, Width: uint32(width), Height: uint32(height)})
	return err
}

// status waits for the end of the command.
func (p *process) status(ctx context.Context) metav1.Status {
	ended, err := p.tasks.Wait(in(ctx, p.namespace), &tasks.WaitRequest{ContainerID: p.id, ExecID: p.exec})
	if err != nil {
		return answers.Failed("How the command ended is unknown: " + plain(err).Error() + ".")
	}
	return answers.Exited(int(ended.GetExitStatus()))
}

// hangUp ends the command's streams.
func (p *process) hangUp() {
	for _, conn := range []*mirror.Script{p.stdin, p.stdout, p.stderr} {
		if conn != nil {
			_ = conn.Close()
		}
	}
}

// clean ends the command if it runs, and removes what there is of it.
func (p *process) clean() {
	p.hangUp()
	ctx, cancel := context.WithTimeout(in(context.WithoutCancel(p.Target), p.namespace), cleanTimeout)
	defer cancel()
	if _, err := p.tasks.Kill(ctx, &tasks.KillRequest{ContainerID: p.id, ExecID: p.exec, Signal: 9}); err == nil {
		_, _ = p.tasks.Wait(ctx, &tasks.WaitRequest{ContainerID: p.id, ExecID: p.exec})
	}
	_, _ = p.tasks.DeleteProcess(ctx, &tasks.DeleteProcessRequest{ContainerID: p.id, ExecID: p.exec})
	p.removeFiles(ctx, p.folder)
}
