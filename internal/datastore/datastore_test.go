package datastore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"

	"rancherdesktop.io/rdd/internal/datastore"
	"rancherdesktop.io/rdd/internal/datastore/datastoretest"
	"rancherdesktop.io/rdd/internal/testenv"
)

func open(t *testing.T, o datastore.Options) *datastore.Store {
	t.Helper()
	s, err := datastore.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// client reads and writes a store as the API server does.
func client(t testing.TB, s *datastore.Store) *kubernetes.Client {
	t.Helper()
	if s.Client != nil {
		return s.Client
	}
	c, err := kubernetes.New(clientv3.Config{Context: t.Context(), Endpoints: s.Servers})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// create writes a key that isn't there.
func create(t testing.TB, c *kubernetes.Client, key, value string) {
	t.Helper()
	r, err := c.Kubernetes.OptimisticPut(t.Context(), key, []byte(value), 0, kubernetes.PutOptions{})
	if err != nil || !r.Succeeded {
		t.Fatalf("create %s: %+v, %v", key, r, err)
	}
}

func value(t *testing.T, c *kubernetes.Client, key string) string {
	t.Helper()
	r, err := c.Kubernetes.Get(t.Context(), key, kubernetes.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if r.KV == nil {
		return ""
	}
	return string(r.KV.Value)
}

func TestDataIsThereAfterRestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a folder? with 100% odd#name", "store")
	s := open(t, datastore.Options{Dir: dir})
	create(t, client(t, s), "/registry/a", "one")
	if s.External() {
		t.Error("SQLite is ours alone")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "state.db-wal")); err == nil {
		t.Error("a clean end left the log behind")
	}
	if got := value(t, client(t, open(t, datastore.Options{Dir: dir})), "/registry/a"); got != "one" {
		t.Errorf("after a restart the value is %q", got)
	}
}

func TestWatchHearsOfTheFirstWriteAfterARestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	s := open(t, datastore.Options{Dir: dir})
	create(t, client(t, s), "/registry/a", "one")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	c := client(t, open(t, datastore.Options{Dir: dir}))
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second) // half of the poll interval
	defer cancel()
	events := c.Watch(ctx, "/registry/b", clientv3.WithCreatedNotify())
	if r := <-events; !r.Created {
		t.Fatalf("the watch was not made: %+v", r)
	}
	create(t, c, "/registry/b", "two")
	if r, ok := <-events; !ok || len(r.Events) != 1 {
		t.Errorf("the watch says %+v, want the one write", r)
	}
}

func TestFilesArePrivate(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no file modes")
	}
	dir := filepath.Join(t.TempDir(), "store")
	create(t, client(t, open(t, datastore.Options{Dir: dir})), "/registry/a", "secret")
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("folder: %v, %v", info.Mode(), err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) < 3 {
		t.Fatalf("files: %v, %v", files, err)
	}
	for _, f := range files {
		if info, err := os.Stat(f); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", f, info.Mode(), err)
		}
	}
}

// Nothing damaged may be taken for a store, and nothing lost for one that never was.
func TestDamagedStoreIsNotOpened(t *testing.T) {
	overwrite := func(page int64, with []byte) func(*testing.T, string) {
		return func(t *testing.T, file string) {
			f, err := os.OpenFile(file, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if _, err := f.WriteAt(with, page*4096); err != nil {
				t.Fatal(err)
			}
		}
	}
	damage := map[string]func(t *testing.T, file string){
		"not a database":  overwrite(0, []byte(strings.Repeat("no database at all ", 5000))),
		"header damaged":  overwrite(0, []byte("SQLite no format")),
		"a page of zeros": overwrite(1, make([]byte, 4096)),
		"cut in half": func(t *testing.T, file string) {
			info, err := os.Stat(file)
			if err == nil {
				err = os.Truncate(file, info.Size()/2)
			}
			if err != nil {
				t.Fatal(err)
			}
		},
		"empty": func(t *testing.T, file string) {
			if err := os.Truncate(file, 0); err != nil {
				t.Fatal(err)
			}
		},
		"gone": func(t *testing.T, file string) {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		},
		"gone with its folder": func(t *testing.T, file string) {
			if err := os.RemoveAll(filepath.Dir(file)); err != nil {
				t.Fatal(err)
			}
		},
		"a page of zeros before a crash": func(t *testing.T, file string) {
			overwrite(1, make([]byte, 4096))(t, file)
			if err := os.WriteFile(file+"-wal", []byte("left by a crash"), 0o600); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, spoil := range damage {
		t.Run(name, func(t *testing.T) {
			dir := filled(t)
			file := filepath.Join(dir, "state.db")
			spoil(t, file)
			before, _ := os.ReadFile(file)
			for range 2 { // a start that fails repairs nothing
				_, err := datastore.Open(t.Context(), datastore.Options{Dir: dir})
				if damaged, ok := errors.AsType[*datastore.DamagedError](err); !ok || damaged.File != file {
					t.Fatalf("the error doesn't say that the store is damaged: %v", err)
				}
			}
			if after, _ := os.ReadFile(file); !bytes.Equal(before, after) {
				t.Error("the damaged file was changed")
			}
			if _, err := os.Stat(file); before == nil && err == nil {
				t.Error("an empty file was put in the place of the missing one")
			}
		})
	}
}

// filled makes a store with a few objects, closed in order, and returns its folder.
func filled(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "store")
	s := open(t, datastore.Options{Dir: dir})
	c := client(t, s)
	for i := range 20 {
		create(t, c, fmt.Sprintf("/registry/%02d", i), strings.Repeat("x", 2000))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestBadEndpointIsAClearError(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts, and never answers
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()

	const secret = "p4ss/w0rd"
	cases := []struct {
		name, endpoint string
		says           string // part of the error
		deadline       bool   // the chain holds context.DeadlineExceeded
	}{
		{"unknown scheme", "mysql://u:" + secret + "@h/db", "unknown scheme", false},
		{"no scheme", "/var/lib/" + secret, "unknown scheme", false},
		{"password not encoded", "postgres://u:" + secret + "@h:5432/db", "percent-encoded", false},
		{"no host", "postgres:///db", "not a PostgreSQL URL", false},
		{"nobody listens", fmt.Sprintf("postgres://u:x@%s/db?password=%s", closed.Addr(), secret), closed.Addr().String(), false},
		{"postgres never answers", fmt.Sprintf("postgres://u:%s@%s/db", "p4ssw0rd", silent.Addr()), silent.Addr().String(), true},
		{"etcd: nobody listens", fmt.Sprintf("http://%s", closed.Addr()), closed.Addr().String(), true},
		{"etcd never answers", fmt.Sprintf("http://%s,http://%s", silent.Addr(), closed.Addr()), silent.Addr().String(), true},
		{"etcd with a password", "https://u:" + "p4ssw0rd" + "@h:2379", "client certificate", false},
		{"etcd list with a gap", "http://h:1,,http://h:2", "not a list", false},
		{"etcd, certificate missing", fmt.Sprintf("https://%s?sslcert=/nowhere/c&sslkey=/nowhere/k", closed.Addr()), "/nowhere/c", false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			limit := testenv.Timeout
			if c.deadline {
				limit = 500 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			begin := time.Now()
			s, err := datastore.Open(ctx, datastore.Options{Endpoint: c.endpoint})
			if err == nil {
				s.Close()
				t.Fatal("opened")
			}
			if !strings.Contains(err.Error(), c.says) {
				t.Errorf("the error doesn't hold %q: %v", c.says, err)
			}
			for _, part := range []string{secret, "p4ss", "w0rd"} {
				if strings.Contains(err.Error(), part) {
					t.Errorf("the error tells the password: %v", err)
				}
			}
			if got := errors.Is(err, context.DeadlineExceeded); got != c.deadline {
				t.Errorf("holds a deadline: %v, want %v: %v", got, c.deadline, err)
			}
			if took := time.Since(begin); took > 5*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

// Two processes on one database, as two hosts would have it.
func TestTwoStoresOnOnePostgresSeeEachOther(t *testing.T) {
	url := datastoretest.Postgres(t)
	share(t, url+"/rdd")
	t.Run("wrong password", func(t *testing.T) {
		wrong := strings.Replace(url, datastoretest.Password, "another-one", 1)
		_, err := datastore.Open(t.Context(), datastore.Options{Endpoint: wrong + "/rdd"})
		if err == nil || strings.Contains(err.Error(), "another-one") {
			t.Errorf("error: %v", err)
		}
	})
}

func TestTwoStoresOnOneEtcdSeeEachOther(t *testing.T) {
	share(t, datastoretest.Etcd(t))
}

func share(t *testing.T, endpoint string) {
	a := open(t, datastore.Options{Endpoint: endpoint})
	b := open(t, datastore.Options{Endpoint: endpoint})
	if !a.External() {
		t.Error("an external store says that it is ours alone")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	reader := client(t, b)
	watch := reader.Watch(ctx, "/registry/", clientv3.WithPrefix(), clientv3.WithCreatedNotify())
	<-watch
	create(t, client(t, a), "/registry/shared", "written by one")
	if got := value(t, reader, "/registry/shared"); got != "written by one" {
		t.Errorf("the other reads %q", got)
	}
	for event := range watch {
		if len(event.Events) > 0 {
			if got := string(event.Events[0].Kv.Value); got != "written by one" {
				t.Errorf("the other's watch got %q", got)
			}
			return
		}
	}
	t.Error("the other's watch ended without the event")
}

// Connections that close at the same time leave SQLite's log to each other, and a canceled query
// holds its own a little longer.
func TestCleanEndLeavesNoLog(t *testing.T) {
	for range 20 {
		dir := filled(t)
		if left, _ := filepath.Glob(filepath.Join(dir, "state.db-*")); len(left) > 0 {
			t.Fatal(left)
		}
	}
}
