package dockerconfig

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"rancherdesktop.io/rdd/internal/atomicfile"
)

// meta is a context in docker's store.
// Source: github.com/docker/cli/cli/context/store, Metadata, and cli/context/docker, EndpointMeta.
type meta struct {
	Name      string
	Metadata  metadata
	Endpoints map[string]endpoint
}

type metadata struct {
	Description string `json:",omitempty"`
}

type endpoint struct {
	Host          string `json:",omitempty"`
	SkipTLSVerify bool
}

// dockerEndpoint is the name of the endpoint that docker uses.
const dockerEndpoint = "docker"

// contextDir is the folder of a context: below meta, or below tls for its keys.
func contextDir(dir, part, name string) string {
	sum := sha256.Sum256([]byte(name))
	return filepath.Join(dir, "contexts", part, hex.EncodeToString(sum[:]))
}

func metaFile(dir, name string) string {
	return filepath.Join(contextDir(dir, "meta", name), "meta.json")
}

// errBroken means that the file of a context is not what docker writes.
var errBroken = errors.New("is damaged")

// readContext returns the address of a context. The error wraps fs.ErrNotExist if there is no such context.
func readContext(dir, name string) (host string, err error) {
	path := metaFile(dir, name)
	text, err := atomicfile.Read(path)
	if err != nil {
		return "", err
	}
	var m meta
	if err := json.Unmarshal(text, &m); err != nil {
		return "", fmt.Errorf("%s %w: %w", path, errBroken, err)
	}
	e, ok := m.Endpoints[dockerEndpoint]
	if !ok {
		return "", fmt.Errorf("%s %w: it has no address for docker", path, errBroken)
	}
	return e.Host, nil
}

// writeContext makes a context, or changes its address, with the modes that docker uses.
func writeContext(dir, name, description, host string) error {
	m := meta{Name: name, Metadata: metadata{Description: description}, Endpoints: map[string]endpoint{dockerEndpoint: {Host: host}}}
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil { // it holds passwords, too
		return err
	}
	path := metaFile(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // as docker does
		return err
	}
	if err := atomicfile.Write(path, text); err != nil {
		return err
	}
	return os.Chmod(path, 0o644) //nolint:gosec // as docker does
}

// removeContext removes a context with its keys.
func removeContext(dir, name string) error {
	return errors.Join(os.RemoveAll(contextDir(dir, "tls", name)), os.RemoveAll(contextDir(dir, "meta", name)))
}

// exists reports whether docker can use a context: it is docker's default or in the store.
func exists(dir, name string) bool {
	if builtin(name) {
		return true
	}
	_, err := os.Stat(metaFile(dir, name))
	return !errors.Is(err, fs.ErrNotExist)
}

// builtin reports whether a context is docker's default, which is not in the store.
func builtin(name string) bool { return name == "" || name == "default" }
