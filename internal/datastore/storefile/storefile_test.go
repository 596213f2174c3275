package storefile_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"rancherdesktop.io/rdd/internal/datastore/storefile"
	"rancherdesktop.io/rdd/internal/diag"
)

const begin = "SQLite format 3\x00 and what follows"

func TestEmptiedOrDeletedDatastoreIsDamaged(t *testing.T) {
	write := func(file, text string) {
		t.Helper()
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		name    string
		lay     func(dir string)
		damaged bool
		err     error
	}{
		{"nothing was ever there", func(string) {}, false, fs.ErrNotExist},
		{"a new file", func(dir string) { write(storefile.Database(dir), "") }, false, nil},
		{"a store in use", func(dir string) { write(storefile.Database(dir), begin); _ = storefile.NoteUse(dir) }, false, nil},
		{"removed, and the marks before", func(dir string) {
			write(filepath.Join(dir, "state.used"), "")
			_ = errors.Join(storefile.NoteUse(dir), storefile.RemoveMarks(dir))
		}, false, fs.ErrNotExist},
		{"emptied", func(dir string) { write(storefile.Database(dir), ""); _ = storefile.NoteUse(dir) }, true, nil},
		{"deleted", func(dir string) { _ = errors.Join(os.MkdirAll(dir, 0o700), storefile.NoteUse(dir)) }, true, nil},
		{"deleted with its folder", func(dir string) { _ = storefile.NoteUse(dir) }, true, nil},
		{"deleted, with the mark of former builds", func(dir string) { write(filepath.Join(dir, "state.used"), "") }, true, nil},
		{"overwritten", func(dir string) { write(storefile.Database(dir), "no database at all") }, true, nil},
		{"cut short", func(dir string) { write(storefile.Database(dir), "SQL") }, true, nil},
		{"the newest pages are in the log", func(dir string) {
			write(storefile.Database(dir), "not written yet")
			write(storefile.Database(dir)+"-wal", "pages")
		}, false, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "store")
			tc.lay(dir)
			err := storefile.Check(dir)
			damaged, is := errors.AsType[*storefile.DamagedError](err)
			if is != tc.damaged || !is && !errors.Is(err, tc.err) {
				t.Fatalf("%v; want damaged %t, %v", err, tc.damaged, tc.err)
			}
			if !is {
				return
			}
			if p, ok := diag.Of(err); !ok || p.ID != diag.DatastoreDamaged || damaged.File != storefile.Database(dir) {
				t.Errorf("%v is %q", err, p.ID)
			}
		})
	}
}
