package diagnose

import (
	"cmp"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"

	"rancherdesktop.io/rdd/internal/diag"
	"rancherdesktop.io/rdd/internal/proc"
)

// checkPrograms looks for QEMU and ssh in the PATH of the service.
func checkPrograms(ctx context.Context, i *inspection) []Finding {
	var all []Finding
	var hidden []string // programs that only this command finds
	service := i.status.SearchPath
	where := "PATH"
	if service != "" {
		where = fmt.Sprintf("the PATH of the running service, %q", service)
	}
	for _, name := range []string{qemuProgram(), "qemu-img", "ssh", "ssh-keygen"} {
		path := lookPath(name, cmp.Or(service, i.inst.SearchPath()))
		own := lookPath(name, i.inst.SearchPath())
		switch {
		case path == "" && own != "":
			hidden = append(hidden, own)
		case path == "":
			all = append(all, problem(SeverityProblem, diag.QEMUMissing, "%s is not in %s", name, where))
		case name == qemuProgram():
			all = append(all, checkQEMU(ctx, path))
		default:
			all = append(all, ok("%s", path))
		}
	}
	if len(hidden) > 0 {
		all = append(all, problem(SeverityProblem, diag.ServicePath, "%s can be found by this command, but not in %s", strings.Join(hidden, ", "), where))
	}
	return all
}

// lookPath does the same as exec.LookPath, in another PATH. It returns an empty string if there is no such program.
func lookPath(name, path string) string {
	for _, dir := range filepath.SplitList(path) {
		if !filepath.IsAbs(dir) {
			continue // a relative folder, which depends on the working directory
		}
		if found, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return found
		}
	}
	return ""
}

func checkQEMU(ctx context.Context, path string) Finding {
	out, err := runProgram(ctx, path, "--version")
	if err != nil {
		return explainedProblem(SeverityProblem, diag.QEMUMissing, fmt.Sprintf("%s can't be run: %v", path, err))
	}
	line, _, _ := strings.Cut(string(out), "\n")
	what := fmt.Sprintf("%s: %s", path, strings.TrimSpace(line))
	if tooOld(line, runtime.GOOS) {
		return problem(SeverityProblem, diag.QEMUTooOld, "%s", what)
	}
	return ok("%s", what)
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

// tooOld reports whether Lima refuses this version of QEMU. Source: minimumQemuVersion in Lima's QEMU driver.
func tooOld(version, goos string) bool {
	oldest := 4
	if goos == "darwin" {
		oldest = 7
	}
	m := regexp.MustCompile(`version (\d+)\.`).FindStringSubmatch(version)
	if m == nil {
		return false
	}
	major, err := strconv.Atoi(m[1])
	return err == nil && major < oldest
}

// programTimeout limits the run of a program. A probe of acceleration takes up to 5 s.
const programTimeout = 20 * time.Second

// programGrace is how long an interrupted program may take to end.
const programGrace = 2 * time.Second

// runProgram returns what a program prints to stdout. The program ends with ctx.
func runProgram(ctx context.Context, program string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, programTimeout, fmt.Errorf("%s did not respond within %s", program, programTimeout))
	defer cancel()
	return proc.Output(ctx, exec.Command(program, args...), programGrace)
}
