package core

import (
	"errors"
	"os"

	"rancherdesktop.io/rdd/internal/machine/event"
	"rancherdesktop.io/rdd/internal/machine/layout"
)

// launched is the template, with its params, that a VM's guest was started with; running is false when
// there is none. rdd-lima writes that file before each start, and nobody else does while the hostagent lives.
func (c *Core) launched(name string) (job event.Job, running bool, err error) {
	vm := layout.Of(c.inst, name)
	if !vm.HostagentAlive() {
		return job, false, nil
	}
	job, err = readJob(vm)
	if errors.Is(err, os.ErrNotExist) { // an older RDD has started it
		return job, false, nil
	}
	return job, err == nil, err
}

func readJob(vm layout.VM) (job event.Job, err error) {
	f, err := os.Open(vm.Job())
	if err != nil {
		return job, err
	}
	defer f.Close()
	return event.ReadJob(f)
}

// preparedBy is the template, with its params, that a VM's disk and configuration were made by.
func preparedBy(vm layout.VM) (event.Job, error) {
	job, err := readJob(vm)
	if errors.Is(err, os.ErrNotExist) { // an older RDD has made it
		var text []byte
		text, err = os.ReadFile(vm.LimaYAML())
		job.Template = string(text)
	}
	return job, err
}
