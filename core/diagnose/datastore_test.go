package diagnose

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/internal/datastore/storefile"
	"rancherdesktop.io/rdd/internal/diag"
	"rancherdesktop.io/rdd/internal/instance"
	"rancherdesktop.io/rdd/internal/lifecycle"
)

// A restart would fail again, so the repair is to restore a backup.
func TestRepairOfAnEmptyDatastoreIsToRestoreABackup(t *testing.T) {
	for name, spoil := range map[string]func(file string) error{
		"emptied": func(file string) error { return os.WriteFile(file, nil, 0o600) },
		"deleted": func(string) error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			inst := instance.At(root, "i", filepath.Join(root, "libexec"))
			for _, dir := range []string{inst.DataDir(), inst.StoreDir()} {
				if err := os.MkdirAll(dir, 0o700); err != nil {
					t.Fatal(err)
				}
			}
			if err := storefile.NoteUse(inst.StoreDir()); err != nil {
				t.Fatal(err)
			}
			if err := spoil(storefile.Database(inst.StoreDir())); err != nil {
				t.Fatal(err)
			}
			refused := storefile.Check(inst.StoreDir())
			record, err := json.Marshal(lifecycle.Record{Nonce: "n", Phase: lifecycle.Failed, Error: refused.Error(), Problem: string(diag.DatastoreDamaged)})
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(inst.RecordFile(), record, 0o600); err != nil {
				t.Fatal(err)
			}
			i := inspect(t.Context(), core.New(inst, "v1"))
			for what, check := range map[string]func(context.Context, *inspection) []Finding{"datastore": checkDatastore, "service": checkService} {
				found := check(t.Context(), i)
				if len(found) != 1 || found[0].ID != string(diag.DatastoreDamaged) || RepairOf(found[0]) != "Restore the newest backup" {
					t.Errorf("%s: %+v, repair %q", what, found, RepairOf(found[0]))
				}
			}
		})
	}
}

func TestDamagedSettingsAreFound(t *testing.T) {
	root := t.TempDir()
	inst := instance.At(root, "i", filepath.Join(root, "libexec"))
	if err := os.MkdirAll(inst.DataDir(), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"{", "", "null", `{"theme": "loud"}`, `{"vmTimeout": "soon"}`} {
		if err := os.WriteFile(inst.SettingsFile(), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		found := checkSettings(t.Context(), inspect(t.Context(), core.New(inst, "v1")))
		if len(found) != 1 || found[0].ID != string(diag.SettingsDamaged) || !strings.Contains(found[0].What, inst.SettingsFile()) {
			t.Errorf("%q: diagnosed as %+v", text, found)
		}
	}
}
