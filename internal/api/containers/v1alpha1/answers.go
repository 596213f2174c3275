package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ContainerStats is what containers/ID/stats answers: what a container uses now.
type ContainerStats struct {
	// Time of the measurement, by the engine's clock.
	Time metav1.MicroTime `json:"time"`
	// CPUPercent is the use of processors since the measurement before: 150 means one and a half of them.
	CPUPercent float64 `json:"cpuPercent"`
	// Processors that the container can use.
	Processors int32 `json:"processors"`
	// Memory in use, in bytes, without files that are only cached.
	Memory int64 `json:"memory"`
	// MemoryLimit in bytes: the container's, or the virtual machine's.
	MemoryLimit int64 `json:"memoryLimit"`
	// NetworkReceived, NetworkSent, DiskRead and DiskWritten count bytes since the container's start.
	NetworkReceived int64 `json:"networkReceived"`
	NetworkSent     int64 `json:"networkSent"`
	DiskRead        int64 `json:"diskRead"`
	DiskWritten     int64 `json:"diskWritten"`
	// Processes in the container.
	Processes int64 `json:"processes"`
}

// VolumeFiles is what volumes/NAME/files answers for a folder of a volume.
type VolumeFiles struct {
	// Path of the folder in the volume; / is the whole volume.
	Path string `json:"path"`
	// Files in the folder, sorted by name.
	// +listType=atomic
	Files []VolumeFile `json:"files"`
	// Truncated says that the folder has more files than are listed.
	Truncated bool `json:"truncated,omitempty"`
}

// VolumeFile is a file, a folder or a link in a volume.
type VolumeFile struct {
	// Name in its folder.
	Name string `json:"name"`
	// Type is file, folder, link or other.
	Type string `json:"type"`
	// Size in bytes.
	Size int64 `json:"size"`
	// Mode is the permissions in octal, for example 0644.
	Mode string `json:"mode"`
	// Owner and Group are numbers.
	Owner int64 `json:"owner"`
	Group int64 `json:"group"`
	// Modified is when the content changed last.
	Modified metav1.Time `json:"modified"`
	// Target of a link.
	Target string `json:"target,omitempty"`
}
