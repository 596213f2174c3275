// Package systemdisk replaces the system disk of a VM by one that is made of other images, and brings the old one back if the new
// one doesn't boot or doesn't start its container engine. Package vm prepares the new disk, package hostagent says how it does.
//
// The files of the new disk are made in a folder of their own. Then a record is written, and the files change places one by one:
// what a kill interrupts is completed from the record. The caller holds the VM's DiskLock.
package systemdisk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/lima-vm/lima/pkg/store/filenames"

	"rancherdesktop.io/rdd/internal/atomicfile"
	"rancherdesktop.io/rdd/internal/machine/layout"
)

// files are those that belong to a system disk, in the VM's folder.
func files(vm layout.VM) []string {
	return []string{
		filenames.BaseDisk, filenames.DiffDisk, filenames.Kernel, filenames.KernelCmdline, filenames.Initrd, filenames.LimaYAML, filepath.Base(vm.Job()),
	}
}

// NextDir is where the files of the new disk are made.
func NextDir(vm layout.VM) string { return filepath.Join(vm.Dir(), "rdd.next") }

func previousDir(vm layout.VM) string { return filepath.Join(vm.Dir(), "rdd.previous") }
func recordFile(vm layout.VM) string  { return filepath.Join(vm.Dir(), "rdd.replacement") }
func refusedFile(vm layout.VM) string { return filepath.Join(vm.Dir(), "rdd.refused") }

// step is how far a replacement is.
type step string

const (
	switching step = "switching" // the files change places
	trying    step = "trying"    // the new disk has not booted yet; the old one waits in previousDir
	restoring step = "restoring" // the old files come back
)

// maxStarts is how often a new disk may be started that neither boots nor fails, because something else ends it.
const maxStarts = 3

// record describes a replacement.
type record struct {
	Step      step     `json:"step"`
	Images    string   `json:"images"`    // what the new disk is made of; see template.ImagesOf
	Files     []string `json:"files"`     // of the new disk
	FilesOld  []string `json:"filesOld"`  // of the old disk
	Stored    []string `json:"stored"`    // the files of layout.ImagesDir that the new disk uses
	StoredOld []string `json:"storedOld"` // and those that the old one uses
	Starts    int      `json:"starts"`    // of the new disk
	Failure   string   `json:"failure,omitempty"`
	Engine    bool     `json:"engine,omitempty"` // Failure is that of the container engine
}

// Refusal says why a VM has its old system disk.
type Refusal struct {
	Images string `json:"images"` // what the new disk was made of
	Reason string `json:"reason"`

	// Engine is empty if the new disk didn't boot.
	Engine Comparison `json:"engine,omitempty"`
}

// Comparison says how the container engine of the old disk does, when that of the new one didn't start.
type Comparison string

// The results of a comparison.
const (
	Unknown Comparison = "unknown"
	Better  Comparison = "better" // so the new disk is to blame
	Same    Comparison = "same"   // so something else is to blame, and the next start gets the new disk
)

func read(vm layout.VM) (r record, found bool, err error) {
	err = atomicfile.ReadJSON(recordFile(vm), &r)
	if errors.Is(err, os.ErrNotExist) {
		return r, false, nil
	}
	return r, err == nil, err
}

// Switch gives the VM the disk in NextDir, which is complete. stored are the files of layout.ImagesDir that it uses, and storedOld
// those that the old disk uses.
func Switch(vm layout.VM, images string, stored, storedOld []string) error {
	r := record{Step: switching, Images: images, Stored: stored, StoredOld: storedOld}
	for _, name := range files(vm) {
		if layout.Exists(filepath.Join(NextDir(vm), name)) {
			r.Files = append(r.Files, name)
		}
		if layout.Exists(filepath.Join(vm.Dir(), name)) {
			r.FilesOld = append(r.FilesOld, name)
		}
	}
	if err := os.RemoveAll(previousDir(vm)); err != nil {
		return err
	}
	if err := atomicfile.WriteJSON(recordFile(vm), r); err != nil {
		return err
	}
	return r.complete(vm)
}

// Resume completes what was interrupted. If the new disk doesn't boot, it brings the old one back.
func Resume(vm layout.VM) error {
	r, found, err := read(vm)
	switch {
	case err != nil:
		return fmt.Errorf("the record of the VM's new system disk can't be read: %w", err)
	case !found: // the disks that a kill has left are not in use
		return errors.Join(os.RemoveAll(NextDir(vm)), os.RemoveAll(previousDir(vm)))
	case r.Step == trying && (r.Failure != "" || r.Starts >= maxStarts):
		r.Step = restoring
		if r.Failure == "" {
			r.Failure = fmt.Sprintf("it was started %d times and has not booted", r.Starts)
		}
		if err := atomicfile.WriteJSON(recordFile(vm), r); err != nil {
			return err
		}
	}
	return r.complete(vm)
}

// complete does what is left of a step.
func (r record) complete(vm layout.VM) error {
	switch r.Step {
	case switching:
		return r.switchFiles(vm)
	case restoring:
		return r.restoreFiles(vm)
	}
	return nil
}

// switchFiles moves the old files to previousDir and the new ones to their places. Each may have moved already.
func (r record) switchFiles(vm layout.VM) error {
	if err := os.MkdirAll(previousDir(vm), 0o700); err != nil {
		return err
	}
	for _, name := range files(vm) {
		now, next, previous := filepath.Join(vm.Dir(), name), filepath.Join(NextDir(vm), name), filepath.Join(previousDir(vm), name)
		if slices.Contains(r.FilesOld, name) && !layout.Exists(previous) {
			if err := atomicfile.Rename(now, previous); err != nil {
				return err
			}
		}
		if slices.Contains(r.Files, name) && layout.Exists(next) {
			if err := atomicfile.Rename(next, now); err != nil {
				return err
			}
		}
	}
	r.Step = trying
	if err := atomicfile.WriteJSON(recordFile(vm), r); err != nil {
		return err
	}
	return os.RemoveAll(NextDir(vm))
}

// restoreFiles moves the old files back and removes the new ones. Each may have moved already.
func (r record) restoreFiles(vm layout.VM) error {
	refusal := Refusal{Images: r.Images, Reason: r.Failure}
	if r.Engine {
		refusal.Engine = Unknown
	}
	if err := atomicfile.WriteJSON(refusedFile(vm), refusal); err != nil {
		return err
	}
	for _, name := range files(vm) {
		now, previous := filepath.Join(vm.Dir(), name), filepath.Join(previousDir(vm), name)
		var err error
		switch {
		case !slices.Contains(r.FilesOld, name):
			err = os.RemoveAll(now)
		case layout.Exists(previous):
			err = atomicfile.Rename(previous, now)
		}
		if err != nil {
			return err
		}
	}
	return r.end(vm, r.StoredOld)
}

// end ends a replacement: the VM's disk uses these files of layout.ImagesDir.
func (r record) end(vm layout.VM, stored []string) error {
	if err := vm.SetImages(stored); err != nil {
		return err
	}
	if err := os.Remove(recordFile(vm)); err != nil {
		return err
	}
	return os.RemoveAll(previousDir(vm)) // Resume removes what is left of it
}

// Trying reports whether the VM has a new disk that has not proved itself yet.
func Trying(vm layout.VM) bool {
	r, found, err := read(vm)
	return found && err == nil && r.Step == trying
}

// Starting records that the new disk is started.
func Starting(vm layout.VM) error { return change(vm, func(r *record) { r.Starts++ }) }

// Failed records why the new disk doesn't boot or, if engine is true, why its container engine doesn't start. The next Resume
// brings the old one back.
func Failed(vm layout.VM, reason string, engine bool) error {
	return change(vm, func(r *record) { r.Failure, r.Engine = reason, engine })
}

// NeedsEngine reports whether the new disk must start its container engine. It need not when the old one couldn't either.
func NeedsEngine(vm layout.VM) bool {
	r, found, err := read(vm)
	if !found || err != nil || r.Step != trying {
		return false
	}
	refusal, refused := Refused(vm)
	return !refused || refusal.Images != r.Images || refusal.Engine != Same
}

// Compared records how the container engine of the old disk does.
func Compared(vm layout.VM, engine Comparison) error {
	refusal, ok := Refused(vm)
	if !ok || refusal.Engine == "" {
		return nil
	}
	refusal.Engine = engine
	return atomicfile.WriteJSON(refusedFile(vm), refusal)
}

func change(vm layout.VM, f func(*record)) error {
	r, found, err := read(vm)
	if err != nil || !found || r.Step != trying {
		return err
	}
	f(&r)
	return atomicfile.WriteJSON(recordFile(vm), r)
}

// Booted removes the old disk.
func Booted(vm layout.VM) error {
	r, found, err := read(vm)
	if err != nil || !found || r.Step != trying {
		return err
	}
	if err := os.RemoveAll(refusedFile(vm)); err != nil { // of an older image
		return err
	}
	return r.end(vm, r.Stored)
}

// Forget forgets that a new disk was refused.
func Forget(vm layout.VM) error { return os.RemoveAll(refusedFile(vm)) }

// Refuses reports whether a new disk of these images is not to be tried.
func Refuses(vm layout.VM, images string) bool {
	refusal, ok := Refused(vm)
	return ok && refusal.Images == images && refusal.Engine != Same
}

// Refused returns why the VM has its old disk; ok is false when no new disk was refused.
func Refused(vm layout.VM) (refusal Refusal, ok bool) {
	err := atomicfile.ReadJSON(refusedFile(vm), &refusal)
	return refusal, err == nil
}
