// Package datastore is where the control plane keeps its objects: behind the etcd
// API, SQLite in a folder of its own, a PostgreSQL database, or an etcd cluster.
// The service opens it before the control plane and closes it after.
package datastore

import (
	"context"
	"fmt"
	"strings"
	"time"

	"go.etcd.io/etcd/client/v3/kubernetes"
)

// openTimeout bounds how long Open may take to reach an external store.
const openTimeout = 10 * time.Second

// Options say where the objects are kept.
type Options struct {
	// Dir holds the SQLite files; it is made, mode 0700, when missing.
	Dir string
	// Endpoint names an external store: a postgres:// URL, or the http(s):// URLs
	// of an etcd cluster, comma separated. Empty means SQLite in Dir.
	// The query parameters sslcert, sslkey and sslrootcert name the client's
	// certificate, its key and the authority to trust, in both cases.
	Endpoint string
}

// Store is an etcd API, in this process or outside.
type Store struct {
	// Client calls a store in this process, which drops old revisions by itself. It is
	// nil for an etcd cluster, which the rest is for.
	Client *kubernetes.Client

	Servers                   []string // of a cluster
	CertFile, KeyFile, CAFile string   // for a cluster over TLS; empty when unused

	external bool
	close    func() error
}

// Open opens or makes the store. It returns an error within some ten seconds when
// an external store doesn't answer. Errors never hold a password.
func Open(ctx context.Context, o Options) (*Store, error) {
	scheme, _, _ := strings.Cut(o.Endpoint, "://")
	switch {
	case o.Endpoint == "":
		return openSQLite(ctx, o.Dir)
	case scheme == "postgres" || scheme == "postgresql":
		return openPostgres(ctx, o.Endpoint)
	case scheme == "http" || scheme == "https":
		return openEtcd(ctx, o.Endpoint)
	}
	return nil, fmt.Errorf("datastore endpoint: unknown scheme; allowed are postgres://USER:PASSWORD@HOST:PORT/DATABASE, " +
		"http://HOST:PORT and https://HOST:PORT (etcd, several separated by commas)")
}

// Close ends the store's work and closes its files or connections. Call it after
// the last user of the store is gone. It returns within a few seconds.
func (s *Store) Close() error { return s.close() }

// External says whether others may write to the store too.
func (s *Store) External() bool { return s.external }
