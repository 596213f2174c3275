package core

import (
	"errors"
	"os"

	"rancherdesktop.io/rdd/internal/machine/event"
	"rancherdesktop.io/rdd/internal/machine/layout"
)

// readJob returns the template and the params of the VM's last start. rdd-lima writes the file before each start, so while
// the hostagent runs, they are those of its guest.
func readJob(vm layout.VM) (job event.Job, err error) {
	f, err := os.Open(vm.Job())
	if err != nil {
		return job, err
	}
	defer f.Close()
	return event.ReadJob(f)
}

// preparedBy returns the template and the params that a VM's disk and configuration were created with.
func preparedBy(vm layout.VM) (event.Job, error) {
	job, err := readJob(vm)
	if errors.Is(err, os.ErrNotExist) { // an older version of RDD has created them
		var text []byte
		text, err = os.ReadFile(vm.LimaYAML())
		job.Template = string(text)
	}
	return job, err
}
