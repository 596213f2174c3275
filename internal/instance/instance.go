// Package instance defines an instance of RDD and all its paths. The mains resolve an Instance once and pass it on. No
// other package reads the environment.
package instance

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"rancherdesktop.io/rdd/internal/diag"
)

// Default is the name of the instance that is used when none is named.
const Default = "default"

// maxSocketPath is the longest path of a Unix socket that all systems allow. macOS has 104 bytes with the final NUL, Linux
// 108. Source: sun_path in sys/un.h.
const maxSocketPath = 103

// longestSocketName is the longest name of a socket in a VM's directory: ssh's control socket, with the random suffix that
// ssh adds while it binds the socket.
const longestSocketName = "ssh.sock.1234567890123456"

// settingsFile is the name of the file with the settings. Names of its copies and temporary files begin with it.
const settingsFile = "settings.json"

var nameRE = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,30}$`)

// ErrName means that the name of an instance is invalid.
var ErrName = errors.New("invalid instance name")

// ErrLogLevel means that RDD_LOG_LEVEL is not one of LogLevels.
var ErrLogLevel = errors.New("invalid log level")

// LogLevels lists the log levels. The first logs the least.
func LogLevels() []string { return []string{"error", "warn", "info", "debug"} }

// Instance is an instance of RDD. Two values with the same fields are the same instance.
type Instance struct {
	Name string

	home    string // the user's home directory
	data    string // configuration and datastore
	logs    string
	short   string // sockets and VMs, so its path is short
	libexec string // RDD's programs other than rdd
	share   string // files that ship with RDD
	cli     string // the program rdd; empty: not found
	config  string // the user's configuration directory, of all programs

	keepLogs bool   // RDD_KEEP_LOGS
	logLevel string // RDD_LOG_LEVEL
	search   string // PATH

	docker dockerEnv
}

// Resolve returns the instance with the name. An empty name stands for RDD_INSTANCE, or else Default.
// It reads the environment and the path of the running program, and changes nothing.
func Resolve(name string) (Instance, error) {
	name = cmp.Or(name, os.Getenv("RDD_INSTANCE"), Default)
	if !nameRE.MatchString(name) {
		return Instance{}, fmt.Errorf("%w %q: use 1 to 31 characters of a-z, 0-9 and -, beginning with a letter or a digit", ErrName, name)
	}
	home, err := homeDir()
	if err != nil {
		return Instance{}, err
	}
	level := os.Getenv("RDD_LOG_LEVEL")
	if level != "" && !slices.Contains(LogLevels(), level) {
		return Instance{}, fmt.Errorf("%w %q in the variable RDD_LOG_LEVEL: use one of %s", ErrLogLevel, level, strings.Join(LogLevels(), ", "))
	}
	data, state := platformDirs(home)
	libexec, err := libexecDir()
	if err != nil {
		return Instance{}, err
	}
	return Instance{
		Name:     name,
		home:     home,
		cli:      cliPath(libexec),
		config:   envDir("XDG_CONFIG_HOME", filepath.Join(home, ".config")),
		data:     filepath.Join(data, name),
		logs:     filepath.Join(state, name, "log"),
		short:    shortDir(home, name),
		libexec:  libexec,
		share:    filepath.Join(libexec, "..", "..", "share"),
		keepLogs: os.Getenv("RDD_KEEP_LOGS") != "",
		logLevel: level,
		search:   os.Getenv("PATH"),
		docker:   dockerVariables(),
	}, nil
}

// At returns an instance with all its files below root, for tests.
func At(root, name, libexec string) Instance {
	return Instance{
		Name: name, home: root, config: filepath.Join(root, "config"), cli: filepath.Join(libexec, "..", "..", "bin", "rdd"), libexec: libexec, share: filepath.Join(libexec, "..", "..", "share"),
		data: filepath.Join(root, "data", name), logs: filepath.Join(root, "log", name), short: filepath.Join(root, name),
	}
}

// List names the instances that exist on this computer.
func List() ([]string, error) {
	home, err := homeDir()
	if err != nil {
		return nil, err
	}
	data, _ := platformDirs(home)
	entries, err := os.ReadDir(data)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() && nameRE.MatchString(e.Name()) && exists(filepath.Join(data, e.Name()), limaHome(shortDir(home, e.Name()))) {
			names = append(names, e.Name())
		}
	}
	return names, err
}

func shortDir(home, name string) string { return filepath.Join(home, ".rdd", name) }

func limaHome(short string) string { return filepath.Join(short, "lima") }

// platformDirs returns the directories for the data and the logs of all instances.
func platformDirs(home string) (data, state string) {
	switch runtime.GOOS {
	case "darwin":
		return filepath.Join(home, "Library", "Application Support", "rdd"), filepath.Join(home, "Library", "Logs", "rdd")
	case "windows":
		local := envDir("LOCALAPPDATA", filepath.Join(home, "AppData", "Local"))
		return filepath.Join(local, "rdd", "data"), filepath.Join(local, "rdd", "state")
	}
	return filepath.Join(envDir("XDG_DATA_HOME", filepath.Join(home, ".local", "share")), "rdd"),
		filepath.Join(envDir("XDG_STATE_HOME", filepath.Join(home, ".local", "state")), "rdd")
}

// envDir reads a directory from the environment. It ignores a relative path, as the XDG Base Directory Specification
// requires.
func envDir(key, otherwise string) string {
	if dir := os.Getenv(key); filepath.IsAbs(dir) {
		return dir
	}
	return otherwise
}

// libexecDir returns RDD_LIBEXEC, or the libexec/rdd that belongs to the running program, which is either bin/rdd or in
// libexec/rdd itself.
func libexecDir() (string, error) {
	if dir := os.Getenv("RDD_LIBEXEC"); dir != "" {
		return filepath.Abs(dir)
	}
	exe, err := os.Executable()
	if err == nil {
		exe, err = filepath.EvalSymlinks(exe)
	}
	if err != nil {
		return "", fmt.Errorf("find RDD's own programs: %w", err)
	}
	dir := filepath.Dir(exe)
	if filepath.Base(dir) == "bin" {
		return filepath.Join(filepath.Dir(dir), "libexec", "rdd"), nil
	}
	return dir, nil
}

// executable returns the file name of a program.
func executable(program string) string {
	if runtime.GOOS == "windows" {
		return program + ".exe"
	}
	return program
}

// cliPath returns the path of rdd: this program, the one that belongs to libexec, or the one in PATH.
func cliPath(libexec string) string {
	name := executable("rdd")
	if exe, err := os.Executable(); err == nil && filepath.Base(exe) == name {
		return exe
	}
	path := filepath.Join(libexec, "..", "..", "bin", name)
	if _, err := os.Stat(path); err == nil {
		return path
	}
	path, _ = exec.LookPath(name)
	return path
}

// CLI returns the path of rdd.
func (i Instance) CLI() (string, error) {
	if i.cli == "" {
		return "", fmt.Errorf("rdd is neither beside %s nor in PATH: reinstall RDD, or add the folder of rdd to PATH", i.libexec)
	}
	return i.cli, nil
}

// Environment returns the variables, as KEY=VALUE, that a program needs to find this instance when it is started elsewhere,
// such as at login.
func (i Instance) Environment() (env []string) {
	if runtime.GOOS != "windows" && runtime.GOOS != "darwin" {
		for key, dirs := range map[string][2]string{
			"XDG_DATA_HOME":  {filepath.Dir(filepath.Dir(i.data)), filepath.Join(i.home, ".local", "share")},
			"XDG_STATE_HOME": {filepath.Dir(filepath.Dir(filepath.Dir(i.logs))), filepath.Join(i.home, ".local", "state")},
		} {
			if dirs[0] != dirs[1] {
				env = append(env, key+"="+dirs[0])
			}
		}
	}
	if beside := filepath.Join(filepath.Dir(filepath.Dir(i.cli)), "libexec", "rdd"); i.libexec != beside {
		env = append(env, "RDD_LIBEXEC="+i.libexec)
	}
	if i.docker.config != "" && i.DockerConfigDir() != filepath.Join(i.home, ".docker") {
		env = append(env, "DOCKER_CONFIG="+i.DockerConfigDir())
	}
	slices.Sort(env)
	return env
}

// Program returns the path of one of RDD's own programs, such as "rddd".
func (i Instance) Program(name string) (string, error) {
	name = executable(name)
	path := filepath.Join(i.libexec, name)
	if _, err := os.Stat(path); err != nil {
		return "", diag.Errorf(diag.InstallBroken, "%s is missing from %s: reinstall RDD, or set RDD_LIBEXEC to its libexec folder", name, i.libexec)
	}
	return path, nil
}

// Files in the ControlPlaneDir.
const (
	TokenFile = "token"
	CertFile  = "serving.crt"
	KeyFile   = "serving.key"
)

// Home is the user's home directory.
func (i Instance) Home() string { return i.home }

// Paths of the instance.
func (i Instance) DataDir() string         { return i.data }
func (i Instance) StoreDir() string        { return filepath.Join(i.data, "store") }
func (i Instance) BackupDir() string       { return filepath.Join(i.data, "backups") }
func (i Instance) ControlPlaneDir() string { return filepath.Join(i.data, "controlplane") }
func (i Instance) ConfigFile() string      { return filepath.Join(i.data, "config.json") }
func (i Instance) SettingsFile() string    { return filepath.Join(i.data, settingsFile) }
func (i Instance) LockFile() string        { return filepath.Join(i.data, "serve.lock") }
func (i Instance) RecordFile() string      { return filepath.Join(i.data, "serve.json") }
func (i Instance) ForceFile() string       { return filepath.Join(i.data, "serve.force") }
func (i Instance) AskFile() string         { return filepath.Join(i.data, "serve.ask") }
func (i Instance) LogDir() string          { return i.logs }
func (i Instance) ServiceLog() string      { return filepath.Join(i.logs, "rddd.log") }
func (i Instance) ServiceOutput() string   { return filepath.Join(i.logs, "rddd.out") }
func (i Instance) VMLogDir() string        { return filepath.Join(i.logs, "vm") }
func (i Instance) ShortDir() string        { return i.short }
func (i Instance) LimaHome() string        { return limaHome(i.short) }
func (i Instance) KubeConfig() string      { return filepath.Join(i.short, "kube.config") }
func (i Instance) KubectlCacheDir() string { return filepath.Join(i.data, "kubectl") }
func (i Instance) ShareDir() string        { return i.share }

// ToolsDir has links to the command line tools that come with RDD, such as docker, for a user's PATH.
func (i Instance) ToolsDir() string { return filepath.Join(i.short, "bin") }

// Tools returns the paths of the command line tools that come with RDD, by the names that users know. A build without them has
// no files there.
func (i Instance) Tools() map[string]string {
	return map[string]string{
		"docker":         filepath.Join(i.libexec, executable("docker")),
		"docker-compose": filepath.Join(i.libexec, "cli-plugins", executable("docker-compose")),
		"kubectl":        filepath.Join(i.libexec, executable("rdd-kubectl")),
	}
}

// AutostartDir contains the programs that a Linux desktop starts at login. It belongs to the user.
func (i Instance) AutostartDir() string { return filepath.Join(i.config, "autostart") }

// TrayLock is held by the instance's tray. It is beside the instance's files, because the tray can outlive them.
func (i Instance) TrayLock() string {
	return filepath.Join(filepath.Dir(i.short), "tray-"+i.Name+".lock")
}

// RunLock is held by the run of the service with the nonce while it lives.
func (i Instance) RunLock(nonce string) string { return filepath.Join(i.data, "run-"+nonce+".lock") }

// MakeShared creates the directory for the files that are beside the instances.
func (i Instance) MakeShared() error {
	if err := i.checkOwner(); err != nil {
		return err
	}
	return os.MkdirAll(filepath.Dir(i.short), 0o700)
}

// SingleFiles returns the lock and the socket of a program that runs once for each instance. They are beside the instance,
// so that they outlive its deletion, and so that a look at an instance doesn't create it.
func (i Instance) SingleFiles(program string) (lock, socket string, err error) {
	if err := i.MakeShared(); err != nil {
		return "", "", err
	}
	path := filepath.Join(filepath.Dir(i.short), "."+i.Name+"."+program) // the name of an instance has no dot
	return path + ".lock", path + ".sock", nil
}

// KeepLogs reports whether a deletion keeps the logs (RDD_KEEP_LOGS).
func (i Instance) KeepLogs() bool { return i.keepLogs }

// SearchPath is the PATH of this program.
func (i Instance) SearchPath() string { return i.search }

// LogLevel is the log level in this program's environment (RDD_LOG_LEVEL). It is empty when there is none.
func (i Instance) LogLevel() string { return i.logLevel }

// Context is the name of the instance's contexts for kubectl and docker.
func (i Instance) Context() string {
	if i.Name == Default {
		return "rdd"
	}
	return "rdd-" + i.Name
}

// Command returns a command of rdd as a user types it for this instance, in any terminal.
func (i Instance) Command(command string) string {
	if i.Name == Default {
		return "rdd " + command
	}
	return "rdd --instance " + i.Name + " " + command
}

// Path is a path in the output of `rdd svc paths`.
type Path struct {
	Key  string `json:"key"`
	Path string `json:"path"`
}

// Paths lists the paths that a user may need, in a stable order.
func (i Instance) Paths() []Path {
	return []Path{
		{"data", i.data}, {"logs", i.logs}, {"short", i.short}, {"lima", i.LimaHome()}, {"config", i.ConfigFile()},
		{"kubeconfig", i.KubeConfig()}, {"docker-socket", i.DockerSocket()}, {"containerd-socket", i.ContainerdSocket()}, {"service-log", i.ServiceLog()}, {"vm-logs", i.VMLogDir()},
		{"store", i.StoreDir()}, {"backups", i.BackupDir()}, {"libexec", i.libexec}, {"share", i.share},
	}
}

// vmNameRE matches the names of VMs. The control plane uses it too, through CheckVM.
var vmNameRE = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?$`)

// CheckVM reports why a VM of this instance can't have the name. Its sockets must fit in their path limit.
func (i Instance) CheckVM(name string) error {
	if !vmNameRE.MatchString(name) {
		return fmt.Errorf("use 1 to 30 characters of a-z, 0-9 and -, beginning and ending with a letter or digit; got %q", name)
	}
	path := filepath.Join(i.LimaHome(), name, longestSocketName)
	if over := len(path) - maxSocketPath; over > 0 {
		return diag.Errorf(diag.SocketPathTooLong, "the socket path %s is %d bytes long; at most %d work on every system: use a VM name, an instance name or a home directory that is %d shorter",
			strings.TrimSuffix(path, ".1234567890123456"), len(path), maxSocketPath, over)
	}
	return nil
}

// Check reports why the instance's paths are too long for any VM.
func (i Instance) Check() error { return i.CheckVM("a") }

// Create creates the instance's directories, if this user can have an instance there.
func (i Instance) Create() error {
	if err := errors.Join(i.CheckHome(), i.Check()); err != nil {
		return err
	}
	return i.MakeDirs()
}

// MakeDirs creates the instance's directories. Only their owner can read them.
func (i Instance) MakeDirs() error {
	for _, dir := range []string{i.data, i.logs, i.short} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return diag.Errorf(diag.FilesPermission, "create instance %q: %w: make its parent directory writable, or set HOME (and XDG_DATA_HOME, XDG_STATE_HOME) to one that is", i.Name, err)
		}
	}
	return nil
}

// Exists reports whether the instance has been created. Settings alone are no instance: the window stores them before the
// first start.
func (i Instance) Exists() bool { return exists(i.data, i.LimaHome()) }

// exists reports whether there is an instance with this data directory and this directory of VMs. A deletion that was killed
// before its last step leaves an empty data directory and no VMs. A user who empties the data directory leaves the VMs.
func exists(data, vms string) bool {
	entries, err := os.ReadDir(data)
	if err != nil {
		return !errors.Is(err, os.ErrNotExist)
	}
	if slices.ContainsFunc(entries, func(e os.DirEntry) bool { return !strings.HasPrefix(e.Name(), settingsFile) }) {
		return true
	}
	entries, _ = os.ReadDir(vms)
	return slices.ContainsFunc(entries, os.DirEntry.IsDir)
}

// Loopback is the address that RDD's own servers on this computer listen on. A guest in QEMU's user network reaches the
// host's 127.0.0.1 through its gateway, so RDD uses another address where all of 127.0.0.0/8 is loopback. On macOS, only
// 127.0.0.1 is.
func Loopback() string {
	if runtime.GOOS == "darwin" {
		return "127.0.0.1"
	}
	return "127.82.68.68"
}
