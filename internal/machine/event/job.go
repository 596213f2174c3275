package event

import (
	"encoding/json"
	"fmt"
	"io"
)

// Job is what rdd-lima reads from stdin when it judges or prepares a VM. Values of params can be
// secret and have any characters, so they don't go on its command line.
type Job struct {
	Template string            `json:"template"`
	Params   map[string]string `json:"params,omitempty"`
}

// Bytes is the job as it is written to stdin.
func (j Job) Bytes() ([]byte, error) { return json.Marshal(j) }

// ReadJob reads a job to the end of r.
func ReadJob(r io.Reader) (Job, error) {
	var j Job
	if err := json.NewDecoder(r).Decode(&j); err != nil {
		return j, fmt.Errorf("read the template and its params from stdin: %w", err)
	}
	return j, nil
}
