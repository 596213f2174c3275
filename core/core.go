// Package core is what every client of an instance uses: the CLI, the tray and the window call
// the same functions and wait in the same way. It talks to the service; it never is the service.
package core

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"rancherdesktop.io/rdd/internal/diag"
	"rancherdesktop.io/rdd/internal/instance"
	"rancherdesktop.io/rdd/internal/lifecycle"
)

// Core is one instance as its clients see it.
type Core struct {
	inst     instance.Instance
	version  string
	logLevel string // of a service that this core starts; empty: the settings'
	log      *slog.Logger
}

// New returns the core of inst. version is the calling program's.
func New(inst instance.Instance, version string) *Core {
	return &Core{inst, version, inst.LogLevel(), slog.New(slog.DiscardHandler)}
}

// Opener returns what mains open cores with: of the instance called name, or of the one that RDD_INSTANCE names.
func Opener(version string) func(name string) (*Core, error) {
	return func(name string) (*Core, error) {
		inst, err := instance.Resolve(name)
		return New(inst, version), err
	}
}

// Instance is the instance that this core serves.
func (c *Core) Instance() instance.Instance { return c.inst }

// Version is the calling program's.
func (c *Core) Version() string { return c.version }

// Service is the instance's background service.
func (c *Core) Service() *Service { return &Service{c} }

// Session is a connection to a service that was ready when it was made.
type Session struct {
	core   *Core
	client dynamic.Interface
}

// helloTimeout bounds one hello; the server answers from memory.
const helloTimeout = 5 * time.Second

// Connect returns a session with the running service. It never starts anything: the error wraps
// ErrNotRunning when there is nothing to connect to.
func (c *Core) Connect(ctx context.Context) (*Session, error) {
	rec, err := c.ready()
	if err == nil {
		err = c.hello(ctx, rec)
	}
	if err != nil {
		return nil, Failed("connect to service", c.inst.Name, err)
	}
	return c.session()
}

// ready returns the record of a run that says that it is ready. The error wraps ErrNotRunning when none lives.
func (c *Core) ready() (lifecycle.Record, error) {
	rec, live, err := lifecycle.Find(c.inst)
	switch {
	case err != nil:
		return rec, err
	case !live:
		return rec, ErrNotRunning
	case rec.Nonce == "":
		return rec, errors.New("the service is just starting or stopping; wait for it with: rdd svc start")
	case rec.Phase != lifecycle.Ready:
		return rec, fmt.Errorf("the service is %s (%s); wait for it with: rdd svc start", rec.Phase, rec.Step)
	}
	return rec, nil
}

// Ensure returns a session with the service, and starts it when it does not run. It is the only
// function that starts a service nobody asked for by name.
func (c *Core) Ensure(ctx context.Context, w Wait) (*Session, error) {
	rec, live, err := lifecycle.Find(c.inst)
	if err != nil || !live || rec.Phase != lifecycle.Ready || c.hello(ctx, rec) != nil {
		if _, err := c.Service().Start(ctx, w); err != nil {
			return nil, err
		}
	}
	return c.session()
}

func (c *Core) session() (*Session, error) {
	config, err := c.RESTConfig()
	if err != nil {
		return nil, Failed("connect to service", c.inst.Name, err)
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, Failed("connect to service", c.inst.Name, err)
	}
	return &Session{c, client}, nil
}

// RESTConfig is how a Kubernetes client reaches the API server of the last or running service.
func (c *Core) RESTConfig() (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", c.inst.KubeConfig())
	if err != nil {
		return nil, err
	}
	config.QPS = -1 // one user's commands need no client-side limit
	config.UserAgent = "rdd/" + c.version
	config.Wrap(c.logged)
	return config, nil
}

// hello asks the server in rec to say its nonce.
func (c *Core) hello(ctx context.Context, rec lifecycle.Record) error {
	config, err := c.RESTConfig()
	if err != nil {
		return err
	}
	c.log.Debug("ask the service whether it is ready", "server", rec.Server)
	ctx, cancel := context.WithTimeoutCause(ctx, helloTimeout, fmt.Errorf("%w: %s did not answer within %s", context.DeadlineExceeded, rec.Server, helloTimeout))
	defer cancel()
	greeting, err := askHello(ctx, config, rec.Server)
	if err != nil {
		return err
	}
	if greeting.Nonce != rec.Nonce {
		return fmt.Errorf("the server at %s belongs to another run of the service", rec.Server)
	}
	if greeting.Protocol != lifecycle.Protocol {
		return &lifecycle.Refused{Err: &Error{Kind: Incompatible, Op: "connect to service", Object: c.inst.Name,
			Err: diag.Errorf(diag.VersionMismatch, "the running service is version %s (protocol %d), this program is %s (protocol %d): restart it with: rdd svc restart",
				greeting.Version, greeting.Protocol, c.version, lifecycle.Protocol)}}
	}
	return nil
}

func askHello(ctx context.Context, config *rest.Config, server string) (g lifecycle.Greeting, err error) {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(config.CAData)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}, DisableKeepAlives: true}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server+lifecycle.HelloPath, nil)
	if err != nil {
		return g, err
	}
	req.Header.Set("Authorization", "Bearer "+config.BearerToken)
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return g, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return g, fmt.Errorf("%s answers %s", server, resp.Status)
	}
	return g, json.NewDecoder(io.LimitReader(resp.Body, 1<<16)).Decode(&g)
}

// Ready says why nobody can use the service now; nil when it says itself that it is ready. It asks no server.
func (s *Service) Ready() error {
	_, err := s.core.ready()
	return Failed("connect to service", s.core.inst.Name, err)
}

// Path is one of an instance's paths, with its name.
type Path = instance.Path

// DefaultInstance is the instance that is meant when none is named.
const DefaultInstance = instance.Default

// Instances names the instances that exist on this machine.
func Instances() ([]string, error) {
	names, err := instance.List()
	return names, Failed("list instances", "", err)
}

// Loopback is the address that RDD's own servers on this computer listen on.
func Loopback() string { return instance.Loopback() }
