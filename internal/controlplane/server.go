package controlplane

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	apiextensionsserver "k8s.io/apiextensions-apiserver/pkg/apiserver"
	genericserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

const (
	// startTimeout bounds the time from Run to Ready.
	startTimeout = 30 * time.Second
	// stopTimeout bounds the wait for our own controllers at the end.
	stopTimeout = 2 * time.Second
)

// Server is a control plane. It listens from New on, and serves while Run runs.
type Server struct {
	config   Config
	identity identity
	listener net.Listener
	loopback *loopback
	live     live

	native    *genericserver.GenericAPIServer
	custom    *apiextensionsserver.CustomResourceDefinitions
	client    kubernetes.Interface // protobuf, over the loopback
	informers informers.SharedInformerFactory
	serve     func(context.Context) error

	installed chan struct{} // closed when all kinds are served
	ready     chan struct{}
}

// New makes a server and opens its port, on loopback: the configured one, or else the
// one of the last run if it is free. The error is a *PortError when the configured one
// can't be had. A server that was made must be run, which closes the port at the end.
func New(ctx context.Context, c Config) (*Server, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	id, err := loadIdentity(c.Dir)
	if err != nil {
		return nil, fmt.Errorf("control plane identity: %w", err)
	}
	listener, err := listen(c.Dir, c.Port)
	if err != nil {
		return nil, fmt.Errorf("control plane: %w", err)
	}
	s := &Server{config: c, identity: id, listener: listener, loopback: newLoopback(), installed: make(chan struct{}), ready: make(chan struct{})}
	c.step("building the API server")
	if err := s.build(); err != nil {
		return nil, errors.Join(fmt.Errorf("build the API server: %w", err), listener.Close())
	}
	return s, nil
}

// Ready is closed when the definitions are established, the namespaces exist and the
// controllers of the control plane run.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// Loopback is a configuration for clients in this process. It works while Run runs.
func (s *Server) Loopback() *rest.Config { return rest.CopyConfig(s.loopback.config) }

// Endpoint is how others reach the server.
func (s *Server) Endpoint() Endpoint {
	return Endpoint{URL: "https://" + s.listener.Addr().String(), CA: s.identity.cert, Token: s.identity.token}
}

// Run serves until ctx ends, then lets requests finish and ends the watches, and
// returns nil. It returns an error when the server can't start or stops by itself.
func (s *Server) Run(ctx context.Context) error {
	// The server outlives its controllers, which need it to end well.
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	s.loopback.serve(s.native.Handler)
	defer s.loopback.close()
	s.syncInformers(serving)
	go s.awaitInstalled(serving.Done())
	served := make(chan error, 1)
	go func() { served <- s.serve(serving) }()

	controlling, quit := context.WithCancelCause(ctx)
	defer quit(nil)
	var controllers sync.WaitGroup
	controllers.Go(func() {
		if err := s.start(controlling, &controllers); err != nil {
			quit(fmt.Errorf("start the control plane: %w", err))
			return
		}
		close(s.ready)
	})

	select {
	case err := <-served:
		return errors.Join(errors.New("the API server stopped by itself"), err)
	case <-controlling.Done():
	}
	var failed error
	if ctx.Err() == nil {
		failed = context.Cause(controlling)
	}
	awaitControllers(&controllers)
	stop()
	return errors.Join(failed, <-served)
}

// start brings a serving API server to Ready. What it leaves running ends with ctx.
func (s *Server) start(ctx context.Context, controllers *sync.WaitGroup) error {
	limited, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("not ready after %v: %w", startTimeout, context.DeadlineExceeded))
	defer cancel()
	s.config.step("making namespaces")
	if err := s.makeNamespaces(limited); err != nil {
		return err
	}
	s.config.step("establishing custom resources")
	if err := s.applyDefinitions(limited); err != nil {
		return err
	}
	if err := s.restoreDefinitions(ctx, controllers); err != nil {
		return err
	}
	s.config.step("starting the namespace controller and the garbage collector")
	if err := s.startNamespaceController(ctx, controllers); err != nil {
		return err
	}
	return s.startGarbageCollector(ctx, controllers)
}

// syncInformers waits for the server's own informers before its start hooks run, which
// check them only every 100 ms.
func (s *Server) syncInformers(ctx context.Context) {
	s.custom.Informers.Start(ctx.Done())
	s.informers.Start(ctx.Done())
	limited, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	s.custom.Informers.WaitForCacheSync(limited.Done())
	s.informers.WaitForCacheSync(limited.Done())
}

func awaitControllers(controllers *sync.WaitGroup) {
	done := make(chan struct{})
	go func() { controllers.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(stopTimeout):
	}
}

// handle adds the configured paths.
func (s *Server) handle(handlers map[string]http.Handler) {
	mux := s.native.Handler.NonGoRestfulMux
	for path, handler := range handlers {
		if strings.HasSuffix(path, "/") {
			mux.HandlePrefix(path, handler)
			continue
		}
		mux.Handle(path, handler)
	}
}
