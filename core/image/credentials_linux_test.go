package image

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/registry"
)

// helperScript is a credential helper that knows one registry.
const helperScript = `#!/bin/sh
read -r server || :
case $1-$server in
get-secret.example.com) echo '{"ServerURL":"secret.example.com","Username":"helped","Secret":"h3lped"}' ;;
get-token.example.com) echo '{"ServerURL":"token.example.com","Username":"<token>","Secret":"t0ken"}' ;;
get-leaks.example.com) echo '{"ServerURL":"leaks.example.com","Username":"helped","Secret":"h3lped"}'; exit 1 ;;
get-garbage.example.com) echo h3lped ;;
get-locked.example.com) echo 'the keychain is locked'; exit 1 ;;
list-*) echo '{"secret.example.com":"helped","https://index.docker.io/v1/":"hub"}' ;;
get-https://index.docker.io/v1/) echo '{"Username":"hub","Secret":"hubs"}' ;;
*) echo 'credentials not found in native keychain'; exit 1 ;;
esac
`

func TestCredentialsAreFoundAsDockerFindsThem(t *testing.T) {
	c, home := newClient(t)
	write(t, home, "bin/docker-credential-test", helperScript)
	const plain = "dXNlcjpwYXNz" // user:pass
	for _, tc := range []struct {
		name, config, key string
		want              registry.AuthConfig
		problem           string
	}{
		{"no file", "", "a.example.com", registry.AuthConfig{}, ""},
		{"an entry", `{"auths":{"a.example.com":{"auth":"` + plain + `"}}}`, "a.example.com", registry.AuthConfig{Username: "user", Password: "pass"}, ""},
		{"an address", `{"auths":{"https://a.example.com/v2/":{"auth":"` + plain + `"}}}`, "a.example.com", registry.AuthConfig{Username: "user", Password: "pass"}, ""},
		{"a port", `{"auths":{"a.example.com:5000":{"auth":"` + plain + `"}}}`, "a.example.com", registry.AuthConfig{}, ""},
		{"user and password", `{"auths":{"a.example.com":{"username":"u","password":"p"}}}`, "a.example.com", registry.AuthConfig{Username: "u", Password: "p"}, ""},
		{"an identity token", `{"auths":{"a.example.com":{"identitytoken":"id"}}}`, "a.example.com", registry.AuthConfig{IdentityToken: "id"}, ""},
		{"Docker Hub", `{"auths":{"https://index.docker.io/v1/":{"auth":"` + plain + `"}}}`, dockerHubKey, registry.AuthConfig{Username: "user", Password: "pass"}, ""},
		{"Docker Hub, briefly", `{"auths":{"docker.io":{"auth":"` + plain + `"}}}`, dockerHubKey, registry.AuthConfig{Username: "user", Password: "pass"}, ""},
		{"another is damaged", `{"auths":{"b":{"auth":"%"},"c":[],"a.example.com":{"auth":"` + plain + `"}},"credHelpers":{"b":1}}`, "a.example.com", registry.AuthConfig{Username: "user", Password: "pass"}, ""},
		{"it is damaged", `{"auths":{"a.example.com":{"auth":"czNjcmV0"}}}`, "a.example.com", registry.AuthConfig{}, "docker login a.example.com"},
		{"of the wrong type", `{"auths":[],"credsStore":{},"credHelpers":"x"}`, "a.example.com", registry.AuthConfig{}, ""},
		{"not JSON", `{"auths":`, "a.example.com", registry.AuthConfig{}, "config.json can't be read"},
		{"a store", `{"credsStore":"test"}`, "secret.example.com", registry.AuthConfig{Username: "helped", Password: "h3lped"}, ""},
		{"a store's token", `{"credsStore":"test"}`, "token.example.com", registry.AuthConfig{IdentityToken: "t0ken"}, ""},
		{"a store without it", `{"credsStore":"test","auths":{"a.example.com":{"auth":"` + plain + `"}}}`, "a.example.com", registry.AuthConfig{Username: "user", Password: "pass"}, ""},
		{"a helper", `{"credsStore":"missing","credHelpers":{"secret.example.com":"test"}}`, "secret.example.com", registry.AuthConfig{Username: "helped", Password: "h3lped"}, ""},
		{"another's helper", `{"credHelpers":{"b.example.com":"missing"}}`, "a.example.com", registry.AuthConfig{}, ""},
		{"a missing helper", `{"credsStore":"desktop"}`, "a.example.com", registry.AuthConfig{}, "docker-credential-desktop"},
		{"a helper elsewhere", `{"credsStore":"../../tmp/x"}`, "a.example.com", registry.AuthConfig{}, "docker-credential-../../tmp/x"},
		{"a helper that fails", `{"credsStore":"test"}`, "locked.example.com", registry.AuthConfig{}, "the keychain is locked"},
		{"a helper that fails with a secret", `{"credsStore":"test"}`, "leaks.example.com", registry.AuthConfig{}, "docker-credential-test has failed"},
		{"a helper that says nonsense", `{"credsStore":"test"}`, "garbage.example.com", registry.AuthConfig{}, "docker-credential-test has failed"},
	} {
		_ = os.Remove(filepath.Join(home, ".docker", "config.json"))
		if tc.config != "" {
			write(t, home, ".docker/config.json", tc.config)
		}
		got, err := c.keychain().find(t.Context(), tc.key)
		if got.Username != "" || got.IdentityToken != "" {
			tc.want.ServerAddress = tc.key
		}
		if got != tc.want {
			t.Errorf("%s: another result", tc.name)
		}
		if text := fmt.Sprint(err); (err != nil) != (tc.problem != "") || !strings.Contains(text, tc.problem) || strings.Contains(text, "h3lped") || strings.Contains(text, "s3cret") || strings.Contains(text, "czNj") {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}

func TestTheOldBuilderGetsAllCredentials(t *testing.T) {
	c, home := newClient(t)
	write(t, home, "bin/docker-credential-test", helperScript)
	write(t, home, ".docker/config.json", `{"credsStore":"test","auths":{"https://plain.example.com":{"auth":"dXNlcjpwYXNz"},"bad.example.com":{"auth":"%"}},"credHelpers":{"b.example.com":"gone"}}`)
	found, problems := c.keychain().all(t.Context())
	var users []string
	for _, key := range []string{"secret.example.com", "plain.example.com", dockerHubKey} {
		users = append(users, found[key].Username)
	}
	if fmt.Sprint(users) != "[helped user hub]" || len(found) != 3 {
		t.Errorf("%v of %d", users, len(found))
	}
	if text := fmt.Sprint(problems); len(problems) != 2 || !strings.Contains(text, "docker-credential-gone") || !strings.Contains(text, "docker login bad.example.com") {
		t.Errorf("%v", problems)
	}
}

// colima and Docker Desktop leave the name of a helper that is no longer there. Public images work in spite of it.
func TestAMissingHelperMattersOnlyIfTheRegistryRefuses(t *testing.T) {
	e := newFakeEngine(t)
	write(t, e.home, ".docker/config.json", `{"credsStore":"desktop"}`)
	answer := `{"status":"Status: Image is up to date"}`
	e.mux.HandleFunc("POST /v1.45/images/create", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, answer) })
	var s said
	if err := e.Pull(t.Context(), "nginx", "", s.report()); err != nil {
		t.Fatal(err)
	}
	if text := fmt.Sprint(s.lines); !strings.Contains(text, "Trying without credentials: the program docker-credential-desktop, which "+e.home) {
		t.Error(text)
	}
	answer = `{"errorDetail":{"message":"unauthorized: authentication required"}}`
	err := e.Pull(t.Context(), "secret.example.com/a", "", Report{})
	for _, want := range []string{`pull image "secret.example.com/a": unauthorized: authentication required. No credentials`, "docker-credential-desktop", "install it"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
