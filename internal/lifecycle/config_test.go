package lifecycle

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"rancherdesktop.io/rdd/internal/datastore/storefile"
	"rancherdesktop.io/rdd/internal/diag"
	"rancherdesktop.io/rdd/internal/instance"
)

const somewhere = "postgres://u:secret@db/rdd"

// configured is an instance with objects in an external datastore.
func configured(t *testing.T) instance.Instance {
	t.Helper()
	inst := instance.At(t.TempDir(), "i", "libexec")
	if err := os.MkdirAll(inst.DataDir(), 0o700); err != nil {
		t.Fatal(err)
	}
	configure(t, inst, endpoint(somewhere))
	return inst
}

func endpoint(url string) ConfigChange { return ConfigChange{DatastoreEndpoint: &url} }

func configure(t *testing.T, inst instance.Instance, change ConfigChange) (aside string) {
	t.Helper()
	aside, err := Configure(inst, change)
	if err != nil {
		t.Fatal(err)
	}
	return aside
}

func write0(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestDamagedConfigIsNotReplacedByAnEmptyStore(t *testing.T) {
	for name, text := range map[string]string{
		"cut short": `{"datastoreEndpoint": "postg`, "empty": "", "zeros": strings.Repeat("\x00", 90), "null": "null", "a list": "[]",
		"a wrong type": `{"datastoreEndpoint": 5}`, "a field that nobody knows": `{"datastore": "postgres://u:secret@db/rdd"}`, "something after it": `{} {}`,
	} {
		t.Run(name, func(t *testing.T) {
			inst := configured(t)
			write0(t, inst.ConfigFile(), text)
			_, err := LoadConfig(inst)
			if p, _ := diag.Of(err); p.ID != diag.ConfigDamaged || !strings.Contains(err.Error(), inst.ConfigFile()) || strings.Contains(err.Error(), "secret") {
				t.Fatalf("%v is %q", err, p.ID)
			}
			for _, vague := range []ConfigChange{{}, {Controllers: &[]string{"*"}}} {
				if _, err := Configure(inst, vague); err == nil || !strings.Contains(err.Error(), "--datastore-endpoint") {
					t.Errorf("it didn't ask where the objects are: %v", err)
				}
			}
			if b, _ := os.ReadFile(inst.ConfigFile()); string(b) != text {
				t.Errorf("the damaged file was changed to %q", b)
			}
			aside := configure(t, inst, endpoint(somewhere))
			if b, _ := os.ReadFile(aside); string(b) != text {
				t.Errorf("put aside as %q: %q", aside, b)
			}
			if c, err := LoadConfig(inst); err != nil || c.DatastoreEndpoint != somewhere {
				t.Error(c, err)
			}
		})
	}
}

// Without a file, a service that starts now would use the defaults, and say nothing of the damage.
func TestDamagedConfigIsNeverMissingWhileItIsReplaced(t *testing.T) {
	inst := configured(t)
	stop, missing := make(chan struct{}), make(chan bool, 1)
	go func() {
		for {
			select {
			case <-stop:
				missing <- false
				return
			default:
			}
			if _, err := os.Lstat(inst.ConfigFile()); errors.Is(err, os.ErrNotExist) {
				missing <- true
				return
			}
		}
	}()
	for range 20 {
		write0(t, inst.ConfigFile(), "damaged")
		configure(t, inst, endpoint(somewhere))
	}
	close(stop)
	if <-missing {
		t.Error("the file was missing")
	}
}

func TestInvalidValueIsReplacedAndTheOthersStay(t *testing.T) {
	inst := configured(t)
	write0(t, inst.ConfigFile(), `{"controllers": ["nope"], "datastoreEndpoint": "`+somewhere+`"}`)
	if _, err := Configure(inst, ConfigChange{}); err == nil || !strings.Contains(err.Error(), `unknown controller "nope"`) {
		t.Fatal(err)
	}
	aside := configure(t, inst, ConfigChange{Controllers: &[]string{"*"}})
	if c, err := LoadConfig(inst); err != nil || c.DatastoreEndpoint != somewhere || aside == "" {
		t.Error(c, err, aside)
	}
}

func TestMissingConfigDoesNotLeadToAnEmptyStore(t *testing.T) {
	inst := configured(t)
	if err := os.Remove(inst.ConfigFile()); err != nil {
		t.Fatal(err)
	}
	_, err := LoadConfig(inst)
	if _, is := errors.AsType[*ConfigError](err); !is {
		t.Fatal(err)
	}
	if aside := configure(t, inst, endpoint("")); aside != "" {
		t.Error(aside)
	}
	if c, err := LoadConfig(inst); err != nil || c.DatastoreEndpoint != "" {
		t.Error(c, err)
	}
	// One that was never external needs no file.
	if err := os.Remove(inst.ConfigFile()); err != nil {
		t.Fatal(err)
	}
	if c, err := LoadConfig(inst); err != nil || storefile.External(inst.StoreDir()) {
		t.Error(c, err)
	}
}

func TestConfigThatIsALinkToAMissingFileIsReplaced(t *testing.T) {
	inst := configured(t)
	if err := errors.Join(os.Remove(inst.ConfigFile()), os.Symlink(filepath.Join(t.TempDir(), "gone"), inst.ConfigFile())); err != nil {
		t.Fatal(err)
	}
	if aside := configure(t, inst, endpoint("")); aside != "" {
		t.Error(aside)
	}
	if c, err := LoadConfig(inst); err != nil || c.DatastoreEndpoint != "" {
		t.Error(c, err)
	}
}

func TestChangeOfOneSettingKeepsTheAddressOfTheDatabase(t *testing.T) {
	inst := configured(t)
	configure(t, inst, ConfigChange{Controllers: &[]string{"-limavm"}})
	configure(t, inst, ConfigChange{})
	if c, err := LoadConfig(inst); err != nil || !reflect.DeepEqual(c, Config{Controllers: []string{"-limavm"}, DatastoreEndpoint: somewhere}) {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestEmptyListOfControllersRunsNone(t *testing.T) {
	inst := configured(t)
	configure(t, inst, ConfigChange{Controllers: &[]string{}})
	c, err := LoadConfig(inst)
	if err != nil || len(c.Enabled()) != 0 {
		t.Errorf("runs %v, %v", c.Enabled(), err)
	}
	if len(Config{}.Enabled()) == 0 {
		t.Error("without a list all run")
	}
}

// The next run writes its own; until then there is nothing to know of the last one.
func TestDamagedRecordDoesNotPreventAStart(t *testing.T) {
	inst := configured(t)
	for _, text := range []string{"", "\x00\x00", "null", `{"pid": "x"}`, `{"nonce": `} {
		write0(t, inst.RecordFile(), text)
		if rec, err := Last(inst); err != nil || rec != (Record{}) {
			t.Errorf("%q: %+v, %v", text, rec, err)
		}
	}
}
