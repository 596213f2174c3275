package diagnose

import (
	"context"
	"debug/buildinfo"
	"regexp"
	"slices"
	"strings"

	"rancherdesktop.io/rdd/internal/diag"
	"rancherdesktop.io/rdd/internal/instance"
)

// Program is one of RDD's own programs. Version is empty when its build doesn't tell.
type Program struct {
	Name    string `json:"name"`
	Path    string `json:"path,omitempty"` // empty when it is missing
	Version string `json:"version,omitempty"`
	Desktop bool   `json:"desktop,omitempty"` // a host without a desktop may go without it
}

// programs are those behind rdd.
func programs(inst instance.Instance) []Program {
	var all []Program
	for _, p := range []Program{
		{Name: "rddd"}, {Name: "rdd-lima"}, {Name: "rdd-kubectl"},
		{Name: "rdd-tray", Desktop: true}, {Name: "rdd-window", Desktop: true}, {Name: "rdd-web", Desktop: true},
	} {
		if path, err := inst.Program(p.Name); err == nil {
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
	return judgePrograms(i.core.Version(), i.status.Version, programs(i.inst))
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
			all = append(all, problem(SeverityProblem, diag.InstallBroken, "%s is missing", p.Name))
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
		all = append(all, problem(SeverityWarning, diag.VersionMismatch, "versions differ: %s", strings.Join(said, ", ")))
	case len(all) == 0:
		all = append(all, ok("all programs that it needs are there, of version %s", own))
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
	return []Finding{ok("for a desktop: %s", strings.Join(said, ", "))}
}
