package datastore

import (
	"database/sql"
	"path/filepath"
	"testing"
)

func TestImpossibleRevisionOfADamagedStoreIsNotTrusted(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state.db")
	db, err := openFile(sqliteURL(file, "")) // without a log
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(sqliteSchema[0]); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ id, want int64 }{{-1, 0}, {1, 1}, {1<<53 - 1, 1<<53 - 1}, {1 << 53, 0}} {
		insertID(t, db, tc.id)
		if got := lastRevision(t.Context(), file); got != tc.want {
			t.Errorf("with row %d: %d, want %d", tc.id, got, tc.want)
		}
	}
}

func insertID(t *testing.T, db *sql.DB, id int64) {
	t.Helper()
	if _, err := db.Exec(`INSERT INTO kine (id, name) VALUES (?, '/registry/a')`, id); err != nil {
		t.Fatal(err)
	}
}
