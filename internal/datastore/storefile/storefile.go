// Package storefile is the SQLite store as files: where they are, and whether they can still be the
// store that was there. The datastore asks it before it opens the database, and the core when it
// diagnoses an instance without opening anything.
package storefile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"rancherdesktop.io/rdd/internal/atomicfile"
	"rancherdesktop.io/rdd/internal/diag"
)

const (
	// database is SQLite's file; -wal and -shm files are beside it.
	database = "state.db"
	// formerMark was in the store's folder, and was lost together with it.
	formerMark = "state.used"
)

// Database is the database of the store in dir.
func Database(dir string) string { return filepath.Join(dir, database) }

// Mark says that the store in dir has been made, whatever became of it. It is beside dir, so that it
// outlives it.
func Mark(dir string) string { return filepath.Clean(dir) + ".used" }

// Restoring is the folder in which a restore makes the next store in dir. It is beside dir, so that
// whole folders can be exchanged.
func Restoring(dir string) string { return filepath.Clean(dir) + ".restoring" }

// NoteUse leaves the mark.
func NoteUse(dir string) error {
	if _, err := os.Stat(Mark(dir)); err == nil {
		return nil
	}
	return atomicfile.Write(Mark(dir), nil)
}

// External says that the objects were last kept elsewhere than in dir.
func External(dir string) bool {
	_, err := os.Stat(externalMark(dir))
	return err == nil
}

func externalMark(dir string) string { return filepath.Clean(dir) + ".external" }

// NoteExternal notes whether the objects are kept elsewhere than in dir.
func NoteExternal(dir string, external bool) error {
	if external {
		return atomicfile.Write(externalMark(dir), nil)
	}
	if err := os.Remove(externalMark(dir)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// RemoveMarks forgets that there was a store, in dir or elsewhere. It comes before the store is removed: a mark without a
// store means that the store was lost.
func RemoveMarks(dir string) error {
	for _, mark := range append(usedMarks(dir), externalMark(dir)) {
		if err := os.RemoveAll(mark); err != nil {
			return err
		}
	}
	return nil
}

func usedMarks(dir string) []string { return []string{Mark(dir), filepath.Join(dir, formerMark)} }

func used(dir string) bool {
	for _, mark := range usedMarks(dir) {
		if _, err := os.Stat(mark); err == nil {
			return true
		}
	}
	return false
}

// DamagedError means that the store can't be used, and that only a backup in its place helps. The
// file is left as it is.
type DamagedError struct {
	File string
	Err  error
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("the datastore %s can't be used: %v", e.File, e.Err)
}

func (e *DamagedError) Unwrap() error { return e.Err }

// ProblemID names the known problem.
func (*DamagedError) ProblemID() string { return string(diag.DatastoreDamaged) }

// Check says what can be told of the store in dir without opening it. It changes nothing. It returns a
// *DamagedError when the store was used and its file is missing or empty, or when the file is no
// database; and an error that wraps fs.ErrNotExist when there is no store yet.
func Check(dir string) error {
	file := Database(dir)
	f, err := os.Open(file)
	switch {
	case errors.Is(err, os.ErrNotExist) && used(dir):
		return &DamagedError{file, errors.New("it is missing, and was there before")}
	case err != nil:
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return err
	case info.Size() == 0 && used(dir):
		return &DamagedError{file, errors.New("it is empty, and was not before")}
	case info.Size() == 0:
		return nil // a new one
	}
	if log, err := os.Stat(file + "-wal"); err == nil && log.Size() > 0 {
		return nil // it has the newest pages, even the first
	}
	begin := make([]byte, len(magic))
	if _, err := io.ReadFull(f, begin); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	if !bytes.Equal(begin, []byte(magic)) {
		return &DamagedError{file, errors.New("it doesn't begin as a database does")}
	}
	return nil
}

// magic is how a file of SQLite begins. Source: section 1.3 of its file format.
const magic = "SQLite format 3\x00"
