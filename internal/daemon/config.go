package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"

	"rancherdesktop.io/rdd/internal/atomicfile"
	"rancherdesktop.io/rdd/internal/instance"
)

// Controllers names every controller that a service can run.
func Controllers() []string { return []string{"limavm"} }

// Config is what a user chose for an instance's service. It may hold a password.
type Config struct {
	// Controllers selects them by name: NAME runs it, -NAME doesn't, * stands for all others. A list
	// that only leaves out, or none, runs all others.
	Controllers       []string `json:"controllers,omitempty"`
	DatastoreEndpoint string   `json:"datastoreEndpoint,omitempty"` // empty: SQLite in the data directory
	Port              int      `json:"port,omitempty"`              // of the API, on loopback; 0: the last run's if it is free, else any
}

// all is the element of Controllers that stands for those that aren't named.
const all = "*"

// Runs says whether the service runs the named controller.
func (c Config) Runs(controller string) bool {
	switch {
	case slices.Contains(c.Controllers, "-"+controller):
		return false
	case slices.Contains(c.Controllers, controller):
		return true
	}
	named := func(element string) bool { return element != all && !strings.HasPrefix(element, "-") }
	return slices.Contains(c.Controllers, all) || !slices.ContainsFunc(c.Controllers, named)
}

// Enabled names the controllers that the service runs.
func (c Config) Enabled() []string {
	return slices.DeleteFunc(Controllers(), func(name string) bool { return !c.Runs(name) })
}

// Validate says what is wrong with the configuration. It never repeats a password.
func (c Config) Validate() error {
	for _, element := range c.Controllers {
		name := strings.TrimPrefix(element, "-")
		if element != all && !slices.Contains(Controllers(), name) {
			return fmt.Errorf("controllers: unknown controller %q; known: %s, each also with a - before it to leave it out, and *", name, strings.Join(Controllers(), ", "))
		}
		if slices.Contains(c.Controllers, name) && slices.Contains(c.Controllers, "-"+name) {
			return fmt.Errorf("controllers: %q is both wanted and left out", name)
		}
	}
	if c.Port < 0 || c.Port > 65535 {
		return fmt.Errorf("port: want 1 to 65535, or 0 for any that is free; got %d", c.Port)
	}
	if c.DatastoreEndpoint == "" {
		return nil
	}
	for part := range strings.SplitSeq(c.DatastoreEndpoint, ",") {
		u, err := url.Parse(part)
		if err != nil || u.Host == "" || !slices.Contains([]string{"postgres", "postgresql", "http", "https"}, u.Scheme) {
			return errors.New("datastore-endpoint: want postgres://USER:PASSWORD@HOST/DATABASE, or one or more http(s)://HOST:PORT of an etcd cluster, with commas between")
		}
	}
	return nil
}

// LoadConfig reads the instance's configuration; the zero Config when none was saved.
func LoadConfig(inst instance.Instance) (c Config, err error) {
	b, err := os.ReadFile(inst.ConfigFile())
	if errors.Is(err, os.ErrNotExist) {
		return c, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	if err == nil {
		err = c.Validate()
	}
	if err != nil {
		return c, fmt.Errorf("read %s: %w: write it anew with: rdd svc create", inst.ConfigFile(), err)
	}
	return c, nil
}

// Configure writes the configuration of an instance whose service is stopped.
func Configure(inst instance.Instance, c Config) error {
	return WhileStopped(inst, func() error {
		b, err := json.MarshalIndent(c, "", "  ")
		if err != nil {
			return err
		}
		return atomicfile.Write(inst.ConfigFile(), b)
	})
}
