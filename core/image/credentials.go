package image

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/distribution/reference"
	helpers "github.com/docker/docker-credential-helpers/client"
	"github.com/docker/docker-credential-helpers/credentials"
	"github.com/moby/moby/api/types/registry"

	"rancherdesktop.io/rdd/core"
)

const (
	dockerHub    = "docker.io"
	dockerHubKey = "https://index.docker.io/v1/" // Docker Hub's name in config.json
	tokenUser    = "<token>"                     // the name of a helper's user whose secret is an identity token
)

// registryKey returns the name under which config.json has the credentials for an image.
func registryKey(named reference.Named) string {
	if domain := reference.Domain(named); domain != dockerHub {
		return domain
	}
	return dockerHubKey
}

// keychain finds credentials where docker does: in its config.json, and with the helper programs that it names. A bad entry
// affects no other one, unlike in docker's own reader.
type keychain struct {
	path string   // of config.json
	env  []string // of the helpers
}

func (c *Client) keychain() keychain {
	return keychain{filepath.Join(c.core.Instance().DockerConfigDir(), "config.json"), c.env}
}

// config is what config.json says about credentials.
type config struct {
	auths   map[string]json.RawMessage
	helpers map[string]string // by registry
	store   string            // the helper for all other registries
}

// read reads config.json. Without the file there are no credentials.
func (k keychain) read() (c config, err error) {
	text, err := os.ReadFile(k.path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	var all, byRegistry map[string]json.RawMessage
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	if err != nil {
		return c, fmt.Errorf("%s can't be read: %w", k.path, err)
	}
	c.helpers = map[string]string{}
	// What has another type than docker writes is as if it were not there.
	_ = json.Unmarshal(all["auths"], &c.auths)
	_ = json.Unmarshal(all["credsStore"], &c.store)
	_ = json.Unmarshal(all["credHelpers"], &byRegistry)
	for name, raw := range byRegistry {
		var helper string
		_ = json.Unmarshal(raw, &helper)
		c.helpers[name] = helper
	}
	return c, nil
}

// find returns the credentials for a registry; none if there are none.
func (k keychain) find(ctx context.Context, key string) (registry.AuthConfig, error) {
	c, err := k.read()
	if err != nil {
		return registry.AuthConfig{}, err
	}
	return k.findIn(ctx, c, key)
}

func (k keychain) findIn(ctx context.Context, c config, key string) (registry.AuthConfig, error) {
	helper := c.store
	for _, name := range names(key) {
		helper = cmp.Or(c.helpers[name], helper)
	}
	if helper != "" {
		found, err := k.ask(ctx, helper, key)
		if err != nil || found != (registry.AuthConfig{}) {
			return found, err
		}
	}
	for name, raw := range c.auths {
		if slices.Contains(names(key), host(name)) {
			found, err := decode(raw, key)
			if err != nil {
				return found, fmt.Errorf("the entry for %s in %s is damaged; log in again with: docker login %s", name, k.path, strings.TrimSuffix(host(name), "/"))
			}
			if found.Username != "" || found.IdentityToken != "" || found.RegistryToken != "" {
				return found, nil
			}
		}
	}
	return registry.AuthConfig{}, nil
}

// names returns the names that an entry for a registry may have, without scheme and path.
func names(key string) []string {
	if key == dockerHubKey {
		return []string{host(key), dockerHub, key}
	}
	return []string{key}
}

// host returns the host and port of a registry's name, which may be an address.
func host(name string) string {
	_, rest, has := strings.Cut(name, "://")
	if !has {
		rest = name
	}
	rest, _, _ = strings.Cut(rest, "/")
	return rest
}

// decode reads an entry of auths.
func decode(raw json.RawMessage, key string) (registry.AuthConfig, error) {
	var entry struct {
		Auth          string `json:"auth"`
		Username      string `json:"username"`
		Password      string `json:"password"`
		IdentityToken string `json:"identitytoken"`
		RegistryToken string `json:"registrytoken"`
	}
	if err := json.Unmarshal(raw, &entry); err != nil {
		return registry.AuthConfig{}, err
	}
	if entry.Auth != "" {
		text, err := base64.StdEncoding.DecodeString(entry.Auth)
		user, password, both := strings.Cut(string(text), ":")
		if err != nil || !both || user == "" {
			return registry.AuthConfig{}, errors.New("it is no user and password in base64")
		}
		entry.Username, entry.Password = user, strings.Trim(password, "\x00")
	}
	return registry.AuthConfig{
		Username: entry.Username, Password: entry.Password, IdentityToken: entry.IdentityToken, RegistryToken: entry.RegistryToken, ServerAddress: key,
	}, nil
}

// helperGrace is how long a helper that was killed may keep its output open.
const helperGrace = 2 * time.Second

// ask asks a credential helper for the credentials for a registry; none if it has none.
func (k keychain) ask(ctx context.Context, helper, key string) (registry.AuthConfig, error) {
	run, err := k.program(ctx, helper)
	if err != nil {
		return registry.AuthConfig{}, err
	}
	found, err := helpers.Get(run, key)
	switch {
	case credentials.IsErrCredentialsNotFound(err):
		return registry.AuthConfig{}, nil
	case err != nil:
		return registry.AuthConfig{}, fmt.Errorf("%s has failed: %w", helperName(helper), err)
	case found.Username == tokenUser:
		return registry.AuthConfig{IdentityToken: found.Secret, ServerAddress: key}, nil
	case found.Username == "" && found.Secret == "":
		return registry.AuthConfig{}, nil
	}
	return registry.AuthConfig{Username: found.Username, Password: found.Secret, ServerAddress: key}, nil
}

func helperName(helper string) string { return "docker-credential-" + helper }

// program returns the program of a credential helper.
func (k keychain) program(ctx context.Context, helper string) (helpers.ProgramFunc, error) {
	name := helperName(helper)
	path, err := "", exec.ErrNotFound
	if !strings.ContainsAny(helper, `/\`) {
		path, err = core.FindProgram(name, k.env)
	}
	if err != nil {
		return nil, fmt.Errorf("the program %s, which %s names, is not in PATH or can't be run; install it, or remove its name from that file and log in again with: docker login", name, k.path)
	}
	return func(args ...string) helpers.Program {
		cmd := exec.CommandContext(ctx, path, args...) // not as a tree: what it starts, such as gpg-agent, stays
		cmd.Env, cmd.WaitDelay = k.env, helperGrace
		return &helperRun{cmd}
	}, nil
}

// helperRun is a run of a credential helper.
type helperRun struct{ cmd *exec.Cmd }

func (h *helperRun) Input(in io.Reader) { h.cmd.Stdin = in }

// Output runs the helper. Of a failed one, the output is its error, which users see; if it may be credentials, it is left out.
func (h *helperRun) Output() ([]byte, error) {
	out, err := h.cmd.Output()
	if err != nil && strings.ContainsAny(string(out), "{}") {
		out = []byte("(its output is not shown, because it may have a secret)")
	}
	return out, err
}

// all returns the credentials for all registries, and why some are missing. An old builder of the engine wants them all,
// because only it reads the Dockerfile.
func (k keychain) all(ctx context.Context) (found map[string]registry.AuthConfig, problems []error) {
	c, err := k.read()
	if err != nil {
		return nil, []error{err}
	}
	keys := map[string]bool{}
	for name := range c.auths {
		keys[name] = true
	}
	for name := range c.helpers {
		keys[name] = true
	}
	if c.store != "" {
		run, err := k.program(ctx, c.store)
		var list map[string]string
		if err == nil {
			list, err = helpers.List(run)
		}
		if err != nil {
			problems = append(problems, err)
		}
		for name := range list {
			keys[name] = true
		}
	}
	found = map[string]registry.AuthConfig{}
	for name := range keys {
		key := host(name)
		if slices.Contains(names(dockerHubKey), key) {
			key = dockerHubKey
		}
		auth, err := k.findIn(ctx, c, key)
		if err != nil {
			problems = append(problems, err)
		} else if auth != (registry.AuthConfig{}) {
			found[key] = auth
		}
	}
	return found, problems
}
