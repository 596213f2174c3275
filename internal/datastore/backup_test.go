package datastore_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	rpctypes "go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"

	"rancherdesktop.io/rdd/internal/datastore"
)

func update(t testing.TB, c *kubernetes.Client, key, value string) {
	t.Helper()
	now, err := c.Kubernetes.Get(t.Context(), key, kubernetes.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.Kubernetes.OptimisticPut(t.Context(), key, []byte(value), now.KV.ModRevision, kubernetes.PutOptions{GetOnFailure: true})
	if err != nil || !r.Succeeded {
		t.Fatal(err, r)
	}
}

func remove(t testing.TB, c *kubernetes.Client, key string) {
	t.Helper()
	now, err := c.Kubernetes.Get(t.Context(), key, kubernetes.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.Kubernetes.OptimisticDelete(t.Context(), key, now.KV.ModRevision, kubernetes.DeleteOptions{GetOnFailure: true})
	if err != nil || !r.Succeeded {
		t.Fatal(err, r)
	}
}

// take makes a backup and says whether one was needed.
func take(t *testing.T, b datastore.Backups, dir string, passing ...string) bool {
	t.Helper()
	taken, err := b.Take(t.Context(), dir, passing...)
	if err != nil {
		t.Fatal(err)
	}
	return taken
}

func list(t *testing.T, b datastore.Backups) []datastore.Backup {
	t.Helper()
	have, err := b.List()
	if err != nil {
		t.Fatal(err)
	}
	return have
}

func TestBackupIsTakenOnlyWhenSomethingChanged(t *testing.T) {
	dir := filled(t)
	b := datastore.Backups{Dir: filepath.Join(dir, "..", "backups")}
	change := func(f func(c *kubernetes.Client)) {
		t.Helper()
		s := open(t, datastore.Options{Dir: dir})
		f(client(t, s))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if !take(t, b, dir) {
		t.Error("no first backup")
	}
	if take(t, b, dir) {
		t.Error("a second one of the same")
	}
	change(func(c *kubernetes.Client) { create(t, c, "/run", "1") })
	if take(t, b, dir, "/run") {
		t.Error("a backup for what every run writes")
	}
	change(func(c *kubernetes.Client) { update(t, c, "/registry/01", "new") })
	if !take(t, b, dir, "/run") {
		t.Error("none after an update")
	}
	change(func(c *kubernetes.Client) { remove(t, c, "/registry/02") })
	if !take(t, b, dir, "/run") {
		t.Error("none after a deletion")
	}
	// The newest is damaged: that is a reason, too.
	for range 3 {
		if err := os.WriteFile(list(t, b)[0].Path, []byte("damaged"), 0o600); err != nil {
			t.Fatal(err)
		}
		if !take(t, b, dir, "/run") {
			t.Error("none after the last was damaged")
		}
	}
	have := list(t, b)
	if len(have) != 3 || !strings.HasPrefix(have[0].Name, "0006-") || !strings.HasPrefix(have[2].Name, "0004-") {
		t.Errorf("not the newest three: %v", have)
	}
	if age := time.Since(have[0].Time); age < -time.Second || age > time.Minute {
		t.Errorf("taken at %v", have[0].Time)
	}
}

func TestBackupsArePrivate(t *testing.T) {
	dir := filled(t)
	b := datastore.Backups{Dir: filepath.Join(dir, "..", "backups")}
	take(t, b, dir)
	if info, err := os.Stat(b.Dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Error(info.Mode(), err)
	}
	files, _ := os.ReadDir(b.Dir)
	if len(files) != 1 {
		t.Errorf("not only the backup is left: %v", files)
	}
	if info, err := os.Stat(list(t, b)[0].Path); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
}

// A clock set back an hour, or a year, doesn't make the newest backup the oldest.
func TestBackupOfAClockSetBackIsStillTheNewest(t *testing.T) {
	dir := filled(t)
	b := datastore.Backups{Dir: filepath.Join(dir, "..", "backups")}
	take(t, b, dir)
	if err := os.Rename(list(t, b)[0].Path, filepath.Join(b.Dir, "0001-20990101T000000Z.db")); err != nil {
		t.Fatal(err)
	}
	s := open(t, datastore.Options{Dir: dir})
	create(t, client(t, s), "/new", "1")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	take(t, b, dir)
	if have := list(t, b); len(have) != 2 || !strings.HasPrefix(have[0].Name, "0002-") {
		t.Error(have)
	}
}

func TestRestoreBringsBackWhatTheBackupHad(t *testing.T) {
	dir := filled(t)
	b := datastore.Backups{Dir: filepath.Join(dir, "..", "backups")}
	take(t, b, dir)
	s := open(t, datastore.Options{Dir: dir})
	c := client(t, s)
	update(t, c, "/registry/01", "later")
	create(t, c, "/registry/later", "later")
	watched := revision(t, c)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(dir, "state.db"), 5000); err != nil {
		t.Fatal(err)
	}
	for range 2 { // as often as one likes
		aside := restore(t, b, list(t, b)[0].Path, dir)
		c = client(t, open(t, datastore.Options{Dir: dir}))
		if got := value(t, c, "/registry/01"); got != strings.Repeat("x", 2000) {
			t.Errorf("the old value is %q", got)
		}
		if got := value(t, c, "/registry/later"); got != "" {
			t.Errorf("what was made later is still there: %q", got)
		}
		if _, err := os.Stat(filepath.Join(aside, "state.db")); err != nil {
			t.Error("what was replaced is not there any more", err)
		}
		// A client that has seen more than the backup knows must not miss what comes now.
		if now := revision(t, c); now <= watched {
			t.Errorf("revision %d comes after %d", now, watched)
		}
		limited, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		if r := <-c.Watch(limited, "/registry/", clientv3.WithPrefix(), clientv3.WithRev(watched)); !errors.Is(r.Err(), rpctypes.ErrCompacted) {
			t.Errorf("a watch from before goes on: %+v", r)
		}
		cancel()
		update(t, c, "/registry/01", "after")
		watched = revision(t, c)
	}
	// What was put aside, with the log it may have, is a store that can be put back.
	all, err := filepath.Glob(filepath.Join(b.Dir, "*.replaced"))
	if err != nil || len(all) != 2 {
		t.Fatal(all, err)
	}
	restore(t, b, filepath.Join(all[1], "state.db"), dir)
	if got := value(t, client(t, open(t, datastore.Options{Dir: dir})), "/registry/01"); got != "after" {
		t.Errorf("put back it says %q", got)
	}
}

func restore(t *testing.T, b datastore.Backups, file, dir string) (aside string) {
	t.Helper()
	aside, err := b.Restore(t.Context(), file, dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir + ".restoring"); err == nil {
		t.Error("working files are left")
	}
	return aside
}

func revision(t *testing.T, c *kubernetes.Client) int64 {
	t.Helper()
	r, err := c.Kubernetes.Get(t.Context(), "/registry/01", kubernetes.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return r.Revision
}

// Each restore begins with revisions of its own, even if the one before had nothing to put aside.
func TestSecondRestoreAfterALostStoreUsesNoRevisionAgain(t *testing.T) {
	dir := filled(t)
	b := datastore.Backups{Dir: filepath.Join(dir, "..", "backups")}
	take(t, b, dir)
	backup := list(t, b)[0].Path
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if aside := restore(t, b, backup, dir); aside != "" {
		t.Errorf("nothing was put aside as %s", aside)
	}
	s := open(t, datastore.Options{Dir: dir})
	update(t, client(t, s), "/registry/01", "later")
	watched := revision(t, client(t, s))
	if err := s.Close(); err != nil { // without a backup, as after a crash
		t.Fatal(err)
	}
	restore(t, b, backup, dir)
	if now := revision(t, client(t, open(t, datastore.Options{Dir: dir}))); now <= watched {
		t.Errorf("revision %d comes after %d", now, watched)
	}
}

// The same, if the store that the first restore made can't be read.
func TestRestoreAfterALostAndADamagedStoreUsesNoRevisionAgain(t *testing.T) {
	dir := filled(t)
	b := datastore.Backups{Dir: filepath.Join(dir, "..", "backups")}
	take(t, b, dir)
	backup := list(t, b)[0].Path
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	restore(t, b, backup, dir)
	s := open(t, datastore.Options{Dir: dir})
	update(t, client(t, s), "/registry/01", "later")
	watched := revision(t, client(t, s))
	if err := errors.Join(s.Close(), os.WriteFile(filepath.Join(dir, "state.db"), []byte("damaged"), 0o600)); err != nil {
		t.Fatal(err)
	}
	restore(t, b, backup, dir)
	if now := revision(t, client(t, open(t, datastore.Options{Dir: dir}))); now <= watched {
		t.Errorf("revision %d comes after %d", now, watched)
	}
}

func TestRestoreDoesNotReplaceALink(t *testing.T) {
	for name, connected := range map[string]bool{"to a folder": true, "to a disk that is not connected": false} {
		t.Run(name, func(t *testing.T) {
			dir := filled(t)
			b := datastore.Backups{Dir: filepath.Join(dir, "..", "backups")}
			take(t, b, dir)
			elsewhere := filepath.Join(t.TempDir(), "elsewhere")
			if err := errors.Join(os.Rename(dir, elsewhere), os.Symlink(elsewhere, dir)); err != nil {
				t.Fatal(err)
			}
			if !connected {
				if err := os.RemoveAll(elsewhere); err != nil {
					t.Fatal(err)
				}
			}
			if aside, err := b.Restore(t.Context(), list(t, b)[0].Path, dir); err == nil || !strings.Contains(err.Error(), elsewhere) || aside != "" {
				t.Errorf("%q, %v", aside, err)
			}
			if to, err := os.Readlink(dir); to != elsewhere {
				t.Errorf("the link leads to %q, %v", to, err)
			}
			if files, _ := os.ReadDir(b.Dir); len(files) != 1 {
				t.Errorf("not only the backup is there: %v", files)
			}
		})
	}
}

func TestFolderWithoutADatabaseIsNoStoreThatWasReplaced(t *testing.T) {
	dir := filled(t)
	b := datastore.Backups{Dir: filepath.Join(dir, "..", "backups")}
	take(t, b, dir)
	if err := errors.Join(os.Remove(filepath.Join(dir, "state.db")), os.WriteFile(filepath.Join(dir, "state.used"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if aside := restore(t, b, list(t, b)[0].Path, dir); aside != "" {
		t.Errorf("%s is said to be the store that was replaced", aside)
	}
}

// An empty store would look as if there had never been one. A file in the place of the working folder
// makes the rename fail.
func TestStartFailsIfTheRestoredStoreCanNotBePutInItsPlace(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a file on the way is the same as a missing folder there")
	}
	dir := filepath.Join(t.TempDir(), "store")
	if err := os.WriteFile(dir+".restoring", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := datastore.Open(t.Context(), datastore.Options{Dir: dir})
	if err == nil {
		_ = s.Close()
		t.Error("the start made an empty store")
	}
}

func TestStartRemovesWhatAKilledRestoreLeft(t *testing.T) {
	dir := filled(t)
	work, former := dir+".restoring", filepath.Join(dir, "restoring")
	for _, file := range []string{filepath.Join(former, "new.db"), filepath.Join(work, "source.db"), filepath.Join(work, "unfinished", "state.db"), filepath.Join(work, "new", "state.db")} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte("objects"), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if got := value(t, client(t, open(t, datastore.Options{Dir: dir})), "/registry/01"); got == "" {
		t.Error("the store lost its objects")
	}
	for _, left := range []string{work, former} {
		if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
			t.Error("working files are left", err)
		}
	}
}

func TestRestoreThatWasKilledAfterItMovedTheStoreIsFinished(t *testing.T) {
	for name, next := range map[string]func(t *testing.T, b datastore.Backups, dir string){
		"by a start": func(*testing.T, datastore.Backups, string) {},
		"by a restore that fails": func(t *testing.T, b datastore.Backups, dir string) {
			if _, err := b.Restore(t.Context(), filepath.Join(b.Dir, "nope.db"), dir); err == nil {
				t.Error("restored")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filled(t)
			b := datastore.Backups{Dir: filepath.Join(dir, "..", "backups")}
			take(t, b, dir)
			s := open(t, datastore.Options{Dir: dir})
			update(t, client(t, s), "/registry/01", "later")
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			restore(t, b, list(t, b)[0].Path, dir)
			// This is what the kill would have left.
			work := dir + ".restoring"
			if err := errors.Join(os.Mkdir(work, 0o700), os.Rename(dir, filepath.Join(work, "new")), os.WriteFile(filepath.Join(work, "source.db"), nil, 0o600)); err != nil {
				t.Fatal(err)
			}
			next(t, b, dir)
			if got := value(t, client(t, open(t, datastore.Options{Dir: dir})), "/registry/01"); got != strings.Repeat("x", 2000) {
				t.Errorf("the value is %q", got)
			}
			if _, err := os.Stat(work); !errors.Is(err, os.ErrNotExist) {
				t.Error("working files are left", err)
			}
		})
	}
}

func TestRestoreOfADamagedBackupChangesNothing(t *testing.T) {
	dir := filled(t)
	b := datastore.Backups{Dir: filepath.Join(dir, "..", "backups")}
	take(t, b, dir)
	backup := list(t, b)[0].Path
	if err := os.Truncate(backup, 6000); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{backup, filepath.Join(b.Dir, "nope.db"), dir} {
		if _, err := b.Restore(t.Context(), file, dir); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %v", file, err)
		}
	}
	if got := value(t, client(t, open(t, datastore.Options{Dir: dir})), "/registry/01"); got == "" {
		t.Error("the store lost its objects")
	}
	if left, _ := filepath.Glob(filepath.Join(b.Dir, "*.replaced")); len(left) > 0 {
		t.Error(left)
	}
}

// What a crash left is put aside with its log, which holds the newest writes.
func TestStoreThatWasPutAsideAfterACrashCanBePutBack(t *testing.T) {
	dir := filled(t)
	b := datastore.Backups{Dir: filepath.Join(dir, "..", "backups")}
	take(t, b, dir)
	s := open(t, datastore.Options{Dir: dir})
	create(t, client(t, s), "/newest", "acknowledged")
	crashed := filepath.Join(t.TempDir(), "store") // as a kill would leave it
	if err := os.CopyFS(crashed, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	aside := restore(t, b, list(t, b)[0].Path, crashed)
	found, err := b.Find(aside)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := b.Look(t.Context(), found.Path); err != nil || c["/newest"] == 0 {
		t.Error(c, err)
	}
	restore(t, b, found.Path, crashed)
	if got := value(t, client(t, open(t, datastore.Options{Dir: crashed})), "/newest"); got != "acknowledged" {
		t.Errorf("the newest write is %q", got)
	}
}

func TestBackupThatIsCutShortIsNotCounted(t *testing.T) {
	dir := filled(t)
	b := datastore.Backups{Dir: filepath.Join(dir, "..", "backups")}
	take(t, b, dir)
	s := open(t, datastore.Options{Dir: dir})
	create(t, client(t, s), "/new", "1")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	late, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Take(late, dir); err == nil {
		t.Fatal("taken")
	}
	if have := list(t, b); len(have) != 1 {
		t.Error(have)
	}
	take(t, b, dir)
	if files, _ := os.ReadDir(b.Dir); len(files) != 2 {
		t.Error("leftovers", files)
	}
}

func TestUnfinishedBackupIsRemovedWhenNothingHasChanged(t *testing.T) {
	dir := filled(t)
	b := datastore.Backups{Dir: filepath.Join(dir, "..", "backups")}
	take(t, b, dir)
	if err := os.WriteFile(filepath.Join(b.Dir, ".taking-123"), []byte("left by a kill"), 0o600); err != nil {
		t.Fatal(err)
	}
	if take(t, b, dir) {
		t.Error("a second backup of the same")
	}
	if files, _ := os.ReadDir(b.Dir); len(files) != 1 {
		t.Error("leftovers", files)
	}
}

// The figures are in docs/controlplane.md: `go test -run '^$' -bench Backup ./internal/datastore`.
func BenchmarkBackupAfter12000Updates(b *testing.B) {
	dir := filepath.Join(b.TempDir(), "store")
	s, err := datastore.Open(b.Context(), datastore.Options{Dir: dir})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	c := client(b, s)
	for i := range 200 {
		create(b, c, fmt.Sprintf("/registry/%d", i), strings.Repeat("x", 4000))
	}
	for range 12000 {
		update(b, c, "/registry/1", strings.Repeat("x", 4000))
	}
	info, err := os.Stat(filepath.Join(dir, "state.db"))
	if err != nil {
		b.Fatal(err)
	}
	b.Run("take", func(b *testing.B) {
		for i := range b.N {
			backups := datastore.Backups{Dir: filepath.Join(b.TempDir(), fmt.Sprint(i))}
			if taken, err := backups.Take(b.Context(), dir); err != nil || !taken {
				b.Fatal(taken, err)
			}
		}
		b.ReportMetric(float64(info.Size())/1e6, "MB-of-store")
	})
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	b.Run("open", func(b *testing.B) {
		for range b.N {
			s, err := datastore.Open(b.Context(), datastore.Options{Dir: dir})
			if err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			_ = s.Close()
			b.StartTimer()
		}
	})
}
