package core

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	app "rancherdesktop.io/rdd/internal/api/app/v1alpha1"
	containers "rancherdesktop.io/rdd/internal/api/containers/v1alpha1"
	lima "rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
	"rancherdesktop.io/rdd/internal/atomicfile"
	"rancherdesktop.io/rdd/internal/dockerconfig"
	"rancherdesktop.io/rdd/internal/instance"
)

// appWith returns an App of generation 2 with conditions such as "Settled=True/Settled", observed at that generation or, with
// @1 at their end, at an older one.
func appWith(running bool, conditions ...string) *App {
	a := &App{}
	a.Generation, a.Spec.Running, a.Status.ObservedGeneration = 2, running, 2
	for _, text := range conditions {
		text, old := strings.CutSuffix(text, "@1")
		kind, rest, _ := strings.Cut(text, "=")
		status, reason, _ := strings.Cut(rest, "/")
		c := metav1.Condition{Type: kind, Status: metav1.ConditionStatus(status), Reason: reason, Message: "because of " + reason, ObservedGeneration: 2}
		if old {
			c.ObservedGeneration = 1
		}
		a.Status.Conditions = append(a.Status.Conditions, c)
	}
	return a
}

func TestTheStateOfTheApp(t *testing.T) {
	deleting := appWith(true, "Settled=False/Deleting")
	now := metav1.Now()
	deleting.DeletionTimestamp = &now
	for _, tc := range []struct {
		service ServiceState
		app     *App
		want    AppState
		says    string
	}{
		{ServiceNotCreated, nil, AppNotCreated, ""},
		{ServiceStopped, nil, AppStopped, ""},
		{ServiceStarting, nil, AppStarting, "step"},
		{ServiceStopping, nil, AppStopping, "step"},
		{ServiceBroken, nil, AppBroken, "error"},
		{ServiceRunning, nil, AppNotCreated, ""},
		{ServiceRunning, appWith(true), AppStarting, ""},
		{ServiceRunning, appWith(true, "Settled=True/Settled"), AppRunning, ""},
		{ServiceRunning, appWith(true, "Settled=True/Settled@1"), AppStarting, ""},
		{ServiceRunning, appWith(false, "Settled=True/Settled"), AppStopped, ""},
		{ServiceRunning, appWith(false, "Running=Unknown/Stopping", "Settled=False/WaitingForVM"), AppStopping, "because of WaitingForVM"},
		{ServiceRunning, appWith(false, "Running=True/Started@1", "Settled=True/Settled@1"), AppStopping, ""},
		{ServiceRunning, appWith(false, "Created=Unknown/Pending", "Settled=False/WaitingForVM"), AppStopped, "because of WaitingForVM"},
		{ServiceRunning, appWith(false), AppStopped, ""},
		{ServiceRunning, appWith(true, "Settled=False/WaitingForEngine"), AppStarting, "because of WaitingForEngine"},
		{ServiceRunning, appWith(true, "Settled=False/ApplyingSettings"), AppRestarting, "because of ApplyingSettings"},
		{ServiceRunning, deleting, AppDeleting, "because of Deleting"},
		{ServiceRunning, appWith(true, "Running=False/StartFailed", "Settled=False/StartFailed"), AppBroken, "because of StartFailed"},
		{ServiceRunning, appWith(true, "Running=Unknown/StartFailed", "Settled=False/WaitingForVM"), AppStarting, "because of StartFailed"},
		{ServiceRunning, appWith(true, "ContainerEngineReady=Unknown/ConnectFailed", "Settled=False/WaitingForEngine"), AppBroken, "because of ConnectFailed"},
	} {
		state, message := DescribeApp(ServiceStatus{State: tc.service, Step: "step", Error: "error"}, tc.app)
		if state != tc.want || !strings.HasSuffix(message, tc.says) || tc.says == "" && message != "" && tc.app == nil {
			t.Errorf("%s %+v: %s %q, want %s %q", tc.service, tc.app, state, message, tc.want, tc.says)
		}
	}
}

func TestAServiceWhoseStepIsUnknownIsStarting(t *testing.T) {
	for state, want := range map[ServiceState]string{ServiceStarting: "the service is starting", ServiceStopping: "the service is stopping"} {
		if _, got := DescribeApp(ServiceStatus{State: state}, nil); got != want {
			t.Errorf("%s: %q, want %q", state, got, want)
		}
	}
}

func TestTheReportWarnsOfAFullDisk(t *testing.T) {
	const gib = 1 << 30
	for _, tc := range []struct {
		disk    lima.Disk
		engine  EngineName
		percent int
		advice  string // empty: no warning
	}{
		{lima.Disk{Used: 84 * gib, Capacity: 100 * gib, Allocated: 99 * gib, Maximum: 100 * gib}, Moby, 84, ""},
		{lima.Disk{Used: 85 * gib, Capacity: 100 * gib, Maximum: 100 * gib}, Moby, 85, "with: docker system prune;"},
		{lima.Disk{Allocated: 90 * gib, Maximum: 100 * gib}, Containerd, 90, "with: rdd nerdctl system prune;"},
		{lima.Disk{}, Moby, 0, ""},
	} {
		a := &App{Status: app.AppStatus{Disk: &tc.disk}}
		a.Spec.ContainerEngine.Name = tc.engine
		r := DiskReportOf(a)
		if r.Percent != tc.percent || (r.Warning == "") != (tc.advice == "") || !strings.Contains(r.Warning, tc.advice) ||
			tc.advice != "" && !strings.Contains(r.Warning, "rdd set virtualMachine.disk=151Gi") {
			t.Errorf("%+v: %+v", tc.disk, r)
		}
	}
	if DiskReportOf(&App{}) != nil {
		t.Error("a report of no disk")
	}
}

func TestTheReportSaysWhetherDockerUsesTheApp(t *testing.T) {
	for _, tc := range []struct {
		name                   string
		config, host, variable string // config.json, DOCKER_HOST, DOCKER_CONTEXT
		exists                 bool
		want                   DockerContext
	}{
		{"current", `{"currentContext": "rdd"}`, "", "", true, DockerContext{Current: true, Used: true}},
		{"byte order mark, which docker doesn't read", "\ufeff" + `{"currentContext": "rdd"}`, "", "", true, DockerContext{}},
		{"another", `{"currentContext": "other"}`, "", "", true, DockerContext{}},
		{"no config.json", "", "", "", true, DockerContext{}},
		{"broken config.json", "{", "", "", true, DockerContext{}},
		{"context is missing", `{"currentContext": "rdd"}`, "", "", false, DockerContext{}},
		{"DOCKER_HOST", `{"currentContext": "rdd"}`, "tcp://example:2375", "rdd", true, DockerContext{Current: true, Override: "DOCKER_HOST is set"}},
		{"DOCKER_HOST is the App's", "", "ours", "", false, DockerContext{Used: true}},
		{"DOCKER_CONTEXT", `{"currentContext": "rdd"}`, "", "other", true, DockerContext{Current: true, Override: "DOCKER_CONTEXT is set"}},
		{"DOCKER_CONTEXT is the App's", "", "", "rdd", true, DockerContext{Used: true}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			home := t.TempDir()
			t.Setenv("HOME", home)
			t.Setenv("DOCKER_CONFIG", filepath.Join(home, ".docker"))
			t.Setenv("DOCKER_HOST", strings.Replace(tc.host, "ours", "unix://"+home+"/.rdd/default/docker.sock", 1))
			t.Setenv("DOCKER_CONTEXT", tc.variable)
			inst, err := instance.Resolve("default")
			if err != nil {
				t.Fatal(err)
			}
			if tc.exists {
				if err := inst.MakeDirs(); err != nil {
					t.Fatal(err)
				}
				if _, _, err := dockerconfig.Of(inst).Ensure(t.Context(), app.DockerContextNever); err != nil {
					t.Fatal(err)
				}
			}
			if tc.config != "" {
				writeFile(t, filepath.Join(inst.DockerConfigDir(), "config.json"), tc.config)
			}
			tc.want.Name, tc.want.Exists = "rdd", tc.exists
			got := New(inst, "test").DockerContext()
			got.Override, _, _ = strings.Cut(got.Override, ",")
			if got != tc.want {
				t.Errorf("%+v, want %+v", got, tc.want)
			}
		})
	}
}

// withDocker returns a Core with a home of its own, and the path of docker's config.json there.
func withDocker(t *testing.T) (c *Core, config string) {
	t.Helper()
	t.Setenv("HOME", t.TempDir())
	for _, variable := range []string{"DOCKER_CONFIG", "DOCKER_HOST", "DOCKER_CONTEXT"} {
		t.Setenv(variable, "")
	}
	inst, err := instance.Resolve("default")
	if err != nil {
		t.Fatal(err)
	}
	if err := inst.MakeDirs(); err != nil {
		t.Fatal(err)
	}
	return New(inst, "test"), filepath.Join(inst.DockerConfigDir(), "config.json")
}

func TestDockerUsesTheAppAfterUseDockerContext(t *testing.T) {
	c, config := withDocker(t)
	writeFile(t, config, `{"currentContext": "other", "mine": 1}`)
	if err := c.UseDockerContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d := c.DockerContext(); !d.Exists || !d.Current || !d.Used {
		t.Errorf("%+v", d)
	}
	writeFile(t, config, "{") // not JSON: it is left alone
	err := c.UseDockerContext(t.Context())
	if KindOf(err) != Rejected || !strings.Contains(err.Error(), config) {
		t.Errorf("with a damaged config.json: %v", err)
	}
}

// Whoever runs "docker context use" in a terminal sees it in the window at once.
func TestAnotherDockerContextIsSeenAtOnce(t *testing.T) {
	c, config := withDocker(t)
	if err := c.UseDockerContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	seen := make(chan DockerContext)
	go func() {
		defer close(seen)
		for d := range c.WatchDockerContext(ctx) {
			seen <- d
		}
	}()
	next := func(current bool) {
		t.Helper()
		if d, open := <-seen; !open || d.Current != current {
			t.Fatalf("%+v, want current %t; open %t", d, current, open)
		}
	}
	next(true)
	for _, name := range []string{"other", "rdd"} {
		if err := atomicfile.Write(config, fmt.Appendf(nil, `{"currentContext": %q}`, name)); err != nil {
			t.Fatal(err)
		}
		next(name == "rdd")
	}
	cancel()
	for range seen { // it ends
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Containers that run come first.
func TestTheReportCountsContainers(t *testing.T) {
	var list []*Container
	for _, text := range []string{"a exited", "b running", "c created", "d paused", "e running"} {
		name, state, _ := strings.Cut(text, " ")
		c := &Container{}
		c.Status.Name, c.Status.State = name, containers.ContainerState(state)
		list = append(list, c)
	}
	r := containersReport(list, time.Now())
	var order string
	for _, item := range r.Items {
		order += item.Name
	}
	if order != "bdeac" || r.Total != 5 || r.States["running"] != 2 || r.States["paused"] != 1 || r.States["exited"] != 1 {
		t.Errorf("order %s, %+v", order, r)
	}
}
