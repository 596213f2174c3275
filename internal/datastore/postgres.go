package datastore

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/k3s-io/kine/pkg/drivers/pgsql"

	"rancherdesktop.io/rdd/internal/diag"
)

// postgresPollInterval is how soon this process sees what another wrote.
const postgresPollInterval = 200 * time.Millisecond

// openPostgres checks that the database server answers, then starts kine on it. kine
// alone would try for five minutes.
func openPostgres(ctx context.Context, endpoint string) (*Store, error) {
	// The parser's own error may quote a part of the password.
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" {
		return nil, errors.New("datastore endpoint: not a PostgreSQL URL such as postgres://USER:PASSWORD@HOST:5432/DATABASE; special characters in it must be percent-encoded")
	}
	if err := pingPostgres(ctx, *u); err != nil {
		return nil, diag.Errorf(diag.DatastoreUnreachable, "datastore PostgreSQL at %s doesn't answer: %w; check the address, the user and that the server runs", u.Host, err)
	}
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	store := inProcess{cancel: cancel, work: &sync.WaitGroup{}}
	config := tuning(postgresPollInterval)
	config.ConnectionPoolConfig.MaxIdle = 5
	config.ConnectionPoolConfig.MaxOpen = 20
	config.Scheme, config.DataSourceName, _ = strings.Cut(endpoint, "://")
	late := time.AfterFunc(openTimeout, cancel)
	if _, store.backend, err = pgsql.New(life, store.work, config); err == nil {
		err = store.backend.Start(life)
	}
	if err != nil || !late.Stop() {
		return nil, errors.Join(diag.Errorf(diag.DatastoreUnreachable, "datastore PostgreSQL at %s, database %q: %w", u.Host, strings.TrimPrefix(u.Path, "/"), err), store.end())
	}
	s := store.store()
	s.external = true
	return s, nil
}

// pingPostgres connects to the server once: to its maintenance database, since kine makes
// the wanted one, or else to that.
func pingPostgres(ctx context.Context, u url.URL) error {
	ctx, cancel := context.WithTimeoutCause(ctx, openTimeout, fmt.Errorf("no answer within %v: %w", openTimeout, context.DeadlineExceeded))
	defer cancel()
	var refused error
	for _, database := range []string{"/postgres", u.Path} {
		u.Path = database
		conn, err := pgx.Connect(ctx, u.String())
		if err == nil {
			return conn.Close(ctx)
		}
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		refused = err
	}
	return refused
}
