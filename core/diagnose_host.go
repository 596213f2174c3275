package core

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"

	"rancherdesktop.io/rdd/internal/diag"
	"rancherdesktop.io/rdd/internal/host"
	"rancherdesktop.io/rdd/internal/instance"
	"rancherdesktop.io/rdd/internal/machine/event"
	"rancherdesktop.io/rdd/internal/proc"
	"rancherdesktop.io/rdd/internal/scratch"
)

// From when on a disk counts as nearly full, and as full.
const (
	diskWarning = 85      // percent
	diskLeast   = 1 << 30 // bytes; a guest image needs some
	memoryLeast = 1 << 30 // bytes; a small VM's
)

// programTimeout bounds a program that is asked something. A probe of acceleration takes up to 5 s.
const programTimeout = 20 * time.Second

// checkAcceleration asks rdd-lima what a VM that starts now would find.
func checkAcceleration(ctx context.Context, i *inspection) []Finding {
	if instance.CheckUser() != nil {
		return nil // Lima doesn't run; the check "home" says so
	}
	program, err := i.inst.Program("rdd-lima")
	if err != nil {
		return nil // the installation's finding
	}
	acc, err := probe(ctx, program, i.inst.LimaHome())
	if err != nil {
		return []Finding{told(SeverityWarning, diag.AccelerationBroken, "not known: "+err.Error())}
	}
	what, _, _ := strings.Cut(acc.Message, ". ") // after it comes a remedy, which the table has
	switch acc.Reason {
	case "NoPermission":
		return []Finding{found(SeverityWarning, diag.AccelerationPermission, "%s", what)}
	case "NoHardwareDevice":
		if host.Virtual() {
			return []Finding{found(SeverityWarning, diag.NestedVirtualization, "%s", what)}
		}
		return []Finding{found(SeverityWarning, diag.AccelerationMissing, "%s", what)}
	case "HardwareHangs":
		return []Finding{found(SeverityWarning, diag.AccelerationHangs, "%s", what)}
	}
	if !acc.Hardware {
		return []Finding{found(SeverityWarning, diag.AccelerationBroken, "%s", what)}
	}
	return []Finding{fine("%s", what)}
}

// probe runs rdd-lima probe. It keeps its result in the Lima home, and a check keeps nothing: so it
// gets a home that goes away, with the result of an earlier one.
func probe(ctx context.Context, program, limaHome string) (acc event.Accelerator, err error) {
	dir, err := scratch.New("rdd-diagnose-")
	if err != nil {
		return acc, err
	}
	defer func() { _ = dir.Close() }()
	home := dir.Path
	const kept = "_run/acceleration.json"
	if b, err := os.ReadFile(filepath.Join(limaHome, kept)); err == nil {
		if err := errors.Join(os.Mkdir(filepath.Join(home, "_run"), 0o700), os.WriteFile(filepath.Join(home, kept), b, 0o600)); err != nil {
			return acc, err
		}
	}
	out, err := answer(ctx, program, "probe", "--lima-home", home)
	if err == nil {
		err = json.Unmarshal(out, &acc)
	}
	return acc, err
}

// answerGrace is how long a program may take to end that is asked for no more.
const answerGrace = 2 * time.Second

// answer runs a program that answers on stdout. It ends with us, if it is one of ours or a guarded one.
func answer(ctx context.Context, program string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, programTimeout, fmt.Errorf("%s gives no answer within %s", program, programTimeout))
	defer cancel()
	var out, stderr bytes.Buffer
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = &out, &stderr
	tree, err := proc.Start(ctx, cmd, answerGrace)
	if err == nil {
		err = tree.Wait()
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if said := strings.TrimSpace(stderr.String()); err != nil && said != "" {
		err = fmt.Errorf("%w: %s", err, said)
	}
	return out.Bytes(), err
}

// checkPrograms looks for the programs of others that run and reach VMs, where the service looks for them.
func checkPrograms(ctx context.Context, i *inspection) []Finding {
	var all []Finding
	var hidden []string // which only this program finds
	service := i.status.SearchPath
	where := "PATH"
	if service != "" {
		where = fmt.Sprintf("the PATH of the running service, %q", service)
	}
	for _, name := range []string{qemuProgram(), "qemu-img", "ssh", "ssh-keygen"} {
		path, err := lookPath(name, cmp.Or(service, i.inst.SearchPath()))
		own, ownErr := lookPath(name, i.inst.SearchPath())
		switch {
		case err != nil && ownErr == nil:
			hidden = append(hidden, own)
		case err != nil:
			all = append(all, found(SeverityProblem, diag.QEMUMissing, "%s is not in %s", name, where))
		case name == qemuProgram():
			all = append(all, checkQEMU(ctx, path))
		default:
			all = append(all, fine("%s", path))
		}
	}
	if len(hidden) > 0 {
		all = append(all, found(SeverityProblem, diag.ServicePath, "%s can be found from here, but not in %s", strings.Join(hidden, ", "), where))
	}
	return all
}

// lookPath finds a program in the folders of a PATH, as exec.LookPath does in this program's own.
func lookPath(name, path string) (string, error) {
	for _, dir := range filepath.SplitList(path) {
		if !filepath.IsAbs(dir) {
			continue // depends on who looks
		}
		if found, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return found, nil
		}
	}
	return "", &exec.Error{Name: name, Err: exec.ErrNotFound}
}

func checkQEMU(ctx context.Context, path string) Finding {
	out, err := answer(ctx, path, "--version")
	if err != nil {
		return told(SeverityProblem, diag.QEMUMissing, fmt.Sprintf("%s can't be run: %v", path, err))
	}
	line, _ := bufio.NewReader(bytes.NewReader(out)).ReadString('\n')
	what := fmt.Sprintf("%s: %s", path, strings.TrimSpace(line))
	if tooOld(line, runtime.GOOS) {
		return found(SeverityProblem, diag.QEMUTooOld, "%s", what)
	}
	return fine("%s", what)
}

func qemuProgram() string {
	switch runtime.GOARCH {
	case "amd64":
		return "qemu-system-x86_64"
	case "arm64":
		return "qemu-system-aarch64"
	}
	return "qemu-system-" + runtime.GOARCH
}

// tooOld says whether Lima refuses this QEMU. Source: minimumQemuVersion in Lima's driver.
func tooOld(version, goos string) bool {
	m := regexp.MustCompile(`version (\d+)\.`).FindStringSubmatch(version)
	if m == nil {
		return false
	}
	major, err := strconv.Atoi(m[1])
	if goos == "darwin" {
		return err == nil && major < 7
	}
	return err == nil && major < 4
}

// checkDisk looks at the disks where the instance's files are.
func checkDisk(_ context.Context, i *inspection) []Finding {
	var all []Finding
	seen := map[string]bool{}
	for _, place := range []struct{ holds, path string }{
		{"the control plane", i.inst.DataDir()}, {"virtual machines", i.inst.LimaHome()}, {"logs", i.inst.LogDir()},
	} {
		disk, err := host.DiskOf(place.path)
		if err != nil {
			all = append(all, told(SeverityWarning, diag.FilesPermission, err.Error()))
			continue
		}
		if !seen[disk.Name] {
			seen[disk.Name] = true
			all = append(all, judgeDisk(disk, place.holds, place.path))
		}
	}
	return all
}

func judgeDisk(disk host.Disk, holds, path string) Finding {
	what := fmt.Sprintf("the disk of %s (%s) is %d %% full, %s are left", path, holds, disk.Used(), units.BytesSize(float64(disk.Free)))
	switch {
	case disk.Free < diskLeast:
		return found(SeverityProblem, diag.DiskFull, "%s", what)
	case disk.Used() >= diskWarning:
		return found(SeverityWarning, diag.DiskNearlyFull, "%s", what)
	}
	return fine("%s", what)
}

func checkMemory(context.Context, *inspection) []Finding {
	m, err := host.MemoryOf()
	if err != nil {
		return []Finding{fine("not known: %v", err)}
	}
	return []Finding{judgeMemory(m)}
}

func judgeMemory(m host.Memory) Finding {
	what := units.BytesSize(float64(m.Total))
	if m.Available == 0 {
		return fine("%s", what)
	}
	what += fmt.Sprintf(", of which programs can still get %s", units.BytesSize(float64(m.Available)))
	if m.Available < memoryLeast {
		return found(SeverityWarning, diag.MemoryShort, "%s", what)
	}
	return fine("%s", what)
}

// clockSpare is by how much a file may be newer than now before the clock counts as set back.
const clockSpare = time.Minute

// checkClock compares the clock with what was written by it: the certificate and the newest files.
func checkClock(_ context.Context, i *inspection) []Finding {
	now := time.Now()
	var all []Finding
	if b, err := os.ReadFile(filepath.Join(i.inst.ControlPlaneDir(), "serving.crt")); err == nil {
		all = append(all, judgeCertificate(b, now)...)
	}
	for _, path := range []string{i.inst.RecordFile(), i.inst.ServiceLog()} {
		info, err := os.Stat(path)
		if err == nil && info.ModTime().After(now.Add(clockSpare)) {
			all = append(all, found(SeverityWarning, diag.ClockSetBack, "it is %s, and %s is from %s", stamp(now), path, stamp(info.ModTime())))
		}
	}
	if len(all) == 0 {
		return []Finding{fine("it is %s; nothing here is from the future", stamp(now))}
	}
	return all
}

func judgeCertificate(b []byte, now time.Time) []Finding {
	block, _ := pem.Decode(b)
	if block == nil {
		return nil // made anew at the next start
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	switch {
	case err != nil:
		return nil
	case now.Before(cert.NotBefore):
		return []Finding{found(SeverityProblem, diag.ClockWrong, "it is %s, and the API's certificate is valid from %s on", stamp(now), stamp(cert.NotBefore))}
	case now.After(cert.NotAfter):
		return []Finding{found(SeverityProblem, diag.ClockWrong, "it is %s, and the API's certificate was valid until %s; rdd svc restart makes a new one", stamp(now), stamp(cert.NotAfter))}
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
