package diagnose

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
	"rancherdesktop.io/rdd/internal/diag"
	"rancherdesktop.io/rdd/internal/host"
	"rancherdesktop.io/rdd/internal/instance"
	"rancherdesktop.io/rdd/internal/proc"
	"rancherdesktop.io/rdd/internal/templatetext"
	"rancherdesktop.io/rdd/internal/testenv"
)

func TestAdvice(t *testing.T) {
	full := errors.New("write x: no space left on device")
	p, _ := diag.Find(diag.DiskFull)
	for _, tc := range []struct {
		name string
		err  error
		want bool
	}{
		{"a known problem", core.Failed("start service", "default", full), true},
		{"an unknown problem", errors.New("no"), false},
		{"an error with its advice", fmt.Errorf("%w\n%s", full, p.Advice("linux")), false},
		{"a message of RDD with its own remedy", errors.New("the socket path /x is 110 bytes long; at most 103 work on every system: use a shorter name"), false},
		{"a VM's failure, which the service has explained", core.Failed("start VM", "rd", &v1alpha1.FailedError{Name: "rd", Reason: "StartFailed", Message: full.Error()}), false},
		{"a refusal", &core.Error{Kind: core.Rejected, Op: "create VM", Object: "rd", Err: full}, false},
		{"a deadline", &core.Expired{Last: core.Event{Message: full.Error()}}, false},
	} {
		advice := Advice(tc.err)
		if (advice != "") != tc.want || tc.want && !strings.Contains(advice, "known problem disk-full: ") {
			t.Errorf("%s: %q", tc.name, advice)
		}
	}
}

func TestJudgements(t *testing.T) {
	old := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	cert := testCertificate(t, time.Now())
	for _, tc := range []struct {
		name string
		got  Finding
		want string // severity and ID
	}{
		{"a disk with room", judgeDisk(host.Disk{Total: 100 << 30, Free: 16 << 30}, "x", "/"), "ok "},
		{"a disk 85 % full", judgeDisk(host.Disk{Total: 100 << 30, Free: 15 << 30}, "x", "/"), "warning disk-nearly-full"},
		{"a full disk", judgeDisk(host.Disk{Total: 100 << 30, Free: 1 << 29}, "x", "/"), "problem disk-full"},
		{"memory", judgeMemory(host.Memory{Total: 8 << 30, Available: 4 << 30}), "ok "},
		{"little memory", judgeMemory(host.Memory{Total: 8 << 30, Available: 1 << 29}), "warning memory-short"},
		{"unknown available memory", judgeMemory(host.Memory{Total: 8 << 30}), "ok "},
		{"one version", judgePrograms("v1", "v1", []Program{{"rddd", "/x", "v1", false}, {"rdd-lima", "/x", "", false}})[0], "ok "},
		{"a build without a version", judgePrograms("dev", "", []Program{{"rddd", "/x", "v1", false}})[0], "ok "},
		{"a service from before an update", judgePrograms("v2", "v1", []Program{{"rddd", "/x", "v2", false}})[0], "warning version-mismatch"},
		{"a tray from before an update", judgePrograms("v2", "", []Program{{"rdd-tray", "/x", "v1", true}})[0], "warning version-mismatch"},
		{"no desktop", judgePrograms("v1", "", []Program{{"rddd", "/x", "v1", false}, {"rdd-window", "", "", true}})[0], "ok "},
		{"a missing program", judgePrograms("v1", "", []Program{{"rddd", "", "", false}})[0], "problem install-broken"},
		{"a certificate of tomorrow", judgeCertificate(cert, old)[0], "problem clock-wrong"},
		{"a certificate of yesterday", judgeCertificate(cert, time.Now().Add(48*time.Hour))[0], "problem clock-wrong"},
		{"a running VM", judgeVM(testVM("True", v1alpha1.ReasonStarted, ""))[0], "ok "},
		{"a VM in which something doesn't work", judgeVM(withProblems(testVM("True", v1alpha1.ReasonStarted, "no forwards"), "no forwards"))[0], "warning vm-degraded"},
		{"an adopted VM", judgeVM(testVM("True", v1alpha1.ReasonStarted, "its hostagent was adopted"))[0], "ok "},
		{"a VM that failed permanently", judgeVM(testVM("False", v1alpha1.ReasonStartFailed, "no idea"))[0], "problem vm-failed"},
		{"a VM whose start is retried", judgeVM(testVM("Unknown", v1alpha1.ReasonStartFailed, "bind: address already in use"))[0], "warning port-in-use"},
	} {
		if got := string(tc.got.Severity) + " " + tc.got.ID; got != tc.want {
			t.Errorf("%s: %q, want %q (%s)", tc.name, got, tc.want, tc.got.What)
		}
		if tc.got.Severity != SeverityOK && (tc.got.Meaning == "" || tc.got.Remedy == "") {
			t.Errorf("%s: no meaning or no remedy", tc.name)
		}
	}
	if f := judgeCertificate(cert, time.Now()); len(f) != 0 {
		t.Error(f)
	}
}

func TestMissingDesktopProgramsAreListed(t *testing.T) {
	all := judgePrograms("v1", "", []Program{
		{"rddd", "/x", "v1", false}, {"rdd-tray", "/x", "v1", true}, {"rdd-window", "", "", true}, {"rdd-web", "/x", "", true},
	})
	if len(all) != 2 || all[1].Severity != SeverityOK || all[1].What != "for a desktop: rdd-tray v1, rdd-window not installed, rdd-web" {
		t.Errorf("%+v", all)
	}
}

// The advice in a condition becomes the finding's meaning and remedy.
func TestFindingDoesNotRepeatTheAdviceOfACondition(t *testing.T) {
	p, _ := diag.Find(diag.MemoryShort)
	f := judgeVM(testVM("Unknown", v1alpha1.ReasonStartFailed, "QEMU has ended\n"+p.Advice("linux")))[0]
	if f.ID != "memory-short" || strings.Contains(f.What, "known problem") || f.Meaning != p.Meaning {
		t.Errorf("%+v", f)
	}
}

func TestQEMUVersion(t *testing.T) {
	for line, want := range map[string]bool{
		"QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)": false, "QEMU emulator version 3.1.0": true, "something else": false, "": false,
	} {
		if got := tooOld(line, "linux"); got != want {
			t.Errorf("%q: %t", line, got)
		}
	}
	if !tooOld("QEMU emulator version 6.2.0", "darwin") {
		t.Error("Lima requires 7.0 on macOS")
	}
}

// crashed creates an instance in the state after a crash.
func crashed(t *testing.T) (*core.Core, *inspection) {
	root, err := os.MkdirTemp("", "rdd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	inst := instance.At(root, "i", filepath.Join(root, "libexec"))
	write := func(path string, mode os.FileMode, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{inst.DataDir(), inst.LogDir(), inst.ShortDir()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	lima := inst.LimaHome()
	write(inst.RecordFile(), 0o600, `{"nonce":"n","phase":"ready"}`)
	write(inst.KubeConfig(), 0o644, "")
	write(filepath.Join(lima, "half", "rdd.making"), 0o600, "")
	write(filepath.Join(lima, "half", "lima.yaml"), 0o600, "{}")
	write(filepath.Join(lima, "unmarked", "lima.yaml"), 0o600, "{}") // complete or not: only a start can tell
	write(filepath.Join(lima, "whole", "rdd.prepared"), 0o600, "{}")
	write(filepath.Join(lima, "whole", "qemu.pid"), 0o600, "1")
	write(filepath.Join(lima, "_run", "orphan", "hostagent.lock"), 0o600, "")
	if err := os.MkdirAll(filepath.Join(lima, "_disks", "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(lima, "whole"), filepath.Join(lima, "_disks", "data", "in_use_by")); err != nil {
		t.Skip("no symbolic links here")
	}
	write(filepath.Join(inst.StoreDir(), "state.db"), 0o600, "not a database at all")
	c := core.New(inst, "v1")
	return c, inspect(t.Context(), c)
}

func ids(findings []Finding) (all []string) {
	for _, f := range findings {
		if f.Severity != SeverityOK {
			all = append(all, f.ID)
		}
	}
	return all
}

func TestLeftoversOfACrashAreFound(t *testing.T) {
	c, i := crashed(t)
	lock, err := proc.Acquire(filepath.Join(c.Instance().LimaHome(), "_run", "orphan", "hostagent.lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Release() }()
	if got, want := ids(checkLeftovers(t.Context(), i)), []string{"half-made-vm", "leftover-process", "stale-socket", "stale-lock"}; !slices.Equal(got, want) {
		t.Errorf("leftovers: %v, want %v", got, want)
	}
	for name, run := range map[string]func(context.Context, *inspection) []Finding{
		"service-crashed": checkService, "credentials-open": checkCredentials, "datastore-damaged": checkDatastore, "install-broken": checkInstallation,
	} {
		if got := ids(run(t.Context(), i)); len(got) == 0 || got[0] != name {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestPortsOfOtherProgramsAreFound(t *testing.T) {
	c, i := crashed(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	for path, text := range map[string]string{
		c.Instance().KubeConfig():                                   fmt.Sprintf("{current-context: rdd, contexts: [{name: rdd, context: {cluster: rdd}}], clusters: [{name: rdd, cluster: {server: 'https://%s'}}]}", taken.Addr()),
		filepath.Join(c.Instance().LimaHome(), "half", "lima.yaml"): fmt.Sprintf("ssh: {localPort: %d}", port),
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got := checkPorts(t.Context(), i); len(ids(got)) != 2 {
		t.Errorf("%+v", got)
	}
}

func TestClockSetBackIsFound(t *testing.T) {
	_, i := crashed(t)
	future := time.Now().Add(time.Hour)
	if err := os.Chtimes(i.inst.RecordFile(), future, future); err != nil {
		t.Fatal(err)
	}
	if got := ids(checkClock(t.Context(), i)); !slices.Equal(got, []string{"clock-set-back"}) {
		t.Error(got)
	}
}

func TestUnreachableDatastoreIsFoundWithoutItsPassword(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()
	got := checkEndpoint(t.Context(), "postgres://rdd:hunter2@"+address+"/rdd")
	if len(got) != 1 || got[0].ID != "datastore-unreachable" || strings.Contains(got[0].What, "hunter2") {
		t.Errorf("%+v", got)
	}
}

func TestBundleContainsTheEndOfALongLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, bytes.Repeat([]byte("0123456789\n"), 100), 0o600); err != nil {
		t.Fatal(err)
	}
	text, truncated, err := tail(path, 25)
	if err != nil || !truncated || text != "0123456789\n0123456789\n" {
		t.Errorf("%q, %t, %v", text, truncated, err)
	}
}

func TestBundleIsPrivateAndNeverOverwrites(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b.tar.gz")
	b := &Bundle{Instance: "i", Files: []BundleFile{{Name: "a", text: "b"}}}
	if err := b.Write(path); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || filepath.Separator == '/' && info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	if err := b.Write(path); core.KindOf(err) != core.Usage {
		t.Error(err)
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Error("the file was changed", err)
	}
	for _, name := range []string{"b.zip", ".tgz", ""} {
		if err := CheckBundle(name); core.KindOf(err) != core.Usage {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// Another user could read a bundle in a shared folder: the name of its temporary file could be guessed.
func TestBundleUsesNoFileThatIsThere(t *testing.T) {
	dir := t.TempDir()
	path, foreign := filepath.Join(dir, "b.tar.gz"), filepath.Join(dir, ".b.tar.gz.0")
	if err := os.WriteFile(foreign, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := (&Bundle{Instance: "i"}).Write(path); err != nil {
		t.Fatal(err)
	}
	all, err := os.ReadDir(dir)
	if err != nil || len(all) != 2 || all[0].Name() != filepath.Base(foreign) || all[1].Name() != filepath.Base(path) {
		t.Errorf("there are %v, %v", all, err)
	}
}

// Both of two clients that wrote to the same name at once succeeded, and the first bundle was gone.
func TestOnlyOneOfTwoBundlesGetsAName(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b.tar.gz")
	if err := writeNew(path, []byte("first")); err != nil {
		t.Fatal(err)
	}
	if err := writeNew(path, []byte("second")); !errors.Is(err, fs.ErrExist) {
		t.Error(err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "first" {
		t.Errorf("%q, %v", b, err)
	}
}

// A bundle whose writing was killed was left in part, and the next attempt refused its name.
func TestBundleIsThereAsAWholeOrNotAtAll(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b.tar.gz")
	random := make([]byte, 4<<20)
	_, _ = rand.Read(random) // it never fails
	b := &Bundle{Instance: "i", Files: []BundleFile{{Name: "a", text: string(random)}}}
	written := make(chan error, 1)
	go func() { written <- b.Write(path) }()
	var first []byte
	found := testenv.Within(func() (found bool) {
		var err error
		first, err = os.ReadFile(path)
		return err == nil
	})
	if err := <-written; err != nil || !found {
		t.Fatal(found, err)
	}
	if whole, err := os.ReadFile(path); err != nil || !bytes.Equal(first, whole) {
		t.Errorf("there was a part of it: %d bytes of %d, %v", len(first), len(whole), err)
	}
}

func testVM(status, reason, message string) *core.VM {
	vm := &core.VM{}
	vm.Name, vm.Spec.Running = "rd", true
	vm.Status.Conditions = []metav1.Condition{
		{Type: v1alpha1.ConditionCreated, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonCreated},
		{Type: v1alpha1.ConditionRunning, Status: metav1.ConditionStatus(status), Reason: reason, Message: message},
	}
	return vm
}

func withProblems(vm *core.VM, problems ...string) *core.VM {
	vm.Status.Problems = problems
	return vm
}

func TestEveryProblemOfARunningVMIsShown(t *testing.T) {
	vm := withProblems(testVM("True", v1alpha1.ReasonStarted, ""), "provision[0] failed: no space left on device", "port 8080 is taken")
	if all := judgeVM(vm); len(all) != 2 || !strings.Contains(all[0].What, "provision[0] failed") || all[0].ID != string(diag.VMDegraded) || !strings.Contains(all[1].What, "port 8080 is taken") || all[0].Severity != SeverityWarning {
		t.Errorf("%+v", all)
	}
	if d := core.Describe(vm); d.State != "Running" || d.Problems != 2 || d.Problem != "provision[0] failed: no space left on device\nport 8080 is taken" {
		t.Errorf("%+v", d)
	}
}

func TestDescriptionDoesNotRepeatTheState(t *testing.T) {
	vm := testVM("False", v1alpha1.ReasonUnresponsive, "the guest does not answer")
	vm.Status.Progress = &v1alpha1.Progress{Phase: "unresponsive", Message: "the guest does not answer"}
	if d := core.Describe(vm); d.State != "Unresponsive" || d.Phase != "" || d.Progress != "the guest does not answer" {
		t.Errorf("%+v", d)
	}
}

// testCertificate returns a certificate that is valid for a day.
func testCertificate(t *testing.T, now time.Time) []byte {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func TestBundleLeavesOutTheValuesOfEnv(t *testing.T) {
	text := fmt.Sprintf(`{"env": {"A": "plain"}, "provision": [{"mode": "boot", "script": %q}, {"mode": "user", "script": "mine"}]}`, templatetext.EnvScript+"export A='hidden'\n")
	if got := readableConfig([]byte(text)); strings.Contains(got, "hidden") || !strings.Contains(got, "mine") || !strings.Contains(got, "Made by RDD") {
		t.Error(got)
	}
}

// A link has the mode 0777, which says nothing about the file.
func TestLinksAreNotReportedAsOpenCredentials(t *testing.T) {
	inst := instance.At(t.TempDir(), "i", "")
	if err := inst.MakeDirs(); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(os.DevNull, inst.KubeConfig()); err != nil {
		t.Skip("no symbolic links here")
	}
	for path, mode := range openCredentials(inst) {
		t.Errorf("%s is reported with mode %04o", path, mode)
	}
}
