package diagnose

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/internal/diag"
	"rancherdesktop.io/rdd/internal/machine/layout"
)

// checkLeftovers looks for what a crash has left.
func checkLeftovers(_ context.Context, i *inspection) []Finding {
	var all []Finding
	if i.status.State == core.ServiceRunning && i.statusErr == nil && i.vmsErr == nil { // else nobody knows which objects there are
		for _, vm := range core.Orphans(i.files, i.objects) {
			all = append(all, orphanFinding(vm))
		}
	}
	for _, vm := range i.files {
		all = append(all, leftoversOf(vm, stopped(i.status.State))...)
	}
	all = append(all, staleDiskLocks(i.inst.LimaHome())...)
	if len(all) == 0 {
		return []Finding{ok("nothing is left of processes that are gone")}
	}
	return all
}

func orphanFinding(vm layout.VM) Finding {
	what := "doesn't run"
	if vm.Alive() {
		what = "runs"
	}
	return problem(SeverityWarning, diag.OrphanVM, "there is a VM %q in %s, which %s, and the service has no object for it", vm.Name, vm.Dir(), what)
}

// leftoversOf looks at one VM. What a running service works on is no leftover.
func leftoversOf(vm layout.VM, unserved bool) []Finding {
	if vm.Alive() {
		if unserved {
			return []Finding{problem(SeverityWarning, diag.LeftoverProcess, "VM %q runs without a service", vm.Name)}
		}
		return nil
	}
	if vm.DiskInUse() || !vm.Exists() {
		return nil
	}
	if vm.Unfinished() {
		return []Finding{problem(SeverityWarning, diag.HalfMadeVM, "%s was never finished", vm.Dir())}
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
	return []Finding{problem(SeverityWarning, diag.StaleSocket, "VM %q doesn't run, and %s are left in %s", vm.Name, strings.Join(names, ", "), vm.Dir())}
}

// staleDiskLocks looks at Lima's notes of who uses an additional disk: links to a VM's directory.
func staleDiskLocks(home string) []Finding {
	var all []Finding
	disks := layout.DisksDir(home)
	entries, _ := os.ReadDir(disks)
	for _, e := range entries {
		note := filepath.Join(disks, e.Name(), "in_use_by")
		user, err := os.Readlink(note)
		if err == nil && !(layout.VM{Home: home, Name: filepath.Base(user)}).Alive() {
			all = append(all, problem(SeverityWarning, diag.StaleLock, "%s says that VM %q uses this disk, which doesn't run", note, filepath.Base(user)))
		}
	}
	return all
}
