package lifecycle

import "time"

// Backup is a copy of what an instance's datastore held, as rddd tells it to the core.
type Backup struct {
	Name    string    `json:"name"`
	Time    time.Time `json:"time"`
	Size    int64     `json:"size"` // bytes
	Path    string    `json:"path"`
	VMs     []string  `json:"vms"`               // that it knows
	Problem string    `json:"problem,omitempty"` // why it can't be restored
}

// Restored is what a restore did.
type Restored struct {
	Backup  Backup   `json:"backup"`
	Skipped []Backup `json:"skipped,omitempty"` // newer ones that are damaged
	Aside   string   `json:"aside,omitempty"`   // where the replaced store is now

	// Disks are left as they are: Unknown VMs have one and aren't in the backup, Diskless VMs are in
	// the backup and have none.
	Unknown  []string `json:"unknown"`
	Diskless []string `json:"diskless"`
}
