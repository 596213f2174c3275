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

// checkLeftovers looks for what a crash has left behind.
func checkLeftovers(_ context.Context, i *inspection) []Finding {
	var all []Finding
	if i.status.State == core.ServiceRunning && i.statusErr == nil && i.vmsErr == nil { // otherwise the objects are unknown
		for _, vm := range core.Orphans(i.files, i.objects) {
			what := "is not running"
			if vm.Alive() {
				what = "is running"
			}
			all = append(all, problem(SeverityWarning, diag.OrphanVM, "the service has no object for VM %q in %s, which %s", vm.Name, vm.Dir(), what))
		}
	}
	for _, vm := range i.files {
		all = append(all, leftoversOf(vm, stopped(i.status.State))...)
	}
	all = append(all, staleDiskLocks(i.inst.LimaHome())...)
	return orOK(all, "nothing is left behind by processes that have ended")
}

// leftoversOf checks one VM. What a running service works on is not a leftover.
func leftoversOf(vm layout.VM, serviceStopped bool) []Finding {
	switch alive := vm.Alive(); {
	case alive && serviceStopped:
		return []Finding{problem(SeverityWarning, diag.LeftoverProcess, "VM %q is running without a service", vm.Name)}
	case alive || vm.DiskInUse() || !vm.Exists():
		return nil
	case vm.Unfinished():
		return []Finding{problem(SeverityWarning, diag.HalfMadeVM, "the VM in %s is incomplete", vm.Dir())}
	}
	files, _ := vm.Contents()
	files = slices.DeleteFunc(files, func(name string) bool { return !slices.Contains([]string{".sock", ".pid"}, filepath.Ext(name)) })
	if len(files) == 0 {
		return nil
	}
	return []Finding{problem(SeverityWarning, diag.StaleSocket, "VM %q is not running, but has left behind %s in %s", vm.Name, strings.Join(files, ", "), vm.Dir())}
}

// staleDiskLocks checks the marks that Lima puts on additional disks in use: links to the directory of a VM.
func staleDiskLocks(home string) []Finding {
	var all []Finding
	disks := layout.DisksDir(home)
	entries, _ := os.ReadDir(disks)
	for _, e := range entries {
		mark := filepath.Join(disks, e.Name(), layout.DiskUser)
		user, err := os.Readlink(mark)
		if err == nil && !(layout.VM{Home: home, Name: filepath.Base(user)}).Alive() {
			all = append(all, problem(SeverityWarning, diag.StaleLock, "%s marks the disk as used by VM %q, which is not running", mark, filepath.Base(user)))
		}
	}
	return all
}
