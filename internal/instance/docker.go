package instance

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// dockerEnv is what docker's own variables say in this program's environment.
type dockerEnv struct{ config, host, context string }

func dockerVariables() dockerEnv {
	return dockerEnv{config: os.Getenv("DOCKER_CONFIG"), host: os.Getenv("DOCKER_HOST"), context: os.Getenv("DOCKER_CONTEXT")}
}

// DockerConfigDir is the folder of docker's config.json and contexts: DOCKER_CONFIG, or .docker in the home directory. A relative
// DOCKER_CONFIG is ignored, because it is another folder in each working directory.
func (i Instance) DockerConfigDir() string {
	if filepath.IsAbs(i.docker.config) {
		return filepath.Clean(i.docker.config)
	}
	return filepath.Join(i.home, ".docker")
}

// DockerSocket is the path of the container engine's socket on this host; on Windows, of its named pipe.
func (i Instance) DockerSocket() string {
	if runtime.GOOS == "windows" {
		return `\\.\pipe\rdd-` + i.Name + "-docker"
	}
	return filepath.Join(i.short, "docker.sock")
}

// ContainerdSocket is the path of containerd's socket on this host; on Windows, of its named pipe.
func (i Instance) ContainerdSocket() string {
	if runtime.GOOS == "windows" {
		return `\\.\pipe\rdd-` + i.Name + "-containerd"
	}
	return filepath.Join(i.short, "containerd.sock")
}

// NerdctlDir has the archives of nerdctl that the user has installed.
func (i Instance) NerdctlDir() string { return filepath.Join(i.data, "nerdctl") }

// DockerHost is the address of DockerSocket as docker takes it in DOCKER_HOST and in contexts.
func (i Instance) DockerHost() string {
	if runtime.GOOS == "windows" {
		return "npipe://" + strings.ReplaceAll(i.DockerSocket(), `\`, "/")
	}
	return "unix://" + i.DockerSocket()
}

// DockerStateFile says what was docker's current context before the instance's became it.
func (i Instance) DockerStateFile() string { return filepath.Join(i.data, "docker-context.json") }

// DockerEnvironment returns DOCKER_HOST and DOCKER_CONTEXT of this program's environment. Either makes docker ignore the current
// context.
func (i Instance) DockerEnvironment() (host, context string) { return i.docker.host, i.docker.context }
