// Package layout defines where the files of a VM are and what its locks mean. The machine workers, rdd-lima and
// core/diagnose share it.
//
// The locks are kernel locks: the kernel releases them when a process ends, however it ends. Their files are outside the
// VM's own directory, because that is removed with the VM, and two processes could hold a lock file that was removed in
// between.
package layout

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"rancherdesktop.io/rdd/internal/atomicfile"
	"rancherdesktop.io/rdd/internal/instance"
	"rancherdesktop.io/rdd/internal/proc"
)

// VM locates a VM below a Lima home.
type VM struct {
	Home string // LIMA_HOME
	Name string
	Logs string // the VM's own log directory
}

// Of returns the VM called name of an instance.
func Of(inst instance.Instance, name string) VM {
	return VM{Home: inst.LimaHome(), Name: name, Logs: filepath.Join(inst.VMLogDir(), name)}
}

// Found lists the VMs that have files below the instance's Lima home, with or without an object.
func Found(inst instance.Instance) (vms []VM) {
	names, _ := Names(inst.LimaHome())
	entries, _ := os.ReadDir(inst.LimaHome())
	for _, e := range entries {
		if e.IsDir() && e.Name()[0] != '_' && e.Name()[0] != '.' {
			names = append(names, e.Name())
		}
	}
	names = append(names, dataDisks(inst.LimaHome())...)
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		vms = append(vms, Of(inst, name))
	}
	return vms
}

// HostagentAlive reports whether the VM's hostagent runs.
func (v VM) HostagentAlive() bool { return held(v.HostagentLock()) }

// Alive reports whether a hostagent or a QEMU of the VM runs.
func (v VM) Alive() bool { return v.HostagentAlive() || held(v.QEMULock()) }

// DiskInUse reports whether a process works on the VM's disk or configuration.
func (v VM) DiskInUse() bool { return held(v.DiskLock()) }

// Exists reports whether the VM has a directory.
func (v VM) Exists() bool { return Exists(v.Dir()) }

// Orphaned reports whether a VM without an object has processes or may have data.
func (v VM) Orphaned() bool { return v.Alive() || v.Made() || v.HasData() }

func held(path string) bool {
	h, err := proc.Held(path)
	return h && err == nil
}

// runDir is below the Lima home. Lima ignores names that begin with an underscore.
const runDir = "_run"

// Dir is Lima's directory of the VM: disk, configuration, sockets.
func (v VM) Dir() string { return filepath.Join(v.Home, v.Name) }

// Run is the directory of the VM's locks, of the hostagent's record and of Programs.
func (v VM) Run() string { return filepath.Join(v.Home, runDir, v.Name) }

// DiskLock is held by the process that may change the VM's disk and configuration: prepare, hostagent or remove.
func (v VM) DiskLock() string { return filepath.Join(v.Run(), "disk.lock") }

// diskLockTimeout bounds the wait of LockDisk.
const diskLockTimeout = 10 * time.Second

// LockDisk takes DiskLock. It waits up to 10 s for an earlier process that was canceled and has not ended yet. The error
// wraps proc.ErrLocked when the VM is in use.
func (v VM) LockDisk(ctx context.Context) (*proc.Lock, error) {
	ctx, cancel := context.WithTimeout(ctx, diskLockTimeout)
	defer cancel()
	for {
		lock, err := proc.Acquire(v.DiskLock())
		if !errors.Is(err, proc.ErrLocked) {
			return lock, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// HostagentLock is held by the VM's hostagent while it runs.
func (v VM) HostagentLock() string { return filepath.Join(v.Run(), "hostagent.lock") }

// QEMULock is held by the VM's QEMU itself while it runs. It is not used on Windows, where QEMU can't outlive its hostagent.
func (v VM) QEMULock() string { return filepath.Join(v.Run(), "qemu.lock") }

// Prepared exists once disk and configuration are complete. A VM without this file may still hold data: only Unfinished
// says that the contents of Dir may be removed.
func (v VM) Prepared() string { return filepath.Join(v.Dir(), "rdd.prepared") }

// Making exists while disk and configuration are created.
func (v VM) Making() string { return filepath.Join(v.Dir(), "rdd.making") }

// Job holds the event.Job of the last preparation: the template and the params. Lima's own lima.yaml has the same in another
// form.
func (v VM) Job() string { return filepath.Join(v.Dir(), "rdd.job") }

// Removing exists once the removal of the VM's disk was requested.
func (v VM) Removing() string { return filepath.Join(v.Dir(), "rdd.removing") }

// Unfinished reports whether the creation or the removal of the VM was interrupted or is under way: the contents of Dir have
// never run, or were to be removed. Lima puts cidata.iso there at each boot, so a VM with that file has run.
func (v VM) Unfinished() bool {
	ran := Exists(v.Prepared()) || Exists(filepath.Join(v.Dir(), "cidata.iso"))
	return Exists(v.Removing()) || Exists(v.Making()) && !ran
}

// Contents lists the names in Dir, none when there is no such directory.
func (v VM) Contents() (names []string, err error) {
	entries, err := os.ReadDir(v.Dir())
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

// Exists reports whether there is anything at path, even a dangling symbolic link.
func Exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// LimaYAML is the configuration that Lima reads.
func (v VM) LimaYAML() string { return filepath.Join(v.Dir(), "lima.yaml") }

// Disk is the guest's disk.
func (v VM) Disk() string { return filepath.Join(v.Dir(), "diffdisk") }

// Made reports whether Dir is a VM that may hold data. Prepared may be missing.
func (v VM) Made() bool {
	return !v.Unfinished() && (Exists(v.Prepared()) || Exists(v.LimaYAML()) || Exists(v.Disk()))
}

// Programs is the directory that comes first in the hostagent's PATH.
func (v VM) Programs() string { return filepath.Join(v.Run(), "bin") }

// HostFiles lists the sockets and files that the VM's template puts on the host.
func (v VM) HostFiles() string { return filepath.Join(v.Run(), "hostfiles.json") }

// MonitorSocket is the QMP socket through which the hostagent watches QEMU. Lima has a control socket of its own.
func (v VM) MonitorSocket() string { return filepath.Join(v.Dir(), "rdd.sock") }

// ForwardSocket is where the hostagent serves connections into the guest; see package forward.
func (v VM) ForwardSocket() string { return filepath.Join(v.Dir(), "forward.sock") }

// AccelerationFile caches the result of the last probe of hardware acceleration for the VMs of a Lima home.
func AccelerationFile(home string) string { return filepath.Join(home, runDir, "acceleration.json") }

// UserKey is the private SSH key for the guests of a Lima home.
func UserKey(home string) string { return filepath.Join(home, "_config", "user") }

// DisksDir holds the additional disks of a Lima home.
func DisksDir(home string) string { return filepath.Join(home, "_disks") }

// DiskUser is the name of Lima's link in an additional disk's directory to the directory of the VM that uses the disk.
const DiskUser = "in_use_by"

// FreeDisks removes the marks of the VM from additional disks, also from disks that its template no longer names. The caller
// holds DiskLock, and the VM has no QEMU.
func (v VM) FreeDisks() error {
	disks, err := os.ReadDir(DisksDir(v.Home))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	for _, d := range disks {
		mark := filepath.Join(DisksDir(v.Home), d.Name(), DiskUser)
		if user, e := os.Readlink(mark); e == nil && filepath.Base(user) == v.Name {
			err = errors.Join(err, os.RemoveAll(mark))
		}
	}
	return err
}

// QEMUPID is where Lima's QEMU driver writes the process ID of QEMU.
func (v VM) QEMUPID() string { return filepath.Join(v.Dir(), "qemu.pid") }

// SerialLog is the guest's console.
func (v VM) SerialLog() string { return filepath.Join(v.Dir(), "serial.log") }

// RefusedLog is the console of the guest whose new system disk did not boot; see package systemdisk.
func (v VM) RefusedLog() string { return filepath.Join(v.Logs, "refused.log") }

// HostagentLog is the log of Lima's hostagent.
func (v VM) HostagentLog() string { return filepath.Join(v.Logs, "hostagent.log") }

// Events holds what the running or last hostagent has reported; see package event.
func (v VM) Events() string { return filepath.Join(v.Logs, "events.jsonl") }

// record is below Run.
func (v VM) record() string { return filepath.Join(v.Run(), "hostagent.json") }

// Record is what a hostagent writes about itself. It describes a running process only while HostagentLock is held.
type Record struct {
	Nonce string `json:"nonce"`
	PID   int    `json:"pid"`  // used to signal the process, and only while the lock is held
	Logs  string `json:"logs"` // directory of its events and log
}

// WriteRecord replaces the record.
func (v VM) WriteRecord(r Record) error { return atomicfile.WriteJSON(v.record(), r) }

// ReadRecord returns the record of the running or last hostagent, the zero Record when there was none. The error wraps an
// *atomicfile.DamagedError when the file is damaged.
func (v VM) ReadRecord() (r Record, err error) {
	err = atomicfile.ReadJSON(v.record(), &r)
	if errors.Is(err, os.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return Record{}, fmt.Errorf("read the hostagent's record: %w", err)
	}
	return r, nil
}

// Names lists the VMs that this Lima home has or has had.
func Names(home string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(home, runDir))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, err
}
