package lifecycle

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"

	"rancherdesktop.io/rdd/internal/api"
	"rancherdesktop.io/rdd/internal/atomicfile"
	"rancherdesktop.io/rdd/internal/datastore/storefile"
	"rancherdesktop.io/rdd/internal/diag"
	"rancherdesktop.io/rdd/internal/instance"
)

// Config is what a user chose for an instance's service. It may hold a password.
type Config struct {
	// Controllers selects controllers by name: NAME runs one, -NAME leaves one out, * stands for all that aren't named. A list
	// with only -NAME, or no list at all (nil), runs all others; an empty list runs none.
	Controllers       []string `json:"controllers,omitzero"`
	DatastoreEndpoint string   `json:"datastoreEndpoint,omitempty"` // empty: SQLite in the data directory
	Port              int      `json:"port,omitempty"`              // of the API, on loopback; 0: the last run's if it is free, else any
}

// allControllers is the element of Controllers that stands for those that aren't named.
const allControllers = "*"

// Runs reports whether the service runs the named controller.
func (c Config) Runs(controller string) bool {
	switch {
	case c.Controllers != nil && len(c.Controllers) == 0, slices.Contains(c.Controllers, "-"+controller):
		return false
	case slices.Contains(c.Controllers, controller):
		return true
	}
	named := func(element string) bool { return element != allControllers && !strings.HasPrefix(element, "-") }
	return slices.Contains(c.Controllers, allControllers) || !slices.ContainsFunc(c.Controllers, named)
}

// Enabled lists the controllers that the service runs.
func (c Config) Enabled() []string {
	return slices.DeleteFunc(api.Controllers(), func(name string) bool { return !c.Runs(name) })
}

// Validate returns what is wrong with the configuration. The error never contains a password.
func (c Config) Validate() error {
	for _, element := range c.Controllers {
		name := strings.TrimPrefix(element, "-")
		if element != allControllers && !slices.Contains(api.Controllers(), name) {
			return fmt.Errorf("controllers: unknown controller %q; known: %s, each also with a - before it to leave it out, and *", name, strings.Join(api.Controllers(), ", "))
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

// ConfigError means that the configuration of the service is unknown, so that the service must not run.
type ConfigError struct {
	File string
	Err  error

	read *Config // the configuration, if it could be read and is invalid
}

func (e *ConfigError) Error() string {
	return fmt.Sprintf("the service's configuration can't be used: %v. It says which controllers run and where the objects are kept, so nothing is assumed. Correct %s, or write it again with: "+
		"rdd svc create --datastore-endpoint URL (or '' for SQLite in the data directory), and --controllers LIST unless all run", e.Err, e.File)
}

func (e *ConfigError) Unwrap() error { return e.Err }

// ProblemID names the known problem.
func (*ConfigError) ProblemID() string { return string(diag.ConfigDamaged) }

// LoadConfig reads the instance's configuration, the zero Config when none was saved. The error is a *ConfigError when the
// file is damaged or invalid, or is missing although the objects are in an external datastore.
func LoadConfig(inst instance.Instance) (c Config, err error) {
	b, err := atomicfile.Read(inst.ConfigFile())
	if errors.Is(err, os.ErrNotExist) {
		if storefile.External(inst.StoreDir()) {
			return c, &ConfigError{File: inst.ConfigFile(), Err: fmt.Errorf("%s is missing, and the objects were in an external datastore, whose address it had", inst.ConfigFile())}
		}
		return c, nil
	}
	if err != nil {
		return c, fmt.Errorf("read the service's configuration: %w", err)
	}
	if err := atomicfile.ParseJSON(inst.ConfigFile(), b, &c, true); err != nil {
		return Config{}, &ConfigError{File: inst.ConfigFile(), Err: err}
	}
	if err := c.Validate(); err != nil {
		return Config{}, &ConfigError{inst.ConfigFile(), fmt.Errorf("%s: %w", inst.ConfigFile(), err), new(c)}
	}
	return c, nil
}

// ConfigChange is a change of the configuration. A field that is nil leaves the value as it is.
type ConfigChange struct {
	Controllers       *[]string
	DatastoreEndpoint *string
	Port              *int
}

// Apply returns c with the change.
func (change ConfigChange) Apply(c Config) Config {
	if change.Controllers != nil {
		c.Controllers = *change.Controllers
	}
	if change.DatastoreEndpoint != nil {
		c.DatastoreEndpoint = *change.DatastoreEndpoint
	}
	if change.Port != nil {
		c.Port = *change.Port
	}
	return c
}

// repair returns the configuration with the change. If LoadConfig has failed with err, the change has to replace what is
// invalid or, when nothing could be read, say where the objects are; otherwise repair returns err.
func (change ConfigChange) repair(c Config, err error) (Config, error) {
	damaged, is := errors.AsType[*ConfigError](err)
	switch {
	case err == nil:
		c = change.Apply(c)
		return c, c.Validate()
	case is && damaged.read != nil:
		if c = change.Apply(*damaged.read); c.Validate() == nil {
			return c, nil
		}
	case is && change.DatastoreEndpoint != nil:
		c = change.Apply(Config{})
		return c, c.Validate()
	}
	return c, err
}

// Configure changes the configuration of an instance whose service is stopped. It copies a damaged configuration to aside if
// the change replaces what is damaged. Otherwise the error is the *ConfigError.
func Configure(inst instance.Instance, change ConfigChange) (aside string, err error) {
	err = WhileStopped(inst, func() error {
		c, damage := LoadConfig(inst)
		c, err := change.repair(c, damage)
		if err != nil {
			return err
		}
		b, err := json.MarshalIndent(c, "", "  ")
		if err != nil {
			return err
		}
		if damage != nil && exists(inst.ConfigFile()) {
			// The file stays until the new one replaces it: without a file, the defaults apply. A link to a missing file has nothing to copy.
			if aside, err = atomicfile.CopyAside(inst.ConfigFile()); err != nil && !errors.Is(err, os.ErrNotExist) {
				return fmt.Errorf("copy the damaged configuration: %w", err)
			}
		}
		if err := atomicfile.Write(inst.ConfigFile(), b); err != nil {
			return err
		}
		return storefile.NoteExternal(inst.StoreDir(), c.DatastoreEndpoint != "")
	})
	return aside, err
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
