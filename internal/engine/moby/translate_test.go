package moby

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/image"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/api/types/volume"

	"rancherdesktop.io/rdd/internal/engine/objects"
)

func bindingsOf(texts ...string) (out []network.PortBinding) {
	for _, text := range texts {
		at := strings.LastIndexByte(text, ':')
		b := network.PortBinding{HostPort: text[at+1:]}
		if ip := strings.Trim(text[:at], "[]"); ip != "" {
			b.HostIP = netip.MustParseAddr(ip)
		}
		out = append(out, b)
	}
	return out
}

func TestPortsHaveTheAddressThatTheContainerAsksFor(t *testing.T) {
	both := bindingsOf("0.0.0.0:8080", "[::]:8080")
	for _, c := range []struct {
		name       string
		asked, got []network.PortBinding
		want       string
	}{
		{"-p 8080:80", bindingsOf(":8080"), both, "[{ 8080}]"},
		{"-p 0.0.0.0:8080:80", bindingsOf("0.0.0.0:8080"), bindingsOf("0.0.0.0:8080"), "[{0.0.0.0 8080}]"},
		{"-p [::1]:8080:80", bindingsOf("[::1]:8080"), bindingsOf("[::1]:8080"), "[{::1 8080}]"},
		{"-p 80", bindingsOf(":"), bindingsOf("0.0.0.0:32768", "[::]:32768"), "[{ 32768}]"},
		{"-p 8080-8090:80", bindingsOf(":8080-8090"), bindingsOf("0.0.0.0:8083", "[::]:8083"), "[{ 8083}]"},
		{"-P", nil, bindingsOf("0.0.0.0:32768", "[::]:32768"), "[{ 32768}]"},
		{"two", bindingsOf(":8080", "127.0.0.1:9090"), append(bindingsOf("127.0.0.1:9090"), both...), "[{ 8080} {127.0.0.1 9090}]"},
		{"--network host", bindingsOf(":8080"), nil, "[]"},
	} {
		if got := fmt.Sprint(hostAddresses(c.asked, c.got)); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestObjectsHaveNamesThatCanBeInAPath(t *testing.T) {
	for name, want := range map[string]string{
		"data": "data", "Data_1.x": "Data_1.x", "nfs/share": "vol-", "..": "vol-", "a%2f": "vol-",
	} {
		got := (translator{&objects.Strings{}}).fromVolume(&volume.Volume{Name: name})
		if got.Status.Name != name || strings.HasPrefix(want, "vol-") != strings.HasPrefix(got.Name, "vol-") || !strings.HasPrefix(want, "vol-") && got.Name != want {
			t.Errorf("%q is called %q", name, got.Name)
		}
	}
}

func TestAnImageWithoutATagIsOneObject(t *testing.T) {
	for _, i := range []image.Summary{
		{ID: "sha256:1"}, {ID: "sha256:1", RepoTags: []string{"<none>:<none>"}, RepoDigests: []string{"<none>@<none>"}},
	} {
		got := (translator{&objects.Strings{}}).fromImage(&i)
		if len(got) != 1 || got[0].Status.RepoTag != "" || len(got[0].Status.RepoDigests) != 0 {
			t.Errorf("%+v", got)
		}
	}
	digests := []string{"localhost:5000/a@sha256:2", "b@sha256:3"}
	got := (translator{&objects.Strings{}}).fromImage(&image.Summary{ID: "sha256:1", RepoTags: []string{"b:1", "localhost:5000/a:1"}, RepoDigests: digests})
	if len(got) != 2 || fmt.Sprint(got[0].Status.RepoDigests, got[1].Status.RepoDigests) != "[b@sha256:3] [localhost:5000/a@sha256:2]" {
		t.Errorf("%+v", got)
	}
}
