package diagnose

import (
	"context"
	"debug/buildinfo"
	"regexp"
	"strings"

	"rancherdesktop.io/rdd/internal/diag"
	"rancherdesktop.io/rdd/internal/instance"
)

// Program is one of RDD's own programs.
type Program struct {
	Name    string `json:"name"`
	Path    string `json:"path,omitempty"`    // empty when it is missing
	Version string `json:"version,omitempty"` // empty when its build doesn't contain it
	Desktop bool   `json:"desktop,omitempty"` // not needed on a host without a desktop
}

// programs lists RDD's programs other than rdd.
func programs(inst instance.Instance) []Program {
	all := []Program{
		{Name: "rddd"}, {Name: "rdd-lima"}, {Name: "rdd-kubectl"},
		{Name: "rdd-tray", Desktop: true}, {Name: "rdd-window", Desktop: true}, {Name: "rdd-web", Desktop: true},
	}
	for i, p := range all {
		if path, err := inst.Program(p.Name); err == nil {
			all[i].Path, all[i].Version = path, versionOf(path)
		}
	}
	return all
}

// versionOf reads the version that a program was linked with. It doesn't run the program.
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

// unversioned is the version of a program that was built without one.
const unversioned = "dev"

// checkInstallation checks whether RDD's own programs exist and have the same version.
func checkInstallation(_ context.Context, i *inspection) []Finding {
	return judgePrograms(i.core.Version(), i.status.Version, programs(i.inst))
}

func judgePrograms(own, running string, programs []Program) []Finding {
	var all []Finding
	var versions, desktop []string
	different := map[string]bool{}
	add := func(name, version string) {
		if version != "" && version != unversioned {
			versions = append(versions, name+" "+version)
			different[version] = true
		}
	}
	add("rdd", own)
	add("the running service", running)
	for _, p := range programs {
		add(p.Name, p.Version)
		switch {
		case p.Desktop && p.Path == "":
			desktop = append(desktop, p.Name+" not installed")
		case p.Desktop:
			desktop = append(desktop, strings.TrimSpace(p.Name+" "+p.Version))
		case p.Path == "":
			all = append(all, problem(SeverityProblem, diag.InstallBroken, "%s is missing", p.Name))
		}
	}
	if len(different) > 1 {
		all = append(all, problem(SeverityWarning, diag.VersionMismatch, "versions differ: %s", strings.Join(versions, ", ")))
	}
	all = orOK(all, "all required programs are installed, version %s", own)
	if len(desktop) > 0 {
		all = append(all, ok("for a desktop: %s", strings.Join(desktop, ", ")))
	}
	return all
}
