package diagnose

import (
	"context"
	"fmt"

	"github.com/docker/go-units"

	"rancherdesktop.io/rdd/internal/diag"
	"rancherdesktop.io/rdd/internal/host"
)

const (
	diskWarningPercent = 85      // a disk with this usage is almost full
	minFreeDisk        = 1 << 30 // bytes; a guest image needs less
	minFreeMemory      = 1 << 30 // bytes; enough for a small VM
)

// checkDisk checks the usage of the disks that the instance's files are on.
func checkDisk(_ context.Context, i *inspection) []Finding {
	var all []Finding
	seen := map[string]bool{}
	for _, place := range []struct{ holds, path string }{
		{"the datastore", i.inst.DataDir()}, {"virtual machines", i.inst.LimaHome()}, {"logs", i.inst.LogDir()},
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
	what := fmt.Sprintf("the disk with %s (%s) is %d %% full, %s free", holds, path, disk.Used(), units.BytesSize(float64(disk.Free)))
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
		return []Finding{ok("unknown: %v", err)}
	}
	return []Finding{judgeMemory(m)}
}

func judgeMemory(m host.Memory) Finding {
	what := units.BytesSize(float64(m.Total))
	if m.Available == 0 { // unknown
		return ok("%s", what)
	}
	what += fmt.Sprintf(", %s available", units.BytesSize(float64(m.Available)))
	if m.Available < minFreeMemory {
		return problem(SeverityWarning, diag.MemoryShort, "%s", what)
	}
	return ok("%s", what)
}
