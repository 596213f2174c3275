package diagnose

import (
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

// checkDatastore looks whether the control plane's objects are where they should be, without opening
// the database.
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
		return []Finding{ok("there is none yet")}
	case damaged:
		return []Finding{problem(SeverityProblem, diag.DatastoreDamaged, "%v", err)}
	case err != nil:
		return []Finding{problemOfError(SeverityProblem, diag.FilesPermission, err)}
	}
	return []Finding{ok("%s", storefile.Database(i.inst.StoreDir()))}
}

// checkEndpoint connects to an external store. What it says never holds a password.
func checkEndpoint(ctx context.Context, endpoint string) []Finding {
	var all []Finding
	for part := range strings.SplitSeq(endpoint, ",") {
		u, err := url.Parse(part)
		if err != nil {
			continue // LoadConfig has checked it
		}
		address := u.Host
		if u.Port() == "" {
			address = net.JoinHostPort(u.Hostname(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
			if strings.HasPrefix(u.Scheme, "postgres") {
				address = net.JoinHostPort(u.Hostname(), "5432")
			}
		}
		d := net.Dialer{Timeout: externalDialTimeout}
		conn, err := d.DialContext(ctx, "tcp", address)
		if err != nil {
			all = append(all, problem(SeverityProblem, diag.DatastoreUnreachable, "the store at %s can't be reached: %v", address, err))
			continue
		}
		conn.Close()
		all = append(all, ok("the store at %s accepts connections", address))
	}
	return all
}
