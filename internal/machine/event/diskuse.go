package event

// Names of a DiskUse.
const (
	SystemDisk = "system"
	DataDisk   = "data"
)

// DiskUse is a disk of a VM and its use, in bytes.
type DiskUse struct {
	Name      string `json:"name"`
	Used      int64  `json:"used,omitempty"`     // of the guest's file system; 0 while the guest doesn't say it
	Capacity  int64  `json:"capacity,omitempty"` // of the guest's file system
	Allocated int64  `json:"allocated,omitempty"`
	Maximum   int64  `json:"maximum,omitempty"` // that may be allocated on the host
}
