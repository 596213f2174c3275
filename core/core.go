// Package core is the library that all clients of an instance use: the CLI, the tray, the window and the web page call the
// same functions and wait in the same way. It is a client of the service.
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

// Core gives access to one instance.
type Core struct {
	inst     instance.Instance
	version  string
	logLevel string // of a service that this core starts; empty: as in the settings
	log      *slog.Logger
}

// New returns the core of inst. version is that of the calling program.
func New(inst instance.Instance, version string) *Core {
	return &Core{inst, version, inst.LogLevel(), slog.New(slog.DiscardHandler)}
}

// Opener returns a function that opens the core of the instance with the name. An empty name stands for RDD_INSTANCE.
func Opener(version string) func(name string) (*Core, error) {
	return func(name string) (*Core, error) {
		inst, err := instance.Resolve(name)
		return New(inst, version), err
	}
}

// Instance returns the instance.
func (c *Core) Instance() instance.Instance { return c.inst }

// Version returns the version of the calling program.
func (c *Core) Version() string { return c.version }

// Service returns the instance's background service.
func (c *Core) Service() *Service { return &Service{c} }

// Session is a connection to a service that was ready when the session began.
type Session struct {
	core   *Core
	client dynamic.Interface
}

// helloTimeout limits a request for the greeting, which the server answers from memory.
const helloTimeout = 5 * time.Second

// Connect returns a session with the running service. It starts nothing. The error wraps ErrNotRunning when no service
// runs, and a *ChangingError while it starts or stops.
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

// ConnectApp is Connect for work on the App. Its errors say how to start the App instead of the service.
func (c *Core) ConnectApp(ctx context.Context) (*Session, error) {
	session, err := c.Connect(ctx)
	if changing, ok := errors.AsType[*ChangingError](err); ok {
		return nil, errors.New("the App is not running: " + changing.remedy("rdd start"))
	}
	if errors.Is(err, ErrNotRunning) {
		return nil, errAppNotRunning
	}
	return session, err
}

// ready returns the record of a run that reports itself as ready. The errors are those of Connect.
func (c *Core) ready() (lifecycle.Record, error) {
	rec, live, err := lifecycle.Find(c.inst)
	switch {
	case err != nil:
		return rec, err
	case !live:
		return rec, ErrNotRunning
	case rec.Nonce == "" || rec.Phase != lifecycle.Ready:
		return rec, &ChangingError{rec.Phase, rec.Step}
	}
	return rec, nil
}

// Ensure returns a session with the service, and starts the service if it doesn't run. No other function starts the service
// without an explicit request.
func (c *Core) Ensure(ctx context.Context, w Wait) (*Session, error) {
	if rec, err := c.ready(); err != nil || c.hello(ctx, rec) != nil {
		if _, err := c.Service().Start(ctx, w); err != nil {
			return nil, err
		}
	}
	return c.session()
}

func (c *Core) session() (*Session, error) {
	session := &Session{core: c}
	config, err := c.RESTConfig()
	if err == nil {
		session.client, err = dynamic.NewForConfig(config)
	}
	return session, Failed("connect to service", c.inst.Name, err)
}

// RESTConfig returns the configuration of a Kubernetes client for the API server of the running or last service.
func (c *Core) RESTConfig() (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", c.inst.KubeConfig())
	if err != nil {
		return nil, err
	}
	config.QPS = -1 // the commands of one user need no client-side limit
	config.UserAgent = "rdd/" + c.version
	config.WarningHandlerWithContext = warningHandler{}
	config.Wrap(c.logged)
	return config, nil
}

// hello requests the server's greeting and checks that it is from the run in rec and has our protocol version.
func (c *Core) hello(ctx context.Context, rec lifecycle.Record) error {
	config, err := c.RESTConfig()
	if err != nil {
		return err
	}
	c.log.Debug("ask the service whether it is ready", "server", rec.Server)
	ctx, cancel := context.WithTimeoutCause(ctx, helloTimeout, fmt.Errorf("%w: %s did not answer within %s", context.DeadlineExceeded, rec.Server, helloTimeout))
	defer cancel()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(config.CAData)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}, DisableKeepAlives: true}
	var greeting lifecycle.Greeting
	if err := getJSON(ctx, transport, rec.Server+lifecycle.HelloPath, "Authorization", "Bearer "+config.BearerToken, &greeting); err != nil {
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

// getJSON requests a JSON document, with one header.
func getJSON(ctx context.Context, transport http.RoundTripper, url, header, value string, to any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Header.Set(header, value)
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s responded with %s", url, resp.Status)
	}
	return json.NewDecoder(io.LimitReader(resp.Body, 16<<20)).Decode(to)
}

// Ready reports why the service can't be used now. It only reads the service's record.
func (s *Service) Ready() error {
	_, err := s.core.ready()
	return Failed("connect to service", s.core.inst.Name, err)
}

// Path is one of an instance's paths with its name.
type Path = instance.Path

// DefaultInstance is the name of the instance that is used when none is named.
const DefaultInstance = instance.Default

// Instances names the instances that exist on this computer.
func Instances() ([]string, error) {
	names, err := instance.List()
	return names, Failed("list instances", "", err)
}

// Loopback is the address that RDD's own servers on this computer listen on.
func Loopback() string { return instance.Loopback() }
