package tray

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rancherdesktop.io/rdd/core"
	app "rancherdesktop.io/rdd/internal/api/app/v1alpha1"
	"rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
)

// up returns the state of a running service with these VMs.
func up(vms ...core.VM) State {
	return State{Instance: "default", Seen: true, Snapshot: core.Snapshot{Service: core.ServiceStatus{State: core.ServiceRunning}, VMs: vms}}
}

// testApp returns an App with conditions such as "Settled=True/Settled".
func testApp(running bool, conditions ...string) *core.App {
	a := &core.App{}
	a.Generation, a.Status.ObservedGeneration, a.Spec.Running, a.Spec.ContainerEngine.Name = 1, 1, running, app.Moby
	for _, text := range conditions {
		kind, rest, _ := strings.Cut(text, "=")
		status, reason, _ := strings.Cut(rest, "/")
		a.Status.Conditions = append(a.Status.Conditions, metav1.Condition{
			Type: kind, Status: metav1.ConditionStatus(status), Reason: reason, Message: "because", ObservedGeneration: 1,
		})
	}
	return a
}

func runningApp() *core.App {
	a := testApp(true, "Created=True/Created", "Running=True/Started", "ContainerEngineReady=True/Connected", "Settled=True/Settled")
	a.Status.Engine = &app.EngineStatus{Name: app.Moby, Version: "26.1.5"}
	return a
}

func testContainer(name string, state core.ContainerState) *core.Container {
	c := &core.Container{}
	c.Name, c.Status.Name, c.Status.State = "id-"+name, name, state
	return c
}

// appLines returns what the menu shows between the items of the service and the VMs.
func appLines(s State) string {
	return outline(appItems(s), "")
}

func withApp(a *core.App) State {
	s := up()
	s.Snapshot.App = a
	return s
}

func TestMenuOfTheApp(t *testing.T) {
	starting := testApp(true, "Created=True/Created", "Running=Unknown/Starting", "ContainerEngineReady=False/Stopped", "Settled=False/WaitingForVM")
	starting.Status.Progress = &v1alpha1.Progress{Phase: "image", Step: 1, Steps: 6, Bytes: 42, Total: 100}
	waiting := testApp(true, "Running=True/Started", "ContainerEngineReady=Unknown/Connecting", "Settled=False/WaitingForEngine")
	broken := testApp(true, "Created=False/CreateFailed", "Running=False/Stopped", "ContainerEngineReady=False/Stopped", "Settled=False/CreateFailed")
	silent := withApp(runningApp())
	silent.Snapshot.Err = errors.New("no answer")
	down := withApp(nil)
	down.Snapshot.Service.State = core.ServiceStopped
	for _, tc := range []struct {
		what  string
		state State
		icon  Icon
		want  string
	}{
		{"no App", withApp(nil), IconRunning, "Start the container engine\n"},
		{"running", withApp(runningApp()), IconRunning, "(Running: moby 26.1.5 in rd)\nStop the container engine\nContainers (0 running)\n\tAll containers…\n"},
		{"stopped", withApp(testApp(false, "Running=False/Stopped", "ContainerEngineReady=False/Stopped", "Settled=True/Settled")), IconRunning,
			"(The container engine is stopped)\nStart the container engine\n"},
		{"starting", withApp(starting), IconStarting, "(Starting rd, step 1 of 6: image 42 %)\nCancel the start of the container engine\n"},
		{"waiting for the engine", withApp(waiting), IconStarting, "(Starting rd: because)\nCancel the start of the container engine\n"},
		{"stopping", withApp(testApp(false, "Running=Unknown/Stopping", "ContainerEngineReady=False/Stopped", "Settled=False/WaitingForVM")), IconStopping,
			"(Stopping rd: because)\nForce stop the container engine (unsaved data is lost)\n"},
		{"broken", withApp(broken), IconError, "(The container engine has a problem: because)\nStart the container engine\nStop the container engine\n"},
		{"the service does not respond", silent, IconError, ""},
		{"the service is stopped", down, IconStopped, ""},
	} {
		if got := appLines(tc.state); got != tc.want || iconOf(tc.state) != tc.icon {
			t.Errorf("%s: icon %s, want %s; menu\n%swant\n%s", tc.what, iconOf(tc.state), tc.icon, got, tc.want)
		}
	}
	if got := Look(withApp(runningApp())).Tooltip; got != "RDD is running\nRunning: moby 26.1.5 in rd" {
		t.Errorf("tooltip %q", got)
	}
}

func TestRunningContainersHaveTheirPortsInTheMenu(t *testing.T) {
	s := withApp(runningApp())
	port := func(protocol, host, guest, container string, state v1alpha1.PortState) v1alpha1.Port {
		return v1alpha1.Port{Protocol: protocol, HostAddress: host, GuestAddress: guest, Container: container, State: state}
	}
	because := func(reason string, p v1alpha1.Port) v1alpha1.Port {
		p.Message = reason
		return p
	}
	s.Snapshot.App.Status.Ports = []v1alpha1.Port{
		port("tcp", "[::1]:8080", "127.0.0.1:80", "web", v1alpha1.PortForwarded), port("tcp", "127.0.0.1:8080", "127.0.0.1:80", "web", v1alpha1.PortForwarded),
		port("tcp", "192.168.1.5:8443", "0.0.0.0:443", "web", v1alpha1.PortForwarded), port("udp", "127.0.0.1:53", "127.0.0.1:53", "web", v1alpha1.PortForwarded),
		because("postgres (process 123) has that port already. As soon as it is free, RDD takes it", port("tcp", "127.0.0.1:5432", "127.0.0.1:5432", "web", v1alpha1.PortBusy)),
		because("postgres (process 123) has that port already. As soon as it is free, RDD takes it", port("tcp", "[::1]:5432", "127.0.0.1:5432", "web", v1alpha1.PortBusy)),
		because("ports are not opened to other computers unless you allow it: rdd set ports.bindAddresses=0.0.0.0", port("udp", "0.0.0.0:514", "0.0.0.0:514", "web", v1alpha1.PortNotPermitted)),
		port("tcp", "127.0.0.1:9090", "127.0.0.1:9090", "db", v1alpha1.PortForwarded),
	}
	s.Containers = []*core.Container{testContainer("db", "exited"), testContainer("web", "running")}
	want := "(Running: moby 26.1.5 in rd)\nStop the container engine\nContainers (1 running)\n" +
		"\tweb\n\t\tOpen localhost:8080\n\t\tOpen 192.168.1.5:8443\n\t\t(localhost:53 (UDP))\n" +
		"\t\t(5432: postgres (process 123) has that port already. As soon as it is)\n\t\t(    free, RDD takes it)\n" +
		"\t\t(0.0.0.0:514 (UDP): ports are not opened to other computers unless you)\n\t\t(    allow it: rdd set ports.bindAddresses=0.0.0.0)\n\t\tLogs…\n\t\tStop\n\tAll containers…\n"
	if got := appLines(s); got != want {
		t.Errorf("%swant\n%s", got, want)
	}
	if items := containersItem(s).Items[0].Items; items[0].ID != (ID{OpenPort, "http://localhost:8080"}) || items[1].ID != (ID{OpenPort, "https://192.168.1.5:8443"}) || items[7].ID != (ID{ContainerLogs, "id-web"}) {
		t.Errorf("%+v", items)
	}
	for i := range 30 {
		s.Containers = append(s.Containers, testContainer(fmt.Sprintf("worker-%02d", i), "running"))
	}
	group := containersItem(s)
	if last := group.Items[len(group.Items)-1]; len(group.Items) != mostContainers+1 || last.Title != "More in the window…" || group.Title != "Containers (31 running)" {
		t.Errorf("%d items, %+v, %s", len(group.Items), last, group.Title)
	}
}

// The control plane refuses these changes of the App's VM, except through the App.
func TestTheVMOfTheAppIsChangedOnlyWithTheApp(t *testing.T) {
	vm := testVM(core.AppVM, true, "True", "Started")
	controller := true
	vm.OwnerReferences = []metav1.OwnerReference{{APIVersion: app.GroupVersion.String(), Kind: app.Kind, Name: app.Name, Controller: &controller}}
	if got := outline([]Item{itemOf(&vm)}, ""); got != "rd: running\n\tShell…\n\tLogs…\n" {
		t.Errorf("%s", got)
	}
}

// The display rebuilds the menu when its first level has other items.
func TestTheAppChangesNoItemsOfTheFirstLevel(t *testing.T) {
	ids := func(s State) (all []string) {
		for _, i := range Menu(s) {
			all = append(all, fmt.Sprint(i.ID, len(i.Items) > 0))
		}
		return all
	}
	s := withApp(runningApp())
	s.Containers = []*core.Container{testContainer("web", "running")}
	if got, want := ids(s), ids(up()); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
