package containerd

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rancherdesktop.io/rdd/internal/api/containers/v1alpha1"
	"rancherdesktop.io/rdd/internal/engine/objects"
	"rancherdesktop.io/rdd/internal/forward"
	"rancherdesktop.io/rdd/internal/testenv"
	"rancherdesktop.io/rdd/internal/view"
)

// patient lists again only when events say so.
func patient(e *Engine) { e.Resync = time.Hour }

// lines are the containers of the view as namespace, ID, state and exit code.
func lines(e *Engine) (out []string) {
	list, _ := e.resources.Containers.Store.List(view.Selector{})
	for _, o := range list {
		s := o.(*v1alpha1.Container).Status
		line := s.Namespace + " " + s.ID + " " + string(s.State)
		if s.ExitCode != nil {
			line += fmt.Sprint(" ", *s.ExitCode)
		}
		out = append(out, line)
	}
	slices.Sort(out)
	return out
}

func eventually(t *testing.T, e *Engine, want ...string) {
	t.Helper()
	if !testenv.Within(func() bool { return slices.Equal(lines(e), want) }) {
		t.Fatalf("the view shows %q, want %q", lines(e), want)
	}
}

func TestViewShowsContainersOfAllNamespacesAsTheyChange(t *testing.T) {
	d := realContainerd(t)
	d.run(t, "default", "before", nil, "wait")
	e, _ := connectedEngine(t, d.socket, patient)
	eventually(t, e, "default before running")
	image, err := e.resources.Images.Store.Get(boxImage)
	if err != nil {
		t.Fatal(err)
	}
	i := image.(*v1alpha1.Image).Status
	if i.Namespace != "default" || i.Created.Year() != 2026 || i.Size < 500_000 || i.Labels["made"] != "here" || !strings.HasPrefix(i.ID, "sha256:") || !slices.Equal(i.Containers, []string{"before"}) {
		t.Errorf("the image is shown as %+v", i)
	}
	o, err := e.resources.Containers.Store.Get("before")
	if err != nil {
		t.Fatal(err)
	}
	if c := o.(*v1alpha1.Container); c.Name != "default:before" || c.Status.ImageID != i.ID || c.Status.Image != boxImage || c.Status.Command != "/box wait" || c.Status.StartedAt != nil || c.Status.Created.IsZero() {
		t.Errorf("the container is shown as %+v", c)
	}
	if s := e.State(); s.Containers != 1 || s.Version == "" || strings.ContainsAny(s.Version, "v~") {
		t.Errorf("%+v", s)
	}

	d.ctr(t, "-n", "default", "task", "pause", "before")
	eventually(t, e, "default before paused")
	d.ctr(t, "-n", "default", "task", "resume", "before")
	eventually(t, e, "default before running")
	d.ctr(t, "-n", "default", "task", "kill", "-s", "SIGKILL", "before")
	eventually(t, e, "default before exited 137")
	d.ctr(t, "-n", "default", "task", "rm", "before")
	eventually(t, e, "default before created")

	// Another namespace, with the same ID.
	d.ctr(t, "-n", "default", "images", "tag", boxImage, "docker.io/library/box:2")
	testenv.Eventually(t, "the tag is shown", func() bool {
		_, err := e.resources.Images.Store.Get("box:2")
		return err == nil
	})
	d.ctr(t, "-n", "other", "images", "ls")
	d.copyImage(t, "other")
	d.run(t, "other", "before", nil, "wait")
	eventually(t, e, "default before created", "other before running")
	testenv.Eventually(t, "the start of a container and its image, which may be read after it", func() bool {
		o, err := e.resources.Containers.Store.Get("other:before")
		return err == nil && o.(*v1alpha1.Container).Status.StartedAt != nil && o.(*v1alpha1.Container).Status.ImageID != ""
	})
	if _, err := e.resources.Containers.Store.Get("before"); err == nil || !strings.Contains(err.Error(), "other:before") {
		t.Errorf("two containers are called so: %v", err)
	}
	d.ctr(t, "-n", "default", "container", "rm", "before")
	eventually(t, e, "other before running")
	d.ctr(t, "-n", "default", "images", "rm", "docker.io/library/box:2")
	testenv.Eventually(t, "the tag is gone", func() bool {
		_, err := e.resources.Images.Store.Get("box:2")
		return err != nil
	})
}

// copyImage puts the image into another namespace.
func (d *daemon) copyImage(t *testing.T, namespace string) {
	t.Helper()
	file := t.TempDir() + "/box.tar"
	d.ctr(t, "-n", "default", "images", "export", file, boxImage)
	d.ctr(t, "-n", namespace, "images", "import", file)
}

func TestViewIsRightAfterAStormAndLostConnections(t *testing.T) {
	d := realContainerd(t)
	e, g := connectedEngine(t, d.socket, patient)
	var workers sync.WaitGroup
	for w := range 4 {
		workers.Go(func() {
			for i := range 5 {
				id := fmt.Sprintf("storm-%d-%d", w, i)
				command := "wait"
				if i%2 == 0 {
					command = "log"
				}
				d.run(t, "default", id, nil, command)
				switch i {
				case 1:
					d.ctr(nil, "-n", "default", "task", "kill", "-s", "SIGKILL", id)
				case 3:
					d.ctr(nil, "-n", "default", "task", "rm", "-f", id)
					d.ctr(nil, "-n", "default", "container", "rm", id)
				}
				if w == 0 {
					g.Cut(i == 2) // and lets it connect again after the next one
				}
			}
		})
	}
	workers.Wait()
	g.Cut(false)
	var want []string
	for w := range 4 {
		want = append(want, fmt.Sprintf("default storm-%d-0 exited 0", w), fmt.Sprintf("default storm-%d-1 exited 137", w),
			fmt.Sprintf("default storm-%d-2 exited 0", w), fmt.Sprintf("default storm-%d-4 exited 0", w))
	}
	testenv.Eventually(t, "the engine answers again", func() bool { return e.State().Answers })
	eventually(t, e, want...)
	testenv.Eventually(t, "none runs, which is told after the view shows it", func() bool { s := e.State(); return s.Answers && s.Containers == 0 })
}

func TestLostContainerdIsSaidAfterAWhile(t *testing.T) {
	d := realContainerd(t)
	d.run(t, "default", "one", nil, "wait")
	e, g := connectedEngine(t, d.socket, func(e *Engine) { e.Grace = 0 })
	eventually(t, e, "default one running")
	g.Cut(true)
	testenv.Eventually(t, "the view says why it is empty", func() bool {
		return len(lines(e)) == 0 && strings.Contains(e.resources.Containers.Store.Reason(), "the test has cut it")
	})
	if s := e.State(); s.Answers || !strings.Contains(s.Problem, "the test has cut it") {
		t.Errorf("%+v", s)
	}
	g.Cut(false)
	eventually(t, e, "default one running")
}

func TestLabelsOfNerdctlAndKubernetesAreUnderstood(t *testing.T) {
	d := realContainerd(t)
	var mu sync.Mutex
	var published []forward.Binding
	e, _ := connectedEngine(t, d.socket, func(e *Engine) {
		e.Published = func(b []forward.Binding) { mu.Lock(); published = b; mu.Unlock() }
	})
	d.run(t, "default", "0123", []string{
		"--label", "nerdctl/name=web", "--label", `nerdctl/ports=[{"HostPort":8080,"ContainerPort":80,"Protocol":"tcp","HostIP":"0.0.0.0"}]`,
		"--label", `nerdctl/mounts=[{"Type":"volume","Name":"data","Source":"/v","Destination":"/data","RW":true}]`,
		"--label", `nerdctl/networks=["bridge"]`, "--label", objects.ProjectLabel + "=shop",
	}, "wait")
	d.run(t, "default", "4567", []string{
		"--label", "io.cri-containerd.kind=container", "--label", "io.kubernetes.pod.name=dns-1", "--label", "io.kubernetes.container.name=dns", "--mount", "type=bind,src=/tmp,dst=/t,options=rbind:ro",
	}, "wait")
	eventually(t, e, "default 0123 running", "default 4567 running")
	o, err := e.resources.Containers.Store.Get("web")
	if err != nil {
		t.Fatal(err)
	}
	s := o.(*v1alpha1.Container).Status
	if fmt.Sprint(s.Ports) != "[{tcp 80  8080}]" || fmt.Sprint(s.Mounts) != "[{volume data /v /data false}]" || fmt.Sprint(s.Networks) != "[bridge]" || s.Project != "shop" {
		t.Errorf("nerdctl's container is shown as %+v", s)
	}
	if o, err = e.resources.Containers.Store.Get("dns-1/dns"); err != nil {
		t.Fatal(err)
	}
	if s := o.(*v1alpha1.Container).Status; fmt.Sprint(s.Mounts) != "[{bind  /tmp /t true}]" {
		t.Errorf("the pod's container is shown as %+v", s)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(published) != 1 || published[0].HostPort != 8080 || published[0].GuestIP != "127.0.0.1" || published[0].Container != "web" {
		t.Errorf("published: %+v", published)
	}
}
