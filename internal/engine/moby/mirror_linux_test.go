package moby

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"rancherdesktop.io/rdd/internal/api/containers/v1alpha1"
	"rancherdesktop.io/rdd/internal/engine"
	"rancherdesktop.io/rdd/internal/engine/objects"
	"rancherdesktop.io/rdd/internal/forward"
	"rancherdesktop.io/rdd/internal/testenv"
	"rancherdesktop.io/rdd/internal/view"
)

// storm is how many containers TestViewAndDockerPsAgreeAfterAStorm creates. A minute per 200 on two cores that do nothing else.
var storm = flag.Int("storm", 25, "how many containers the storm creates")

// lines are the containers of the view as name, state and exit code.
func lines(e *Engine) []string {
	var out []string
	for name, s := range shown(e) {
		code := ""
		if s.ExitCode != nil {
			code = fmt.Sprint(*s.ExitCode)
		}
		out = append(out, strings.TrimSpace(name+" "+string(s.State)+" "+code))
	}
	slices.Sort(out)
	return out
}

// dockerLines is the same, asked of the engine.
func (d *dockerd) lines(t *testing.T) []string {
	t.Helper()
	list, err := d.ContainerList(context.Background(), client.ContainerListOptions{All: true})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, c := range list.Items {
		all, err := d.ContainerInspect(context.Background(), c.ID, client.ContainerInspectOptions{})
		if err != nil {
			continue // it is just being removed
		}
		code := ""
		if s := all.Container.State; s.Status == container.StateExited {
			code = fmt.Sprint(s.ExitCode)
		}
		out = append(out, strings.TrimSpace(strings.TrimPrefix(c.Names[0], "/")+" "+string(c.State)+" "+code))
	}
	slices.Sort(out)
	return out
}

func TestViewAndDockerPsAgreeAfterAStorm(t *testing.T) {
	d := realEngine(t)
	var mu sync.Mutex
	var published []forward.Binding
	e, g := startEngine(t, d.socket, func(e *Engine) {
		e.Published = func(b []forward.Binding) { mu.Lock(); published = b; mu.Unlock() }
	})
	ctx := context.Background()
	work := make(chan int)
	var workers sync.WaitGroup
	for range 8 {
		workers.Go(func() {
			for i := range work {
				config := container.Config{Cmd: []string{"wait"}, Labels: map[string]string{"i": fmt.Sprint(i)}}
				if i%2 == 0 {
					config.Cmd = nil
				}
				id := d.create(t, fmt.Sprintf("storm-%d", i), config, container.HostConfig{AutoRemove: i%5 == 4})
				_, _ = d.ContainerStart(ctx, id, client.ContainerStartOptions{})
				if i%5 == 1 {
					_, _ = d.ContainerPause(ctx, id, client.ContainerPauseOptions{})
				}
				if i%5 == 3 {
					_, _ = d.ContainerKill(ctx, id, client.ContainerKillOptions{Signal: "SIGKILL"})
				}
				if i%5 == 2 {
					_, _ = d.ContainerRemove(ctx, id, client.ContainerRemoveOptions{Force: true})
				}
			}
		})
	}
	for i := range *storm {
		work <- i
		switch i {
		case *storm / 3, *storm / 2:
			g.Cut(false)
		}
	}
	close(work)
	workers.Wait()
	var want, got []string
	ok := testenv.Within(func() bool {
		want, got = d.lines(t), lines(e)
		return slices.Equal(want, got)
	})
	if !ok || len(want) == 0 {
		t.Fatalf("the view differs from docker ps -a:\n%s\n\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if state := e.State(); !state.Answers || state.Version == "" || state.APIVersion == "" || state.Problem != "" {
		t.Errorf("state: %+v", state)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(published) > 0 {
		t.Errorf("ports: %+v", published)
	}
}

func TestContainersShowWhatDockerInspectSays(t *testing.T) {
	d := realEngine(t)
	var mu sync.Mutex
	var published []forward.Binding
	e, _ := connectedEngine(t, d.socket, func(e *Engine) {
		e.Published = func(b []forward.Binding) { mu.Lock(); published = b; mu.Unlock() }
	})
	web, dns, free := network.MustParsePort("80/tcp"), network.MustParsePort("53/udp"), network.MustParsePort("81/tcp")
	exposed := network.MustParsePort("9000/tcp")
	id := d.create(t, "web", container.Config{
		Cmd: []string{"wait", "a b"}, Labels: map[string]string{objects.ProjectLabel: "shop", objects.ServiceLabel: "web", "note": "no label of Kubernetes!"},
		ExposedPorts: network.PortSet{web: {}, dns: {}, free: {}, exposed: {}},
		Healthcheck:  &container.HealthConfig{Test: []string{"CMD", "/box"}, Interval: 1e9, Timeout: 30e9},
	}, container.HostConfig{
		Binds: []string{"data:/data:ro"},
		PortBindings: network.PortMap{
			web: {{HostPort: "8080"}}, dns: {{HostIP: netip.MustParseAddr("127.0.0.1"), HostPort: "5353"}}, free: {{HostIP: netip.MustParseAddr("0.0.0.0")}},
		},
	})
	d.start1(t, id)
	var s v1alpha1.ContainerStatus
	testenv.Eventually(t, "web is healthy", func() bool { s = shown(e)["web"]; return s.Health == "healthy" })
	anyPort := int32(0)
	for _, p := range s.Ports {
		if p.ContainerPort == 81 {
			anyPort = p.HostPort
		}
	}
	wantPorts := []v1alpha1.ContainerPort{
		{Protocol: "udp", ContainerPort: 53, HostIP: "127.0.0.1", HostPort: 5353},
		{Protocol: "tcp", ContainerPort: 80, HostPort: 8080},
		{Protocol: "tcp", ContainerPort: 81, HostIP: "0.0.0.0", HostPort: anyPort},
		{Protocol: "tcp", ContainerPort: 9000},
	}
	if !slices.Equal(s.Ports, wantPorts) || anyPort == 0 {
		t.Errorf("ports: %+v", s.Ports)
	}
	mu.Lock()
	wantBindings := []forward.Binding{
		{Protocol: "udp", HostIP: "127.0.0.1", HostPort: 5353, GuestIP: "127.0.0.1", GuestPort: 5353, Container: "web"},
		{Protocol: "tcp", HostPort: 8080, GuestIP: "127.0.0.1", GuestPort: 8080, Container: "web"},
		{Protocol: "tcp", HostIP: "0.0.0.0", HostPort: int(anyPort), GuestIP: "127.0.0.1", GuestPort: int(anyPort), Container: "web"},
	}
	if !slices.Equal(published, wantBindings) {
		t.Errorf("published: %+v", published)
	}
	mu.Unlock()
	if s.ID != id || s.State != v1alpha1.ContainerRunning || s.Image != boxImage || s.Command != "/box wait 'a b'" || s.Project != "shop" || s.Service != "web" ||
		s.StartedAt == nil || s.FinishedAt != nil || s.ExitCode != nil || len(s.Labels) != 3 || !slices.Equal(s.Networks, []string{"bridge"}) {
		t.Errorf("status: %+v", s)
	}
	if len(s.Mounts) != 1 || s.Mounts[0].Type != "volume" || s.Mounts[0].Name != "data" || s.Mounts[0].Destination != "/data" || !s.Mounts[0].ReadOnly {
		t.Errorf("mounts: %+v", s.Mounts)
	}
	o, err := e.resources.Containers.Store.Get("web")
	if err != nil || o.GetName() != id || len(o.GetLabels()) != 2 {
		t.Errorf("web is %v, %v", o, err)
	}
	for _, used := range []struct {
		store *view.Store
		name  string
	}{{e.resources.Images.Store, boxImage}, {e.resources.Volumes.Store, "data"}, {e.resources.Networks.Store, "bridge"}} {
		testenv.Eventually(t, used.name+" is used by web", func() bool {
			o, err := used.store.Get(used.name)
			return err == nil && slices.Equal(users(o), []string{"web"})
		})
	}
	if state := e.State(); state.Containers != 1 {
		t.Errorf("state: %+v", state)
	}

	if _, err := d.ContainerKill(t.Context(), id, client.ContainerKillOptions{}); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, "web has exited", func() bool { s = shown(e)["web"]; return s.State == v1alpha1.ContainerExited })
	if s.ExitCode == nil || *s.ExitCode != 137 || s.FinishedAt == nil {
		t.Errorf("status: %+v", s)
	}
	testenv.Eventually(t, "no port is published", func() bool { mu.Lock(); defer mu.Unlock(); return len(published) == 0 })
}

func users(o view.Object) []string {
	switch o := o.(type) {
	case *v1alpha1.Image:
		return o.Status.Containers
	case *v1alpha1.Volume:
		return o.Status.Containers
	case *v1alpha1.Network:
		return o.Status.Containers
	}
	return nil
}

func TestImagesHaveAnObjectForEachTag(t *testing.T) {
	d := realEngine(t)
	e, _ := connectedEngine(t, d.socket, nil)
	ctx := t.Context()
	tags := func() (out []string) {
		list, _ := e.resources.Images.Store.List(view.Selector{})
		for _, o := range list {
			i := o.(*v1alpha1.Image)
			if i.Name != objects.ImageName(i.Status.ID, i.Status.RepoTag) || i.Status.Size == 0 {
				t.Errorf("image: %+v", i)
			}
			out = append(out, i.Status.RepoTag)
		}
		slices.Sort(out)
		return out
	}
	testenv.Eventually(t, "one image", func() bool { return slices.Equal(tags(), []string{boxImage}) })
	if _, err := d.ImageTag(ctx, client.ImageTagOptions{Source: boxImage, Target: "localhost:5000/box:2"}); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, "two tags", func() bool { return slices.Equal(tags(), []string{boxImage, "localhost:5000/box:2"}) })
	if _, err := d.ImageRemove(ctx, "localhost:5000/box:2", client.ImageRemoveOptions{}); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, "one tag", func() bool { return slices.Equal(tags(), []string{boxImage}) })
}

func TestAStoppedEngineShowsNothingAndSaysWhy(t *testing.T) {
	d := realEngine(t)
	id := d.create(t, "one", container.Config{Cmd: []string{"wait"}}, container.HostConfig{})
	d.start1(t, id)
	changes := make(chan engine.State, 100)
	e, _ := startEngine(t, d.socket, func(e *Engine) { e.Changed = func() { changes <- e.State() } })
	testenv.Eventually(t, "the container is shown", func() bool { return len(shown(e)) == 1 })
	testenv.Eventually(t, "the networks are shown", func() bool {
		list, _ := e.resources.Networks.Store.List(view.Selector{})
		return len(list) == 3
	})
	e.Link.Set(engine.Target{Phase: engine.Stopped, Reason: "The App is stopped: rdd start", Engine: engine.Moby})
	for _, r := range e.Resources() {
		testenv.Eventually(t, "nothing is shown", func() bool {
			list, _ := r.Store.List(view.Selector{})
			return len(list) == 0 && r.Store.Reason() == "The App is stopped: rdd start"
		})
	}
	if state := e.State(); state != (engine.State{}) {
		t.Errorf("state: %+v", state)
	}
	if _, err := e.Current(); err == nil || !strings.Contains(err.Error(), "rdd start") {
		t.Errorf("an action is refused with: %v", err)
	}
	var states []engine.State
	for len(changes) > 0 {
		states = append(states, <-changes)
	}
	answered := slices.ContainsFunc(states, func(s engine.State) bool { return s.Answers && s.Containers == 1 })
	if !answered || states[len(states)-1].Answers {
		t.Errorf("told: %+v", states)
	}
}

func TestALostEngineIsShownForAWhileAndFoundAgain(t *testing.T) {
	d := realEngine(t)
	d.create(t, "one", container.Config{}, container.HostConfig{})
	e, g := connectedEngine(t, d.socket, func(e *Engine) { e.Grace = 0 })
	g.Cut(true)
	testenv.Eventually(t, "the view is empty and says why", func() bool {
		return len(shown(e)) == 0 && strings.Contains(e.resources.Containers.Store.Reason(), "the test has cut it")
	})
	state := e.State()
	if state.Answers || state.Attempts == 0 || state.Problem != "The engine does not answer: there is no connection to the guest: the test has cut it." {
		t.Errorf("state: %+v", state)
	}
	g.Cut(false)
	testenv.Eventually(t, "the container is shown again", func() bool { return e.State().Answers && len(shown(e)) == 1 })
}

func TestALostConnectionDoesNotEmptyTheView(t *testing.T) {
	d := realEngine(t)
	d.create(t, "one", container.Config{}, container.HostConfig{})
	e, g := connectedEngine(t, d.socket, func(e *Engine) { e.Grace = testenv.Timeout })
	w, err := e.resources.Containers.Store.Watch(t.Context(), view.WatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	g.Cut(true)
	testenv.Eventually(t, "attempts fail", func() bool { return e.State().Attempts > 0 })
	d.create(t, "two", container.Config{}, container.HostConfig{})
	g.Cut(false)
	told := <-w.ResultChan()
	if o, ok := told.Object.(*v1alpha1.Container); !ok || o.Status.Name != "two" || told.Type != "ADDED" {
		t.Errorf("told: %s %+v", told.Type, told.Object)
	}
	if names := slices.Sorted(maps.Keys(shown(e))); !slices.Equal(names, []string{"one", "two"}) {
		t.Errorf("shown: %v", names)
	}
}
