package v1alpha1

import (
	"fmt"

	"github.com/docker/go-units"
)

// NearlyFull is how full a file system is when somebody should know, in percent.
const NearlyFull = 85

// Percent is how full the guest's file system is; 0 while that is not known.
func (d Disk) Percent() int {
	if d.Capacity == 0 {
		return 0
	}
	return int(100 * float64(d.Used) / float64(d.Capacity))
}

// Problem is what status.problems says of a data disk that is nearly full, and nothing of any other disk.
func (d Disk) Problem() string {
	if d.Name != DataDiskName || d.Percent() < NearlyFull {
		return ""
	}
	return fmt.Sprintf("the data disk is %d %% full (of %s): containers can't write when nothing is left. Remove what you don't need, for example with docker system prune, "+
		"or make it larger and restart the VM: spec.dataDisk.size (the App: rdd set virtualMachine.disk=SIZE)", d.Percent(), units.BytesSize(float64(d.Capacity)))
}
