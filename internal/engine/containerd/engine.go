// Package containerd is containerd as the App's engine, as the service sees it: it mirrors the containers and images of all
// namespaces, stays right whatever is lost on the way, and carries out the actions on them. It speaks containerd's own API.
// Package choice runs its Engine while containerd is the App's engine.
package containerd

import (
	"sync"
	"time"

	eventtypes "github.com/containerd/containerd/api/events"
	"github.com/containerd/containerd/api/types"
	tasktypes "github.com/containerd/containerd/api/types/task"
	"google.golang.org/protobuf/proto"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rancherdesktop.io/rdd/internal/engine"
	"rancherdesktop.io/rdd/internal/engine/mirror"
	"rancherdesktop.io/rdd/internal/engine/objects"
	"rancherdesktop.io/rdd/internal/view"
)

// Engine follows the containerd that the Link names.
type Engine struct {
	mirror.Follower[*session, struct{}]
	resources objects.Set
	starts    starts
}

// New returns an Engine that shows its objects in the stores of a set. Nothing is shown until Run is called.
func New(o mirror.Options, set objects.Set) *Engine {
	e := &Engine{resources: set}
	e.Name, e.Mirror, e.Open, e.Plain, e.Refusal = engine.Containerd, mirror.New(set), e.open, plain, refusal
	e.Prepare(o)
	return e
}

// Resources are what the API server serves of the engine. Volumes and networks are nerdctl's, of which containerd knows nothing.
func (e *Engine) Resources() []view.Resource {
	r := e.resources
	r.Containers.Delete, r.Containers.Subresources = e.deleteContainer, e.containerSubresources()
	r.Images.Delete, r.Images.Subresources = e.deleteImage, e.imageSubresources()
	return r.All()
}

// starts remembers when tasks were started, which containerd tells only at that moment. Its zero value is ready to use.
type starts struct {
	mu    sync.Mutex
	known map[string]start
}

// start is when a process was started.
type start struct {
	pid uint32
	at  time.Time
}

// note keeps what an event says that a task was started.
func (s *starts) note(name string, e *types.Envelope) {
	var m eventtypes.TaskStart
	if proto.Unmarshal(e.GetEvent().GetValue(), &m) != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil {
		s.known = map[string]start{}
	}
	s.known[name] = start{m.GetPid(), e.GetTimestamp().AsTime()}
}

// of returns when the process of a container was started; nil when that is not known.
func (s *starts) of(name string, p *tasktypes.Process) *metav1.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known, ok := s.known[name]; ok && p != nil && known.pid == p.GetPid() {
		return &metav1.Time{Time: known.at}
	}
	return nil
}

func (s *starts) forget(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.known, name)
}
