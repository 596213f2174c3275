package lifecycle

import "time"

// Backup is a backup of an instance's datastore, as rddd describes it to the core.
type Backup struct {
	Name    string    `json:"name"`
	Time    time.Time `json:"time"`
	Size    int64     `json:"size"` // bytes
	Path    string    `json:"path"`
	VMs     []string  `json:"vms"`               // names of the VMs in it
	Problem string    `json:"problem,omitempty"` // why it can't be restored
}

// Restored is the result of a restore.
type Restored struct {
	Backup  Backup   `json:"backup"`
	Skipped []Backup `json:"skipped,omitempty"` // newer ones that are damaged
	Aside   string   `json:"aside,omitempty"`   // path of the replaced datastore

	// A restore doesn't change disks: Unknown VMs have a disk and are not in the backup, Diskless VMs are in the backup and
	// have no disk.
	Unknown  []string `json:"unknown"`
	Diskless []string `json:"diskless"`
}
