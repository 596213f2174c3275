package template

import (
	"strings"
	"testing"

	"rancherdesktop.io/rdd/internal/machine/event"
)

func TestChanges(t *testing.T) {
	const text = `# A comment.
images:
- location: "/images/a.qcow2" # another
  arch: x86_64
cpus: 2
memory: 2GiB
param:
  color: red
  n: "3"
env: &e {A: "1"}
mounts: []
ssh: {localPort: 60022}
`
	params := map[string]string{"color": "blue"}
	for _, tc := range []struct {
		name     string
		template string
		params   map[string]string
		want     string
	}{
		{"nothing", text, params, ""},
		{"only comments and formatting", strings.NewReplacer("# A comment.\n", "", "2GiB", "2048MiB", "{localPort: 60022}", "\n  localPort: 60022").Replace(text), params, ""},
		{"a byte order mark", "\ufeff%YAML 1.2\n---\n" + text, params, ""},
		{"a param", text, map[string]string{"color": "green"}, "param color"},
		{"a param that is unset", text, nil, "param color"},
		{"a param that the template no longer has", strings.Replace(text, "  n: \"3\"\n", "", 1), params, "param n"},
		{"a little memory", strings.ReplaceAll(text, "2GiB", "2050MiB"), params, "memory 2GiB → 2050MiB"},
		{"resources", strings.NewReplacer("cpus: 2", "cpus: 4", "2GiB", "3GiB").Replace(text) + "disk: 20GiB\n", params, "processors 2 → 4; memory 2GiB → 3GiB; disk 100GiB → 20GiB"},
		{"other settings", strings.Replace(text, "mounts: []", "mounts: [{location: /tmp}]", 1) + "video: {display: none}\n", params, "mounts in the template; video in the template"},
		{"a user", text + "user: {name: somebody}\n", params, "user in the template"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := Changes(event.Job{Template: text, Params: params}, event.Job{Template: tc.template, Params: tc.params})
			if err != nil || strings.Join(got, "; ") != tc.want {
				t.Errorf("%v, %v; want %s", got, err, tc.want)
			}
		})
	}
}
