package objects

import (
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"

	"rancherdesktop.io/rdd/internal/api/containers/v1alpha1"
	"rancherdesktop.io/rdd/internal/view"
)

const id = "8c2b5d0f6a3e4917b1c2d3e4f5061728394a5b6c7d8e9f00112233445566778a"

func row(r view.Resource, o view.Object, now time.Time) string {
	cells := make([]string, len(r.Columns))
	for i, c := range r.Columns {
		cells[i] = fmt.Sprint(c.Cell(o, now))
	}
	return strings.Join(cells, " | ")
}

func TestRowsReadAsDockers(t *testing.T) {
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	before := metav1.NewTime(now.Add(-2 * time.Hour))
	c := &v1alpha1.Container{Status: v1alpha1.ContainerStatus{
		Namespace: "moby", ID: id, Name: "web", Image: "nginx", Command: "/docker-entrypoint.sh nginx -g daemon off;", State: v1alpha1.ContainerRunning,
		Created: before, StartedAt: &before, Networks: []string{"bridge", "app_default"}, Project: "app",
		Ports: []v1alpha1.ContainerPort{
			{Protocol: "tcp", ContainerPort: 80, HostPort: 8080}, {Protocol: "tcp", ContainerPort: 443},
			{Protocol: "udp", ContainerPort: 53, HostIP: "::1", HostPort: 5353},
		},
	}}
	i := &v1alpha1.Image{ObjectMeta: metav1.ObjectMeta{Name: "img-1"}, Status: v1alpha1.ImageStatus{
		Namespace: "moby", ID: "sha256:" + id, RepoTag: "localhost:5000/app:1.0", Created: before, Size: 142_300_000,
	}}
	v := &v1alpha1.Volume{Status: v1alpha1.VolumeStatus{Name: "data", Driver: "local", Mountpoint: "/var/lib/docker/volumes/data/_data", Containers: []string{"db"}}}
	n := &v1alpha1.Network{Status: v1alpha1.NetworkStatus{ID: id, Name: "bridge", Driver: "bridge", Scope: "local", Subnets: []string{"172.17.0.0/16"}}}
	for want, got := range map[string]string{
		`8c2b5d0f6a3e | nginx | "/docker-entrypoint.…" | 2 hours ago | Up 2 hours | localhost:8080->80/tcp, 443/tcp, [::1]:5353->53/udp | web | bridge, app_default | app | moby`: row(Containers(), c, now),
		`localhost:5000/app | 1.0 | 8c2b5d0f6a3e | 2 hours ago | 142MB | img-1 |  | moby`:                                                                                         row(Images(), i, now),
		`data | local | N/A | db | /var/lib/docker/volumes/data/_data`:                                                                                                            row(Volumes(), v, now),
		`8c2b5d0f6a3e | bridge | bridge | local |  | 172.17.0.0/16`:                                                                                                               row(Networks(), n, now),
	} {
		if got != want {
			t.Errorf("row:\n%s\nwant:\n%s", got, want)
		}
	}
	for reference, want := range map[string]string{"": "<none> <none>", "nginx:1.29": "nginx 1.29", "localhost:5000/app": "localhost:5000/app <none>"} {
		if r, tag := splitTag(reference); r+" "+tag != want {
			t.Errorf("%q is split into %q %q", reference, r, tag)
		}
	}
	for bytes, want := range map[int64]string{0: "0B", 999: "999B", 999_600: "1MB", 7_800_000_000: "7.8GB"} {
		if got := size(bytes); got != want {
			t.Errorf("%d bytes are %s, want %s", bytes, got, want)
		}
	}
}

func TestALongCommandIsCut(t *testing.T) {
	if got := Command([]string{"sh", "-c", strings.Repeat("ä", maxKept)}); len(got) > maxKept+len("…") || !strings.HasSuffix(got, "ä…") {
		t.Errorf("%q", got)
	}
}

func TestImagesHaveDockersNames(t *testing.T) {
	r := Images()
	r.Store.Apply(&v1alpha1.Image{ObjectMeta: metav1.ObjectMeta{Name: "img-1"}, Status: v1alpha1.ImageStatus{ID: "sha256:" + id, RepoTag: "docker.io/library/nginx:latest"}})
	for _, name := range []string{"img-1", "nginx", "nginx:latest", "docker.io/library/nginx:latest", "sha256:" + id, id[:12]} {
		if _, err := r.Store.Get(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	by := view.Selector{Fields: fields.OneTermEqualSelector("status.repoTag", "docker.io/library/nginx:latest")}
	if found, _ := r.Store.List(by); len(found) != 1 {
		t.Errorf("by tag: %v", found)
	}
}

func TestMetadataHasOnlyLabelsThatKubernetesAccepts(t *testing.T) {
	var shared Strings
	all, accepted := shared.Labels(map[string]string{"com.docker.compose.project": "app", "empty": ""})
	if len(all) != 2 || reflect.ValueOf(all).Pointer() != reflect.ValueOf(accepted).Pointer() {
		t.Errorf("all labels are accepted: %v, %v", all, accepted)
	}
	all, accepted = shared.Labels(map[string]string{"a": "1", "b": "with space", "org.opencontainers.image.source": "https://example.org", "under/two/slashes": "x"})
	if len(all) != 4 || len(accepted) != 1 || accepted["a"] != "1" {
		t.Errorf("labels: %v, %v", all, accepted)
	}
	if all, accepted = shared.Labels(nil); all != nil || accepted != nil {
		t.Errorf("no labels: %v, %v", all, accepted)
	}
}

// typical is a container of compose with a port and a volume, as the engine's package makes it.
func typical(shared *Strings, i int) *v1alpha1.Container {
	id := fmt.Sprintf("%064x", i)
	name := fmt.Sprintf("app-service-%d-1", i)
	now := metav1.Now()
	labels := map[string]string{}
	for key, value := range map[string]string{
		"com.docker.compose.config-hash": id, "com.docker.compose.container-number": "1", "com.docker.compose.depends_on": "",
		"com.docker.compose.image": "sha256:" + id, "com.docker.compose.oneoff": "False", "com.docker.compose.project": fmt.Sprint("app", i),
		"com.docker.compose.project.config_files": "/home/user/app/compose.yaml", "com.docker.compose.project.working_dir": "/home/user/app",
		"com.docker.compose.service": fmt.Sprint("service-", i), "com.docker.compose.version": "5.7.1", "maintainer": "NGINX Docker Maintainers <docker-maint@nginx.com>",
	} {
		labels[strings.Clone(key)] = strings.Clone(value)
	}
	all, accepted := shared.Labels(labels)
	return &v1alpha1.Container{
		ObjectMeta: metav1.ObjectMeta{Name: id, CreationTimestamp: now, Labels: accepted},
		Status: v1alpha1.ContainerStatus{
			ID: id, Name: name, Namespace: "moby", Image: shared.Shared(fmt.Sprint("docker.io/library/nginx:1.", i/5)), ImageID: shared.Shared(fmt.Sprintf("sha256:%064x", i/5)),
			Command: fmt.Sprint("/docker-entrypoint.sh nginx -g 'daemon off;' ", i), State: v1alpha1.ContainerRunning, Created: now, StartedAt: &now,
			Ports:    []v1alpha1.ContainerPort{{Protocol: "tcp", ContainerPort: 80, HostPort: int32(8000 + i)}, {Protocol: "tcp", ContainerPort: 443}},
			Mounts:   []v1alpha1.ContainerMount{{Type: "volume", Name: fmt.Sprint("data-", i), Source: fmt.Sprintf("/var/lib/docker/volumes/data-%d/_data", i), Destination: "/usr/share/nginx/html"}},
			Networks: []string{fmt.Sprint("app_default", i)}, Labels: all, Project: "app", Service: "web",
		},
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkMemoryPerObject tells what 1,000 typical containers take in the store, with the event of each.
func BenchmarkMemoryPerObject(b *testing.B) {
	const n = 1000
	for b.Loop() {
		before := heap()
		r := Containers()
		var shared Strings
		for i := range n {
			r.Store.Apply(typical(&shared, i))
		}
		b.ReportMetric(float64(heap()-before)/n, "B/object")
		runtime.KeepAlive(r)
		runtime.KeepAlive(shared)
	}
}
