package diagnose

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"net"
	"net/url"
	"strings"

	"rancherdesktop.io/rdd/internal/datastore/storefile"
	"rancherdesktop.io/rdd/internal/diag"
	"rancherdesktop.io/rdd/internal/lifecycle"
)

// checkDatastore checks the control plane's database file without opening the database, or whether an external datastore
// can be reached.
func checkDatastore(ctx context.Context, i *inspection) []Finding {
	config, err := lifecycle.LoadConfig(i.inst)
	if err != nil {
		return []Finding{problemOfError(SeverityProblem, diag.FilesPermission, err)}
	}
	if config.DatastoreEndpoint != "" {
		return checkEndpoint(ctx, config.DatastoreEndpoint)
	}
	err = storefile.Check(i.inst.StoreDir())
	switch _, damaged := errors.AsType[*storefile.DamagedError](err); {
	case errors.Is(err, fs.ErrNotExist):
		return []Finding{ok("no database has been created yet")}
	case damaged:
		return []Finding{problem(SeverityProblem, diag.DatastoreDamaged, "%v", err)}
	case err != nil:
		return []Finding{problemOfError(SeverityProblem, diag.FilesPermission, err)}
	}
	return []Finding{ok("%s", storefile.Database(i.inst.StoreDir()))}
}

// checkEndpoint connects to an external datastore. Its findings never contain a password.
func checkEndpoint(ctx context.Context, endpoint string) []Finding {
	var all []Finding
	for part := range strings.SplitSeq(endpoint, ",") {
		u, err := url.Parse(part)
		if err != nil {
			continue // LoadConfig has checked it
		}
		port := cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443", "postgres": "5432", "postgresql": "5432"}[u.Scheme])
		address := net.JoinHostPort(u.Hostname(), port)
		if err := dial(ctx, address, externalDialTimeout); err != nil {
			all = append(all, problem(SeverityProblem, diag.DatastoreUnreachable, "the datastore at %s can't be reached: %v", address, err))
			continue
		}
		all = append(all, ok("the datastore at %s accepts connections", address))
	}
	return all
}
