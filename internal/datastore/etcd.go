package datastore

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"rancherdesktop.io/rdd/internal/diag"
)

// openEtcd checks that the cluster answers and hands its addresses on: the
// control plane speaks etcd itself.
func openEtcd(ctx context.Context, endpoint string) (*Store, error) {
	s, err := etcdStore(endpoint)
	if err != nil {
		return nil, err
	}
	if err := s.ping(ctx); err != nil {
		return nil, diag.Errorf(diag.DatastoreUnreachable, "datastore etcd at %s doesn't answer: %w; check the address, that etcd runs, and its certificates",
			strings.Join(s.Servers, ", "), err)
	}
	return s, nil
}

func etcdStore(endpoint string) (*Store, error) {
	s := &Store{external: true, close: func() error { return nil }}
	for part := range strings.SplitSeq(endpoint, ",") {
		u, err := url.Parse(strings.TrimSpace(part))
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return nil, errors.New("datastore endpoint: not a list of etcd URLs such as https://HOST:2379,https://OTHER:2379")
		}
		if u.User != nil {
			return nil, errors.New("datastore endpoint: etcd takes no user and password here; use a client certificate (?sslcert=FILE&sslkey=FILE&sslrootcert=FILE)")
		}
		s.Servers = append(s.Servers, u.Scheme+"://"+u.Host)
		q := u.Query()
		set := func(field *string, name string) {
			if v := q.Get(name); v != "" {
				*field = v
			}
		}
		set(&s.CertFile, "sslcert")
		set(&s.KeyFile, "sslkey")
		set(&s.CAFile, "sslrootcert")
	}
	return s, nil
}

// ping asks the cluster for a key, once.
func (s *Store) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, openTimeout, fmt.Errorf("no answer within %v: %w", openTimeout, context.DeadlineExceeded))
	defer cancel()
	config := clientv3.Config{Context: ctx, Endpoints: s.Servers, Logger: zap.NewNop(), DialOptions: []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}}
	if strings.HasPrefix(s.Servers[0], "https://") {
		tls, err := transport.TLSInfo{CertFile: s.CertFile, KeyFile: s.KeyFile, TrustedCAFile: s.CAFile}.ClientConfig()
		if err != nil {
			return err
		}
		config.TLS, config.DialOptions = tls, nil
	}
	client, err := clientv3.New(config)
	if err != nil {
		return err
	}
	defer client.Close()
	if _, err := client.Get(ctx, "health"); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		return err
	}
	return nil
}
