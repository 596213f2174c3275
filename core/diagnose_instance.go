package core

import (
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
	"rancherdesktop.io/rdd/internal/daemon"
	"rancherdesktop.io/rdd/internal/datastore/storefile"
	"rancherdesktop.io/rdd/internal/diag"
	"rancherdesktop.io/rdd/internal/machine/layout"
	"rancherdesktop.io/rdd/internal/proc"
)

// Program is one of RDD's own programs. Version is empty when its build doesn't tell.
type Program struct {
	Name    string `json:"name"`
	Path    string `json:"path,omitempty"` // empty when it is missing
	Version string `json:"version,omitempty"`
	Desktop bool   `json:"desktop,omitempty"` // a host without a desktop may go without it
}

// programs are those behind rdd.
func (c *Core) programs() []Program {
	var all []Program
	for _, p := range []Program{
		{Name: "rddd"}, {Name: "rdd-lima"}, {Name: "rdd-kubectl"},
		{Name: "rdd-tray", Desktop: true}, {Name: "rdd-window", Desktop: true}, {Name: "rdd-web", Desktop: true},
	} {
		if path, err := c.inst.Program(p.Name); err == nil {
			p.Path, p.Version = path, versionOf(path)
		}
		all = append(all, p)
	}
	return all
}

// versionOf reads which version a program was linked as. It doesn't run it.
func versionOf(path string) string {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return ""
	}
	for _, s := range info.Settings {
		if m := regexp.MustCompile(`-X main\.version=(\S+)`).FindStringSubmatch(s.Value); s.Key == "-ldflags" && m != nil {
			return strings.Trim(m[1], `"'`)
		}
	}
	return ""
}

// unversioned is what a program says that was built without a version.
const unversioned = "dev"

// checkInstallation looks whether RDD's own programs are there and belong together.
func checkInstallation(_ context.Context, i *inspection) []Finding {
	programs := i.core.programs()
	return judgePrograms(i.core.version, i.status.Version, programs)
}

func judgePrograms(own, running string, programs []Program) []Finding {
	var all []Finding
	versions := map[string]string{}
	note := func(name, version string) {
		if version != "" && version != unversioned {
			versions[name] = version
		}
	}
	note("rdd", own)
	note("the running service", running)
	for _, p := range programs {
		if p.Path == "" && !p.Desktop {
			all = append(all, found(SeverityProblem, diag.InstallBroken, "%s is missing", p.Name))
		}
		note(p.Name, p.Version)
	}
	var said []string
	different := map[string]bool{}
	for name, v := range versions {
		said = append(said, name+" "+v)
		different[v] = true
	}
	slices.Sort(said)
	switch {
	case len(different) > 1:
		all = append(all, found(SeverityWarning, diag.VersionMismatch, "versions differ: %s", strings.Join(said, ", ")))
	case len(all) == 0:
		all = append(all, fine("all programs that it needs are there, of version %s", own))
	}
	return append(all, desktopPrograms(programs)...)
}

// desktopPrograms says which of the desktop's programs are there. None has to be.
func desktopPrograms(programs []Program) []Finding {
	var said []string
	for _, p := range programs {
		switch {
		case !p.Desktop:
		case p.Path == "":
			said = append(said, p.Name+" not installed")
		default:
			said = append(said, strings.TrimSpace(p.Name+" "+p.Version))
		}
	}
	if len(said) == 0 {
		return nil
	}
	return []Finding{fine("for a desktop: %s", strings.Join(said, ", "))}
}

// checkSockets looks whether paths of sockets fit.
func checkSockets(_ context.Context, i *inspection) []Finding {
	if err := i.inst.Check(); err != nil {
		return []Finding{found(SeverityProblem, diag.SocketPathTooLong, "%v", err)}
	}
	room := 1
	for room < 30 && i.inst.CheckVM(strings.Repeat("a", room+1)) == nil {
		room++
	}
	all := []Finding{fine("names of VMs may have up to %d characters", room)}
	for _, vm := range i.files {
		if err := i.inst.CheckVM(vm.Name); err != nil {
			all = append(all, found(SeverityProblem, diag.SocketPathTooLong, "%v", err))
		}
	}
	return all
}

// checkPorts looks whether somebody else has the ports that a start would want.
func checkPorts(ctx context.Context, i *inspection) []Finding {
	var all []Finding
	all = append(all, checkAPIPort(ctx, i)...)
	for _, vm := range i.files {
		if port := sshPort(vm); port != 0 && !lives(vm) && listened(ctx, net.JoinHostPort("127.0.0.1", strconv.Itoa(port))) {
			all = append(all, found(SeverityWarning, diag.PortInUse, "port %d, which VM %q wants for SSH, is taken", port, vm.Name))
		}
	}
	if len(all) == 0 {
		return []Finding{fine("nobody else has a port that is wanted here")}
	}
	return all
}

// checkAPIPort looks whether a stopped service would get its port.
func checkAPIPort(ctx context.Context, i *inspection) []Finding {
	if !stopped(i.status.State) {
		return nil
	}
	config, _ := daemon.LoadConfig(i.inst) // another check tells what is wrong with it
	if config.Port != 0 {
		if address := net.JoinHostPort(Loopback(), strconv.Itoa(config.Port)); listened(ctx, address) {
			return []Finding{found(SeverityProblem, diag.PortInUse, "%s, which this instance's API was given, is taken: the service will not start", address)}
		}
		return nil
	}
	if address := i.core.apiAddress(); address != "" && listened(ctx, address) {
		return []Finding{found(SeverityWarning, diag.PortInUse, "%s, where this instance's API was, is taken: the service will use another port, and copied kubeconfigs will not reach it", address)}
	}
	return nil
}

func stopped(s ServiceState) bool {
	return slices.Contains([]ServiceState{ServiceStopped, ServiceBroken, ServiceNotCreated}, s)
}

// apiAddress is where the last run's server was; empty when there was none.
func (c *Core) apiAddress() string {
	config, err := c.restConfig()
	if err != nil {
		return ""
	}
	u, err := url.Parse(config.Host)
	if err != nil {
		return ""
	}
	return u.Host
}

// sshPort is the port that a VM's configuration names; 0 when it takes any.
func sshPort(vm layout.VM) int {
	var config struct {
		SSH struct {
			LocalPort int `json:"localPort"`
		} `json:"ssh"`
	}
	b, err := os.ReadFile(filepath.Join(vm.Dir(), "lima.yaml"))
	if err != nil || yaml.Unmarshal(b, &config) != nil {
		return 0
	}
	if config.SSH.LocalPort == 0 && vm.Name == "default" {
		return 60022 // Lima's own choice for this name
	}
	return config.SSH.LocalPort
}

// dialTimeout bounds a connection: on loopback it is there at once, or not at all.
const (
	dialTimeout  = time.Second
	storeTimeout = 3 * time.Second // over a network
)

func listened(ctx context.Context, address string) bool {
	d := net.Dialer{Timeout: dialTimeout}
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// lives says whether a hostagent or a QEMU of the VM does.
func lives(vm layout.VM) bool { return held(vm.AgentLock()) || held(vm.QEMULock()) }

func held(path string) bool {
	h, err := proc.Held(path)
	return h && err == nil
}

// checkCredentials looks whether others can read what lets its reader in.
func checkCredentials(_ context.Context, i *inspection) []Finding {
	if runtime.GOOS == "windows" {
		return nil // rights are inherited from the profile
	}
	var all []Finding
	for _, path := range append(i.credentials(), i.inst.DataDir(), i.inst.ShortDir(), i.inst.LogDir()) {
		info, err := os.Lstat(path)
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			all = append(all, found(SeverityProblem, diag.CredentialsOpen, "%s has mode %04o; it must not be open to others", path, info.Mode().Perm()))
		}
	}
	if len(all) == 0 {
		return []Finding{fine("files that let their reader in are yours alone")}
	}
	return all
}

// credentials are the files that hold a secret, if they are there.
func (i *inspection) credentials() []string {
	paths := []string{
		i.inst.KubeConfig(), i.inst.ConfigFile(), i.inst.RecordFile(),
		filepath.Join(i.inst.ControlPlaneDir(), "token"), filepath.Join(i.inst.ControlPlaneDir(), "serving.key"),
		filepath.Join(i.inst.LimaHome(), "_config", "user"),
	}
	entries, _ := os.ReadDir(i.inst.StoreDir())
	for _, e := range entries {
		paths = append(paths, filepath.Join(i.inst.StoreDir(), e.Name()))
	}
	entries, _ = os.ReadDir(i.inst.DataDir())
	for _, e := range entries { // former ones that were damaged
		if path := filepath.Join(i.inst.DataDir(), e.Name()); strings.HasPrefix(path, i.inst.ConfigFile()+".") {
			paths = append(paths, path)
		}
	}
	return paths
}

// checkHome looks whether this user can have an instance in this home directory.
func checkHome(_ context.Context, i *inspection) []Finding {
	if err := i.inst.CheckHome(); err != nil {
		return []Finding{found(SeverityProblem, diag.HomeUnusable, "%v", err)}
	}
	return []Finding{fine("%s can hold virtual machines", i.inst.Home())}
}

// checkSettings looks whether what the user chose can be read.
func checkSettings(_ context.Context, i *inspection) []Finding {
	var all []Finding
	if _, err := daemon.LoadConfig(i.inst); err != nil {
		all = append(all, judged(SeverityProblem, diag.FilesPermission, err))
	}
	if _, err := i.core.Settings(); err != nil {
		all = append(all, judged(SeverityWarning, diag.FilesPermission, err))
	}
	if len(all) == 0 {
		return []Finding{fine("%s and %s can be read, or hold nothing yet", i.inst.ConfigFile(), i.inst.SettingsFile())}
	}
	return all
}

// checkDatastore looks whether the control plane's objects are where they should be, without opening
// the database.
func checkDatastore(ctx context.Context, i *inspection) []Finding {
	config, err := daemon.LoadConfig(i.inst)
	if err != nil {
		return []Finding{judged(SeverityProblem, diag.FilesPermission, err)}
	}
	if config.DatastoreEndpoint != "" {
		return checkEndpoint(ctx, config.DatastoreEndpoint)
	}
	err = storefile.Check(i.inst.StoreDir())
	switch _, damaged := errors.AsType[*storefile.DamagedError](err); {
	case errors.Is(err, fs.ErrNotExist):
		return []Finding{fine("there is none yet")}
	case damaged:
		return []Finding{found(SeverityProblem, diag.DatastoreDamaged, "%v", err)}
	case err != nil:
		return []Finding{told(SeverityProblem, diag.FilesPermission, err.Error())}
	}
	return []Finding{fine("%s", storefile.Database(i.inst.StoreDir()))}
}

// checkEndpoint connects to an external store. What it says never holds a password.
func checkEndpoint(ctx context.Context, endpoint string) []Finding {
	var all []Finding
	for part := range strings.SplitSeq(endpoint, ",") {
		u, err := url.Parse(part)
		if err != nil {
			continue // LoadConfig has checked it
		}
		address := u.Host
		if u.Port() == "" {
			address = net.JoinHostPort(u.Hostname(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
			if strings.HasPrefix(u.Scheme, "postgres") {
				address = net.JoinHostPort(u.Hostname(), "5432")
			}
		}
		d := net.Dialer{Timeout: storeTimeout}
		conn, err := d.DialContext(ctx, "tcp", address)
		if err != nil {
			all = append(all, found(SeverityProblem, diag.DatastoreUnreachable, "the store at %s can't be reached: %v", address, err))
			continue
		}
		conn.Close()
		all = append(all, fine("the store at %s accepts connections", address))
	}
	return all
}

// checkLeftovers looks for what a crash has left.
func checkLeftovers(_ context.Context, i *inspection) []Finding {
	var all []Finding
	for _, vm := range i.orphans() {
		all = append(all, orphanFinding(vm))
	}
	for _, vm := range i.files {
		all = append(all, leftoversOf(vm, stopped(i.status.State))...)
	}
	all = append(all, staleDiskLocks(i.inst.LimaHome())...)
	if len(all) == 0 {
		return []Finding{fine("nothing is left of processes that are gone")}
	}
	return all
}

// leftoversOf looks at one VM. What a running service works on is no leftover.
func leftoversOf(vm layout.VM, unserved bool) []Finding {
	if lives(vm) {
		if unserved {
			return []Finding{found(SeverityWarning, diag.LeftoverProcess, "VM %q runs without a service", vm.Name)}
		}
		return nil
	}
	if held(vm.DiskLock()) || !there(vm.Dir()) {
		return nil
	}
	if vm.Unfinished() {
		return []Finding{found(SeverityWarning, diag.HalfMadeVM, "%s was never finished", vm.Dir())}
	}
	var names []string
	entries, _ := os.ReadDir(vm.Dir())
	for _, e := range entries {
		if slices.Contains([]string{".sock", ".pid"}, filepath.Ext(e.Name())) {
			names = append(names, e.Name())
		}
	}
	if len(names) == 0 {
		return nil
	}
	return []Finding{found(SeverityWarning, diag.StaleSocket, "VM %q doesn't run, and %s are left in %s", vm.Name, strings.Join(names, ", "), vm.Dir())}
}

// staleDiskLocks looks at Lima's notes of who uses an additional disk: links to a VM's directory.
func staleDiskLocks(home string) []Finding {
	var all []Finding
	disks := filepath.Join(home, "_disks")
	entries, _ := os.ReadDir(disks)
	for _, e := range entries {
		note := filepath.Join(disks, e.Name(), "in_use_by")
		user, err := os.Readlink(note)
		if err == nil && !lives(layout.VM{Home: home, Name: filepath.Base(user)}) {
			all = append(all, found(SeverityWarning, diag.StaleLock, "%s says that VM %q uses this disk, which doesn't run", note, filepath.Base(user)))
		}
	}
	return all
}

func there(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// checkService looks at the service.
func checkService(_ context.Context, i *inspection) []Finding {
	st := i.status
	switch {
	case i.statusErr != nil:
		return []Finding{told(SeverityProblem, diag.ServiceBroken, i.statusErr.Error())}
	case st.State == ServiceBroken && known(st.Problem):
		return []Finding{found(SeverityProblem, diag.ID(st.Problem), "broken: %s", st.Error)}
	case st.State == ServiceBroken:
		return []Finding{told(SeverityProblem, diag.ServiceBroken, "broken: "+st.Error)}
	case st.Error != "":
		return []Finding{told(SeverityWarning, diag.ServiceCrashed, fmt.Sprintf("%s: %s", st.State, st.Error))}
	case st.Step != "":
		return []Finding{fine("%s: %s", st.State, st.Step)}
	case st.State == ServiceNotCreated:
		return []Finding{fine("there is no instance %q yet", st.Instance)}
	}
	return []Finding{fine("%s", st.State)}
}

func known(id string) bool {
	_, ok := diag.Find(diag.ID(id))
	return ok
}

// checkVMs looks at each VM, as the service sees it.
func checkVMs(_ context.Context, i *inspection) []Finding {
	made := 0
	for _, vm := range i.files {
		if there(vm.Dir()) {
			made++
		}
	}
	switch {
	case i.vmsErr != nil:
		return []Finding{told(SeverityProblem, diag.ServiceBroken, i.vmsErr.Error())}
	case i.status.State != ServiceRunning && made > 0:
		return []Finding{fine("there are files of %d; the service doesn't run, so how they are is not known", made)}
	case len(i.objects) == 0:
		return []Finding{fine("there is none")}
	}
	var all []Finding
	for v := range i.objects {
		all = append(all, judgeVM(&i.objects[v])...)
	}
	return all
}

func judgeVM(vm *VM) []Finding {
	what := fmt.Sprintf("VM %q: %s", vm.Name, Describe(vm).State)
	if Describe(vm).Problems == 0 {
		return []Finding{judgeState(vm, what)}
	}
	var all []Finding
	for _, p := range vm.Status.Problems {
		// The words may be the guest's, which the table of this computer's problems must not judge.
		all = append(all, found(SeverityWarning, diag.VMDegraded, "%s, but: %s", what, p))
	}
	return all
}

func judgeState(vm *VM, what string) Finding {
	d := Describe(vm)
	failure, permanent := vm.Failure()
	switch p := vm.Status.Progress; {
	case failure != nil && permanent:
		return told(SeverityProblem, diag.VMFailed, what+": "+failure.Message)
	case failure != nil:
		return told(SeverityWarning, diag.VMFailed, what+", and is tried again: "+failure.Message)
	case p != nil:
		if _, _, known := diag.Split(p.Message); known {
			return told(SeverityWarning, diag.VMFailed, what+": "+d.Progress)
		}
		return fine("%s: %s", what, d.Progress)
	}
	if c := meta.FindStatusCondition(vm.Status.Conditions, v1alpha1.ConditionRunning); c != nil && c.Status == metav1.ConditionTrue && c.Message != "" {
		return fine("%s; %s", what, c.Message) // what an earlier service left
	}
	return fine("%s", what)
}
