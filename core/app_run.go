package core

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"rancherdesktop.io/rdd/internal/dockerconfig"
)

// RunOptions are the options of a command that uses the App.
type RunOptions struct {
	Bundled bool // the tools that come with RDD are before those of the user's PATH, instead of after them
	Host    bool // set DOCKER_HOST instead of DOCKER_CONTEXT
}

// dockerVariables are the variables with which docker's clients find an engine.
var dockerVariables = []string{"DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "DOCKER_API_VERSION", "DOCKER_MACHINE_NAME"}

// RunEnvironment returns the variables of environ, as NAME=VALUE, for a command that uses the App: PATH has the tools that
// come with RDD, and the clients of docker and containerd find the App's engine. It changes nothing of the user's.
func (c *Core) RunEnvironment(environ []string, o RunOptions) []string {
	endpoint := "DOCKER_CONTEXT=" + c.inst.Context()
	if o.Host || !dockerconfig.Of(c.inst).Exists() { // the folder of docker's contexts may not be writable
		endpoint = "DOCKER_HOST=" + c.inst.DockerHost()
	}
	return append(runEnvironment(environ, c.inst.ToolsDir(), endpoint, o.Bundled), "CONTAINERD_ADDRESS="+c.inst.ContainerdSocket())
}

// HasTool reports whether a command is a tool that comes with RDD. The service puts it into PATH when it starts.
func (c *Core) HasTool(command string) bool {
	program, ok := c.inst.Tools()[command]
	_, err := os.Stat(program)
	return ok && err == nil
}

func runEnvironment(environ []string, tools, endpoint string, bundled bool) (env []string) {
	path := ""
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		switch {
		case isVariable(name, "PATH"):
			path = value
		case !slices.ContainsFunc(dockerVariables, func(known string) bool { return isVariable(name, known) }):
			env = append(env, variable)
		}
	}
	return append(env, "PATH="+withTools(path, tools, bundled), endpoint)
}

// isVariable compares names of variables. Those of Windows have no case.
func isVariable(a, b string) bool {
	if runtime.GOOS == "windows" {
		return strings.EqualFold(a, b)
	}
	return a == b
}

// withTools adds a folder to a PATH: at its end, so that no program of the user is replaced, or at its beginning.
func withTools(path, tools string, first bool) string {
	dirs := slices.DeleteFunc(filepath.SplitList(path), func(dir string) bool { return dir == tools })
	if first {
		dirs = slices.Insert(dirs, 0, tools)
	} else {
		dirs = append(dirs, tools)
	}
	return strings.Join(dirs, string(filepath.ListSeparator))
}

// ErrNotExecutable means that a program was found, and can't be run.
var ErrNotExecutable = errors.New("it is not executable")

// FindProgram returns the path of a program in the PATH of an environment. The error wraps exec.ErrNotFound or
// ErrNotExecutable.
func FindProgram(name string, env []string) (string, error) {
	if name == "" {
		return "", exec.ErrNotFound
	}
	if strings.ContainsRune(filepath.ToSlash(name), '/') {
		return executableFile(name)
	}
	last := exec.ErrNotFound
	for _, dir := range filepath.SplitList(variable(env, "PATH")) {
		if !filepath.IsAbs(dir) { // a program in the working directory must be named with its folder
			continue
		}
		path, err := executableFile(filepath.Join(dir, name))
		if err == nil {
			return path, nil
		}
		if info, statErr := os.Stat(filepath.Join(dir, name)); errors.Is(err, ErrNotExecutable) && statErr == nil && !info.IsDir() {
			last = err
		}
	}
	return "", last
}

// dockerPlugins are the plugins that come with RDD's docker.
var dockerPlugins = []string{"compose", "buildx"}

// pluginProbeTimeout is how long docker may take to print the version of a plugin. It takes some 50 ms.
const pluginProbeTimeout = 10 * time.Second

// FindCommand returns the program of a command in the PATH of an environment. If the command is one of a plugin, as docker compose
// is, and the user's docker does not have it, that is RDD's docker. Errors are those of FindProgram.
func (c *Core) FindCommand(ctx context.Context, args, env []string) (string, error) {
	path, err := FindProgram(args[0], env)
	if err != nil || args[0] != "docker" || len(args) < 2 || !slices.Contains(dockerPlugins, args[1]) || !c.HasTool("docker") {
		return path, err
	}
	ctx, cancel := context.WithTimeout(ctx, pluginProbeTimeout)
	defer cancel()
	probe := exec.CommandContext(ctx, path, args[1], "version")
	probe.Env = env
	if probe.Run() != nil {
		return c.inst.Tools()["docker"], nil
	}
	return path, nil
}

// executableFile returns the path of a program, with its extension on Windows.
func executableFile(path string) (string, error) {
	found, err := exec.LookPath(path)
	if err == nil || errors.Is(err, exec.ErrDot) {
		return found, nil
	}
	if info, statErr := os.Stat(path); statErr == nil && (info.IsDir() || errors.Is(err, fs.ErrPermission)) {
		return "", ErrNotExecutable
	}
	return "", exec.ErrNotFound
}

// variable returns the value of a variable in an environment.
func variable(env []string, name string) (value string) {
	for _, entry := range env {
		if key, text, _ := strings.Cut(entry, "="); isVariable(key, name) {
			value = text
		}
	}
	return value
}
