// Package instance names one installation of RDD and every path it owns. The mains resolve an
// Instance once and pass it on; nothing else reads the environment.
package instance

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

// Default is the instance used when none is named.
const Default = "default"

// maxSocketPath is the longest path a unix socket may have everywhere: 104 bytes on macOS, with
// the final NUL. Linux allows 108. Source: sun_path in sys/un.h.
const maxSocketPath = 103

// longestSocketName is the longest name Lima gives a socket inside a VM's directory: ssh's control
// socket with the random suffix that ssh adds while it binds it.
const longestSocketName = "ssh.sock.1234567890123456"

var nameRE = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,30}$`)

// ErrName means that a name can't be an instance's name.
var ErrName = errors.New("invalid instance name")

// ErrLogLevel means that RDD_LOG_LEVEL is none of LogLevels.
var ErrLogLevel = errors.New("invalid log level")

// LogLevels are the levels of what is logged, as users name them: the first logs least.
func LogLevels() []string { return []string{"error", "warn", "info", "debug"} }

// Instance is a value: two Instances with the same fields are the same instance.
type Instance struct {
	Name string

	home    string // the user's
	data    string // desired state
	logs    string
	short   string // sockets live here, so it is short
	libexec string // programs behind rdd
	share   string // files that ship with RDD
	cli     string // rdd itself; empty: not found
	config  string // the user's, of all programs

	keepLogs bool
	logLevel string
	search   string // PATH
}

// Resolve returns the instance called name. An empty name means RDD_INSTANCE, or else Default.
// It reads the environment and the place of the running program, and changes nothing.
func Resolve(name string) (Instance, error) {
	if name == "" {
		name = os.Getenv("RDD_INSTANCE")
	}
	if name == "" {
		name = Default
	}
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
		short:    filepath.Join(home, ".rdd", name),
		libexec:  libexec,
		share:    filepath.Join(libexec, "..", "..", "share"),
		keepLogs: os.Getenv("RDD_KEEP_LOGS") != "",
		logLevel: level,
		search:   os.Getenv("PATH"),
	}, nil
}

// At returns an instance that lives wholly below root, for tests.
func At(root, name, libexec string) Instance {
	return Instance{
		Name: name, home: root, config: filepath.Join(root, "config"), cli: filepath.Join(libexec, "..", "..", "bin", "rdd"), libexec: libexec, share: filepath.Join(libexec, "..", "..", "share"),
		data: filepath.Join(root, "data", name), logs: filepath.Join(root, "log", name), short: filepath.Join(root, name),
	}
}

// List names the instances that have data on this machine.
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
		if e.IsDir() && nameRE.MatchString(e.Name()) {
			names = append(names, e.Name())
		}
	}
	return names, err
}

// platformDirs returns where instances keep data and state.
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

// envDir reads a directory from the environment. A relative one is ignored, as the XDG Base
// Directory Specification asks.
func envDir(key, otherwise string) string {
	if dir := os.Getenv(key); filepath.IsAbs(dir) {
		return dir
	}
	return otherwise
}

// libexecDir is RDD_LIBEXEC, or found beside the running program: bin/rdd has libexec/rdd next to
// bin; the programs in libexec/rdd are already there.
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

// cliPath is rdd: this program, or the one that belongs to libexec, or else the one in PATH.
func cliPath(libexec string) string {
	name := "rdd"
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
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
		return "", fmt.Errorf("rdd is neither beside %s nor in PATH: install RDD again, or put rdd into PATH", i.libexec)
	}
	return i.cli, nil
}

// Environment are the variables, as KEY=VALUE, without which a program that is started elsewhere, such
// as at login, would not find this instance.
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
	slices.Sort(env)
	return env
}

// Program returns the path of one of RDD's own programs, such as "rddd".
func (i Instance) Program(name string) (string, error) {
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	path := filepath.Join(i.libexec, name)
	if _, err := os.Stat(path); err != nil {
		return "", problemf(installBroken, "%s is missing from %s: install RDD again, or name its libexec folder in RDD_LIBEXEC", name, i.libexec)
	}
	return path, nil
}

// Home is the user's home directory.
func (i Instance) Home() string { return i.home }

// Paths of the instance.
func (i Instance) DataDir() string         { return i.data }
func (i Instance) StoreDir() string        { return filepath.Join(i.data, "store") }
func (i Instance) BackupDir() string       { return filepath.Join(i.data, "backups") }
func (i Instance) ControlPlaneDir() string { return filepath.Join(i.data, "controlplane") }
func (i Instance) ConfigFile() string      { return filepath.Join(i.data, "config.json") }
func (i Instance) SettingsFile() string    { return filepath.Join(i.data, "settings.json") }
func (i Instance) LockFile() string        { return filepath.Join(i.data, "serve.lock") }
func (i Instance) RecordFile() string      { return filepath.Join(i.data, "serve.json") }
func (i Instance) ForceFile() string       { return filepath.Join(i.data, "serve.force") }
func (i Instance) AskFile() string         { return filepath.Join(i.data, "serve.ask") }
func (i Instance) LogDir() string          { return i.logs }
func (i Instance) ServiceLog() string      { return filepath.Join(i.logs, "rddd.log") }
func (i Instance) ServiceOutput() string   { return filepath.Join(i.logs, "rddd.out") }
func (i Instance) VMLogDir() string        { return filepath.Join(i.logs, "vm") }
func (i Instance) ShortDir() string        { return i.short }
func (i Instance) LimaHome() string        { return filepath.Join(i.short, "lima") }
func (i Instance) KubeConfig() string      { return filepath.Join(i.short, "kube.config") }
func (i Instance) ShareDir() string        { return i.share }

// AutostartDir is where a Linux desktop looks for what to start at login. It is the user's, not ours.
func (i Instance) AutostartDir() string { return filepath.Join(i.config, "autostart") }

// TrayLock is held by the instance's tray. It is beside the instance's own files: the tray outlives them.
func (i Instance) TrayLock() string {
	return filepath.Join(filepath.Dir(i.short), "tray-"+i.Name+".lock")
}

// RunLock is held by the run of the service whose nonce is given, for as long as it lives.
func (i Instance) RunLock(nonce string) string { return filepath.Join(i.data, "run-"+nonce+".lock") }

// MakeShared makes the directory of what is beside the instances.
func (i Instance) MakeShared() error {
	if err := i.checkOwner(); err != nil {
		return err
	}
	return os.MkdirAll(filepath.Dir(i.short), 0o700)
}

// SingleFiles are the lock and the socket of a program that an instance has one of. They are beside the
// instance, so that they outlive its deletion, and so that looking at an instance doesn't make it.
func (i Instance) SingleFiles(program string) (lock, socket string, err error) {
	dir := filepath.Dir(i.short)
	if err := i.MakeShared(); err != nil {
		return "", "", err
	}
	path := filepath.Join(dir, "."+i.Name+"."+program) // no instance's name begins so
	return path + ".lock", path + ".sock", nil
}

// KeepLogs says whether deleting leaves the logs (RDD_KEEP_LOGS).
func (i Instance) KeepLogs() bool { return i.keepLogs }

// SearchPath is where this program looks for others: its PATH.
func (i Instance) SearchPath() string { return i.search }

// LogLevel is the least of what is logged, as this program's environment asks for (RDD_LOG_LEVEL); empty
// when it asks for none.
func (i Instance) LogLevel() string { return i.logLevel }

// Context is the name of the instance's kube and docker context.
func (i Instance) Context() string {
	if i.Name == Default {
		return "rdd"
	}
	return "rdd-" + i.Name
}

// Path is one named path, as `rdd svc paths` lists it.
type Path struct {
	Key  string `json:"key"`
	Path string `json:"path"`
}

// Paths lists every path a user may want, in a stable order.
func (i Instance) Paths() []Path {
	return []Path{
		{"data", i.data}, {"logs", i.logs}, {"short", i.short}, {"lima", i.LimaHome()}, {"config", i.ConfigFile()},
		{"kubeconfig", i.KubeConfig()}, {"service-log", i.ServiceLog()}, {"vm-logs", i.VMLogDir()},
		{"store", i.StoreDir()}, {"backups", i.BackupDir()}, {"libexec", i.libexec}, {"share", i.share},
	}
}

// vmNameRE is the one rule for names of VMs. The control plane asks CheckVM, too.
var vmNameRE = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?$`)

// CheckVM says whether a VM can be called name, and can have its sockets in this instance.
func (i Instance) CheckVM(name string) error {
	if !vmNameRE.MatchString(name) {
		return fmt.Errorf("use 1 to 30 characters of a-z, 0-9 and -, beginning and ending with a letter or digit; got %q", name)
	}
	path := filepath.Join(i.LimaHome(), name, longestSocketName)
	if over := len(path) - maxSocketPath; over > 0 {
		return problemf(socketPathTooLong, "the socket path %s is %d bytes long; at most %d work on every system: use a VM name, an instance name or a home directory that is %d shorter",
			strings.TrimSuffix(path, ".1234567890123456"), len(path), maxSocketPath, over)
	}
	return nil
}

// Check says whether the instance's paths leave room for VMs with names of 1 character.
func (i Instance) Check() error { return i.CheckVM("a") }

// Create makes the instance's directories, if this user can have an instance there.
func (i Instance) Create() error {
	if err := errors.Join(i.CheckHome(), i.Check()); err != nil {
		return err
	}
	return i.MakeDirs()
}

// MakeDirs makes the instance's directories, readable by their owner only.
func (i Instance) MakeDirs() error {
	for _, dir := range []string{i.data, i.logs, i.short} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return problemf(filesPermission, "create instance %q: %w: make its parent directory writable, or set HOME (and XDG_DATA_HOME, XDG_STATE_HOME) to one that is", i.Name, err)
		}
	}
	return nil
}

// Exists says whether the instance was created.
func (i Instance) Exists() bool {
	_, err := os.Stat(i.data)
	return err == nil
}
