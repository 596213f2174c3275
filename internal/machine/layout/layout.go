// Package layout defines where the files of a VM are and what its locks mean. The machine workers, rdd-lima and
// core/diagnose share it.
//
// The locks are kernel locks, so they tell the truth after any crash. They live outside the VM's
// own directory, because that is removed with the VM and a removed lock file could be held twice.
package layout

import (
	"context"
	"encoding/json"
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

// Of is the place of the VM called name in an instance.
func Of(inst instance.Instance, name string) VM {
	return VM{Home: inst.LimaHome(), Name: name, Logs: filepath.Join(inst.VMLogDir(), name)}
}

// Found lists the VMs that have files below the instance's Lima home, whether or not an object stands for them.
func Found(inst instance.Instance) (vms []VM) {
	names, _ := Names(inst.LimaHome())
	entries, _ := os.ReadDir(inst.LimaHome())
	for _, e := range entries {
		if e.IsDir() && e.Name()[0] != '_' && e.Name()[0] != '.' {
			names = append(names, e.Name())
		}
	}
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
func (v VM) Orphaned() bool { return v.Alive() || v.Made() }

func held(path string) bool {
	h, err := proc.Held(path)
	return h && err == nil
}

// runDir is below the Lima home; Lima leaves names alone that begin with an underscore.
const runDir = "_run"

// Dir is Lima's directory of the VM: disk, configuration, sockets.
func (v VM) Dir() string { return filepath.Join(v.Home, v.Name) }

// Run holds locks, the hostagent's record and the programs put before Lima.
func (v VM) Run() string { return filepath.Join(v.Home, runDir, v.Name) }

// DiskLock is held by whoever may change the VM's disk and configuration: prepare, hostagent, remove.
func (v VM) DiskLock() string { return filepath.Join(v.Run(), "disk.lock") }

// diskLockTimeout bounds the wait of LockDisk.
const diskLockTimeout = 10 * time.Second

// LockDisk takes DiskLock. It waits a while for an earlier process that was canceled and is still going
// away. The error wraps proc.ErrLocked when the VM is in use.
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

// HostagentLock is held by the VM's hostagent for as long as it lives.
func (v VM) HostagentLock() string { return filepath.Join(v.Run(), "hostagent.lock") }

// QEMULock is held by the VM's QEMU itself for as long as it lives. (Not on Windows, where QEMU
// can't outlive its hostagent.)
func (v VM) QEMULock() string { return filepath.Join(v.Run(), "qemu.lock") }

// Prepared exists once disk and configuration are whole. That it is missing says nothing: only
// Unfinished says that what is in Dir may go.
func (v VM) Prepared() string { return filepath.Join(v.Dir(), "rdd.prepared") }

// Making exists while disk and configuration are made for the first time.
func (v VM) Making() string { return filepath.Join(v.Dir(), "rdd.making") }

// Job holds the template and the params that the configuration was last made of, as rdd-lima was given
// them; see event.Job. Lima's own lima.yaml says the same in another form.
func (v VM) Job() string { return filepath.Join(v.Dir(), "rdd.job") }

// Removing exists once somebody has asked for the VM's disk to go.
func (v VM) Removing() string { return filepath.Join(v.Dir(), "rdd.removing") }

// Unfinished reports whether a making or a removal of the VM was cut short, or is under way: what is in
// Dir never ran, or was to go. A disk that ran has what Lima gives a guest at each boot beside it.
func (v VM) Unfinished() bool {
	ran := Exists(v.Prepared()) || Exists(filepath.Join(v.Dir(), "cidata.iso"))
	return Exists(v.Removing()) || Exists(v.Making()) && !ran
}

// Contents names what is in Dir; nothing when it is empty or not there.
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

// Exists reports whether there is anything at path, a dangling symbolic link included.
func Exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// LimaYAML is what Lima reads; see Configuration.
func (v VM) LimaYAML() string { return filepath.Join(v.Dir(), "lima.yaml") }

// Disk is what the guest writes to.
func (v VM) Disk() string { return filepath.Join(v.Dir(), "diffdisk") }

// Made reports whether Dir is a VM's that may hold data: the mark may be missing.
func (v VM) Made() bool {
	return !v.Unfinished() && (Exists(v.Prepared()) || Exists(v.LimaYAML()) || Exists(v.Disk()))
}

// Programs is put first in the hostagent's PATH.
func (v VM) Programs() string { return filepath.Join(v.Run(), "bin") }

// HostFiles is the account of the sockets and files that the VM's template puts on the host.
func (v VM) HostFiles() string { return filepath.Join(v.Run(), "hostfiles.json") }

// MonitorSocket is where the hostagent asks QEMU how it is. Lima has a control socket of its own.
func (v VM) MonitorSocket() string { return filepath.Join(v.Dir(), "rdd.sock") }

// AccelerationFile keeps what the last probe of hardware acceleration found, for the VMs of a Lima home.
func AccelerationFile(home string) string { return filepath.Join(home, runDir, "acceleration.json") }

// UserKey is the private SSH key for the guests of a Lima home.
func UserKey(home string) string { return filepath.Join(home, "_config", "user") }

// DisksDir holds the additional disks of a Lima home.
func DisksDir(home string) string { return filepath.Join(home, "_disks") }

// QEMUPID is where Lima's QEMU driver writes the process ID of QEMU.
func (v VM) QEMUPID() string { return filepath.Join(v.Dir(), "qemu.pid") }

// SerialLog is the guest's console.
func (v VM) SerialLog() string { return filepath.Join(v.Dir(), "serial.log") }

// HostagentLog is what Lima's hostagent logs, and Events what it reports.
func (v VM) HostagentLog() string { return filepath.Join(v.Logs, "hostagent.log") }

// Events is written by the living or last hostagent; see package event.
func (v VM) Events() string { return filepath.Join(v.Logs, "events.jsonl") }

// record is below Run.
func (v VM) record() string { return filepath.Join(v.Run(), "hostagent.json") }

// Record is what a hostagent says about itself. It is about a living process only while HostagentLock is held.
type Record struct {
	Nonce string `json:"nonce"`
	PID   int    `json:"pid"`  // to signal, and only while the lock is held
	Logs  string `json:"logs"` // where its events and log are
}

// WriteRecord replaces the record.
func (v VM) WriteRecord(r Record) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return atomicfile.Write(v.record(), b)
}

// ReadRecord returns the record of the living or last hostagent; zero when there was none. The error
// wraps an *atomicfile.DamagedError when the file can't be what a hostagent wrote.
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

// Names lists the VMs that this Lima home has or had.
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
