package server

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"rancherdesktop.io/rdd/internal/controlplane"
	"rancherdesktop.io/rdd/internal/datastore"
	"rancherdesktop.io/rdd/internal/datastore/storefile"
	"rancherdesktop.io/rdd/internal/diag"
	"rancherdesktop.io/rdd/internal/instance"
	"rancherdesktop.io/rdd/internal/lifecycle"
)

// The errors are made as they come about, not written down here.
func TestOurErrorsAreKnownProblems(t *testing.T) {
	dir := t.TempDir()
	at := func(parts ...string) instance.Instance {
		home := filepath.Join(append([]string{dir}, parts...)...)
		return instance.At(home, "i", filepath.Join(home, "libexec"))
	}
	file := filepath.Join(dir, "file")
	write := func(path, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(file, "")
	for want, errs := range map[diag.ID][]func(context.Context) error{
		diag.SocketPathTooLong: {func(context.Context) error { return at(strings.Repeat("a", 110)).Check() }},
		diag.HomeUnusable:      {func(context.Context) error { return at("a:b").CheckHome() }, func(context.Context) error { return at("\xff").CheckHome() }},
		diag.InstallBroken:     {func(context.Context) error { _, err := at("home").Program("rddd"); return err }},
		diag.FilesPermission:   {func(context.Context) error { return at("file", "home").MakeDirs() }},
		diag.DatastoreDamaged: {func(context.Context) error {
			store := at("damaged").StoreDir()
			write(storefile.Database(store), "not a database at all")
			return storefile.Check(store)
		}},
		diag.ConfigDamaged: {func(context.Context) error {
			write(at("config").ConfigFile(), "{")
			_, err := lifecycle.LoadConfig(at("config"))
			return err
		}},
		diag.DatastoreUnreachable: {
			func(ctx context.Context) error { return open(ctx, "postgres://me:secret@127.0.0.1:1/x") },
			func(ctx context.Context) error { return open(ctx, "http://127.0.0.1:1") },
		},
		diag.PortInUse: {func(ctx context.Context) error {
			taken, err := net.Listen("tcp", net.JoinHostPort(instance.Loopback(), "0"))
			if err != nil {
				t.Fatal(err)
			}
			defer taken.Close()
			store, err := datastore.Open(ctx, datastore.Options{Dir: filepath.Join(dir, "store")})
			if err != nil {
				t.Fatal(err)
			}
			defer store.Close()
			_, port, _ := net.SplitHostPort(taken.Addr().String())
			n, _ := strconv.Atoi(port)
			_, err = controlplane.New(ctx, controlplane.Config{Dir: filepath.Join(dir, "controlplane"), Port: n, Store: store})
			return err
		}},
	} {
		for _, fail := range errs {
			err := fail(t.Context())
			if p, _ := diag.Of(err); p.ID != want {
				t.Errorf("%v: known as %q, want %q", err, p.ID, want)
			}
		}
	}
}

// open opens an external datastore.
func open(ctx context.Context, endpoint string) error {
	store, err := datastore.Open(ctx, datastore.Options{Endpoint: endpoint})
	if err == nil {
		err = store.Close()
	}
	return err
}
