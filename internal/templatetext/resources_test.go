package templatetext

import (
	"strings"
	"testing"
)

func TestResourcesAreChangedInPlace(t *testing.T) {
	want := Resources{CPUs: 3, Memory: 3 << 30, Disk: 1500 << 20}
	for _, tc := range []struct{ name, template, want string }{
		{"given", "# mine\ncpus: 2   # a few\nmemory: 2GiB\n\nmounts: []  # none\ndisk: \"20GiB\" # \"big\"\n", "# mine\ncpus: 3   # a few\nmemory: 3GiB\n\nmounts: []  # none\ndisk: 1500MiB # \"big\"\n"},
		{"missing", "images: []\n# the end", "images: []\n# the end\ncpus: 3\nmemory: 3GiB\ndisk: 1500MiB\n"},
		{"null", "cpus: null\nmemory:\ndisk: ~ # default\n", "cpus: 3\nmemory: 3GiB\ndisk: 1500MiB # default\n"},
		{"after a block", "memory: 1GiB\nprovision:\n- script: |\n    cpus: 7\n    echo disk: 1", "memory: 3GiB\nprovision:\n- script: |\n    cpus: 7\n    echo disk: 1\ncpus: 3\ndisk: 1500MiB\n"},
		{"indented", "  images: []\n  cpus: 1\n", "  images: []\n  cpus: 3\n  memory: 3GiB\n  disk: 1500MiB\n"},
		{"quoted key", "\"cpus\": 1\nmemory: 3GiB\ndisk: 1500MiB\n", "\"cpus\": 3\nmemory: 3GiB\ndisk: 1500MiB\n"},
		{"same values in other units", "cpus: 3\nmemory: 3072MiB\ndisk: 1572864000\n", "cpus: 3\nmemory: 3072MiB\ndisk: 1572864000\n"},
		{"Windows line ends", "cpus: 1\r\nmemory: 3GiB\r\ndisk: 1500MiB\r\n", "cpus: 3\r\nmemory: 3GiB\r\ndisk: 1500MiB\r\n"},
		{"numbers that Lima refuses", "cpus: 3.5 # or so\nmemory: 3GiB\ndisk: 1500MiB\n", "cpus: 3 # or so\nmemory: 3GiB\ndisk: 1500MiB\n"},
		{"a leading zero", "cpus: 03\nmemory: 3GiB\ndisk: 1500MiB\n", "cpus: 3\nmemory: 3GiB\ndisk: 1500MiB\n"},
		{"empty", "", "cpus: 3\nmemory: 3GiB\ndisk: 1500MiB\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := WithResources(tc.template, want)
			if err != nil || got != tc.want {
				t.Errorf("%v\n got %q\nwant %q", err, got, tc.want)
			}
			if now, err := ResourcesOf(got); err != nil || now != want {
				t.Errorf("%+v, %v", now, err)
			}
		})
	}
}

func TestUnusualTemplatesAreChangedCorrectlyOrNotAtAll(t *testing.T) {
	for _, template := range []string{
		"{cpus: 1, memory: 1GiB}\n", "x: &n 1\ncpus: *n\n...\n", "cpus:\n  1\n", "memory: >\n  1GiB\n", "cpus: [", "memory: much\n", "- cpus: 1\n",
		"images: []\rcpus: 4\rmemory: 4GiB\n", "script: |\n  a\r  b\rcpus: 4\n",
	} {
		if got, err := WithResources(template, Resources{CPUs: 2, Memory: 1 << 30, Disk: 1 << 30}); err == nil {
			if now, err := ResourcesOf(got); err != nil || now.CPUs != 2 {
				t.Errorf("%q became %q: %+v, %v", template, got, now, err)
			}
		} else if strings.TrimSpace(err.Error()) == "" {
			t.Errorf("%q: no reason", template)
		}
	}
}

func TestDefaultResourcesAreLimas(t *testing.T) {
	got, err := ResourcesOf("images: []\n")
	if err != nil || got != defaultResources() || got.CPUs < 1 || got.CPUs > 4 || got.Memory < 1 || got.Memory > 4<<30 || got.Disk != 100<<30 {
		t.Errorf("%+v, %v", got, err)
	}
}
