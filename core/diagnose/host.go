package diagnose

import (
	"context"
	"fmt"

	"github.com/docker/go-units"

	"rancherdesktop.io/rdd/internal/diag"
	"rancherdesktop.io/rdd/internal/host"
)

// From when on a disk counts as nearly full, and as full.
const (
	diskWarningPercent = 85      // percent
	minFreeDisk        = 1 << 30 // bytes; a guest image needs some
	minFreeMemory      = 1 << 30 // bytes; a small VM's
)

// checkDisk looks at the disks where the instance's files are.
func checkDisk(_ context.Context, i *inspection) []Finding {
	var all []Finding
	seen := map[string]bool{}
	for _, place := range []struct{ holds, path string }{
		{"the control plane", i.inst.DataDir()}, {"virtual machines", i.inst.LimaHome()}, {"logs", i.inst.LogDir()},
	} {
		disk, err := host.DiskOf(place.path)
		if err != nil {
			all = append(all, explainedProblem(SeverityWarning, diag.FilesPermission, err.Error()))
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
	case disk.Free < minFreeDisk:
		return problem(SeverityProblem, diag.DiskFull, "%s", what)
	case disk.Used() >= diskWarningPercent:
		return problem(SeverityWarning, diag.DiskNearlyFull, "%s", what)
	}
	return ok("%s", what)
}

func checkMemory(context.Context, *inspection) []Finding {
	m, err := host.MemoryOf()
	if err != nil {
		return []Finding{ok("not known: %v", err)}
	}
	return []Finding{judgeMemory(m)}
}

func judgeMemory(m host.Memory) Finding {
	what := units.BytesSize(float64(m.Total))
	if m.Available == 0 {
		return ok("%s", what)
	}
	what += fmt.Sprintf(", of which programs can still get %s", units.BytesSize(float64(m.Available)))
	if m.Available < minFreeMemory {
		return problem(SeverityWarning, diag.MemoryShort, "%s", what)
	}
	return ok("%s", what)
}
