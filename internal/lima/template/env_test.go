//go:build unix

package template

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"rancherdesktop.io/rdd/internal/lima/limatest"

	"github.com/lima-vm/lima/pkg/limayaml"
)

func TestEnvThatCannotReachTheGuestIsRefused(t *testing.T) {
	judged(t, limatest.NewVM(t), []verdict{
		{"any line", "env: {A: 'a # b', B: '\"c\"', C: '\\d', D: ' e ', F: \"it's\"}\nprovision: [{script: 'echo $A'}]\n", "", ""},
		{"for a Python script", "env: {A: a}\nprovision: [{script: \"#!/usr/bin/python3\\nprint(1)\"}]\n", "", ""},

		{"a second variable by a line break", `env: {A: "x\nB=y"}` + "\n", "env.A", "must be one line of printable text"},
		{"a NUL", `env: {A: "x\0"}` + "\n", "env.A", "must be one line"},
		{"no name", "env: {'A B': x}\n", "env.A B", "its name must begin with a letter or _"},
		{"a name that is an assignment", "env: {'A=b': x}\n", "env.A=b", "its name must begin with a letter or _"},
		{"a # for a Python script", "env: {A: 'a # b'}\nprovision: [{script: \"#!/usr/bin/python3\\nprint(1)\"}]\n", "env.A", "provision[0].script, which is not a shell script"},
	})
}

func TestEnvOfAnyCharactersIsTheSameInEachShellAndScript(t *testing.T) {
	env := map[string]string{"HASH": "a # b #c", "QUOTES": `"double" 'single'`, "SLASH": `C:\new\`, "BLANKS": " x ", "TEMPLATE": "{{.User}} $HOME `id` %24", "PLAIN": "plain", "EMPTY": ""}
	y := &limayaml.LimaYAML{Env: env, Provision: []limayaml.Provision{{Mode: "system", Script: "#!/bin/sh\nset -eu\nprintenv"}, {Mode: "user", Script: "printenv"}}}
	deliverEnv(y)
	if len(y.Env) != 3 || y.Env["PLAIN"] != "plain" || y.Env["TEMPLATE"] == "" {
		t.Errorf("Lima gets %q", y.Env)
	}
	if len(y.Provision) != 3 || y.Provision[0].Mode != limayaml.ProvisionModeBoot {
		t.Fatalf("%+v", y.Provision)
	}
	root := t.TempDir()
	inRoot := strings.NewReplacer("/run/rdd", filepath.Join(root, "run"), "/etc/", root+"/etc/")
	for _, dir := range []string{"run", "etc/sudoers.d", "bin"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	systemctl := filepath.Join(root, "bin", "systemctl")
	if err := os.WriteFile(systemctl, []byte("#!/bin/sh\nprintf '%s\\n' \"$@\" >>"+root+"/systemctl\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	run := func(script string) string {
		t.Helper()
		script = strings.ReplaceAll(script, `{{"{{"}}`, "{{") // as Lima fills it in
		cmd := exec.Command("sh", "-eu", "-c", inRoot.Replace(script))
		cmd.Env = []string{"PATH=" + filepath.Dir(systemctl) + ":" + os.Getenv("PATH")}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s\n%s", err, out, script)
		}
		return string(out)
	}
	run(y.Provision[0].Script)
	told, err := os.ReadFile(root + "/systemctl")
	if err != nil {
		t.Fatal(err)
	}
	profile, _ := os.ReadFile(root + "/etc/profile.d/rdd-env.sh")
	for where, got := range map[string]string{
		"a system script": run(y.Provision[1].Script), "a user's script": run(y.Provision[2].Script), "services": string(told),
		"a login shell": run(string(profile) + "\nprintenv"), "rdd vm shell": run(ReadEnvCommand + "; printenv"),
	} {
		for name, value := range env {
			if !strings.Contains("\n"+got, "\n"+name+"="+value+"\n") {
				t.Errorf("%s: %s is not %q:\n%s", where, name, value, got)
			}
		}
	}
	if sudo, _ := os.ReadFile(root + "/etc/sudoers.d/rdd-env"); string(sudo) != "Defaults env_keep += \"BLANKS EMPTY HASH PLAIN QUOTES SLASH TEMPLATE\"\n" {
		t.Errorf("sudo keeps %q", sudo)
	}
}

func TestProxiesReachTheGuestAsTheyAreWritten(t *testing.T) {
	for _, tc := range []struct {
		name      string
		host, env map[string]string
		off       bool
		want      map[string]string
	}{
		{name: "none", want: map[string]string{}},
		{
			name: "a password with %24 on loopback", host: map[string]string{"HTTP_PROXY": "http://me:p%24w%2F@127.0.0.1:3128/x?y"},
			want: map[string]string{"http_proxy": "http://me:p%24w%2F@192.168.5.2:3128/x?y", "HTTP_PROXY": "http://me:p%24w%2F@192.168.5.2:3128/x?y"},
		},
		{name: "without a scheme", host: map[string]string{"https_proxy": "me:a@b@localhost:1"}, want: map[string]string{"https_proxy": "me:a@b@192.168.5.2:1", "HTTPS_PROXY": "me:a@b@192.168.5.2:1"}},
		{name: "IPv6", host: map[string]string{"ftp_proxy": "http://[::1]:8080"}, want: map[string]string{"ftp_proxy": "http://192.168.5.2:8080", "FTP_PROXY": "http://192.168.5.2:8080"}},
		{name: "elsewhere", host: map[string]string{"http_proxy": "http://[fd00::1]"}, want: map[string]string{"http_proxy": "http://[fd00::1]", "HTTP_PROXY": "http://[fd00::1]"}},
		{name: "the lower case wins", host: map[string]string{"http_proxy": "http://a", "HTTP_PROXY": "http://b"}, want: map[string]string{"http_proxy": "http://a", "HTTP_PROXY": "http://a"}},
		{name: "the host's win", host: map[string]string{"http_proxy": "http://a"}, env: map[string]string{"http_proxy": "http://b", "X": "y"}, want: map[string]string{"http_proxy": "http://a", "HTTP_PROXY": "http://a", "X": "y"}},
		{name: "the template's own", off: true, host: map[string]string{"http_proxy": "http://a"}, env: map[string]string{"HTTP_PROXY": "http://127.0.0.1"}, want: map[string]string{"http_proxy": "http://192.168.5.2", "HTTP_PROXY": "http://192.168.5.2"}},
		{name: "none for loopback", host: map[string]string{"no_proxy": "localhost,127.0.0.1"}, want: map[string]string{"no_proxy": "localhost,127.0.0.1", "NO_PROXY": "localhost,127.0.0.1"}},
		{name: "an empty one", host: map[string]string{"http_proxy": ""}, env: map[string]string{"http_proxy": "http://b"}, want: map[string]string{}},
	} {
		y := &limayaml.LimaYAML{Env: tc.env}
		if tc.off {
			y.PropagateProxyEnv = new(false)
		}
		err := setProxies(y, func(name string) (string, bool) { v, ok := tc.host[name]; return v, ok })
		if err != nil || !maps.Equal(y.Env, tc.want) || *y.PropagateProxyEnv {
			t.Errorf("%s: %v %q, not %q", tc.name, err, y.Env, tc.want)
		}
	}
	y := &limayaml.LimaYAML{}
	err := setProxies(y, func(name string) (string, bool) { return "http://a\nB=c", name == "HTTP_PROXY" })
	if err == nil || !strings.Contains(err.Error(), "HTTP_PROXY") {
		t.Error("a line break:", err)
	}
}
