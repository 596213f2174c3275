package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// service is the service of an instance that has a home directory of its own.
type service struct {
	name string
	home string
	rdd  string // path of the program
	peak string

	libexec string // RDD_LIBEXEC; empty: the programs beside rdd
}

// env selects the instance and its home for rdd and all that it starts.
func (s *service) env() map[string]string {
	env := map[string]string{"HOME": s.home, "RDD_INSTANCE": s.name}
	if s.libexec != "" {
		env["RDD_LIBEXEC"] = s.libexec
	}
	return env
}

// run runs rdd for this instance.
func (s *service) run(ctx context.Context, args ...string) (cost, []byte, error) {
	return measure(ctx, s.peak, s.env(), append([]string{s.rdd}, args...)...)
}

// timed runs rdd for this instance and returns how long it took.
func (s *service) timed(ctx context.Context, args ...string) (time.Duration, error) {
	c, _, err := s.run(ctx, args...)
	return c.Wall, err
}

func (s *service) start(ctx context.Context) (time.Duration, error) {
	return s.timed(ctx, "svc", "start")
}

func (s *service) stop(ctx context.Context) (time.Duration, error) {
	return s.timed(ctx, "svc", "stop")
}

// stopWatched stops the service while a client watches, and returns how long that took. It fails when
// the watch does not end cleanly.
func (s *service) stopWatched(ctx context.Context) (time.Duration, error) {
	config, err := s.config(ctx)
	if err != nil {
		return 0, err
	}
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return 0, err
	}
	watch, err := client.RESTClient().Get().AbsPath("/api/v1/configmaps").Param("watch", "1").Stream(ctx)
	if err != nil {
		return 0, fmt.Errorf("watch ConfigMaps: %w", err)
	}
	defer watch.Close()
	var watching errgroup.Group
	watching.Go(func() error {
		_, err := io.Copy(io.Discard, watch)
		return err
	})
	took, err := s.stop(ctx)
	if err != nil {
		return 0, err
	}
	if err := watching.Wait(); err != nil {
		return 0, fmt.Errorf("the watch did not end cleanly when the service stopped: %w", err)
	}
	return took, nil
}

// dialTimeout limits connecting to a service on this machine.
const dialTimeout = 10 * time.Second

// config returns the configuration of a client that shares no connection with another.
func (s *service) config(ctx context.Context) (*rest.Config, error) {
	_, kubeconfig, err := s.run(ctx, "svc", "config")
	if err != nil {
		return nil, err
	}
	config, err := clientcmd.RESTConfigFromKubeConfig(kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig that rdd svc config printed: %w", err)
	}
	config.QPS = -1
	config.Dial = (&net.Dialer{Timeout: dialTimeout}).DialContext // client-go shares no connection between two dialers
	return config, nil
}

// client returns a client with a connection of its own.
func (s *service) client(ctx context.Context) (*dynamic.DynamicClient, error) {
	config, err := s.config(ctx)
	if err != nil {
		return nil, err
	}
	return dynamic.NewForConfig(config)
}

// pid returns the process that serves the instance.
func (s *service) pid(ctx context.Context) (int, error) {
	_, out, err := s.run(ctx, "svc", "status", "--output", "json")
	if err != nil {
		return 0, err
	}
	var status struct {
		PID int `json:"pid"`
	}
	if err := json.Unmarshal(out, &status); err != nil || status.PID == 0 {
		return 0, fmt.Errorf("rdd svc status names no process: %s", out)
	}
	return status.PID, nil
}

// dockerSocket returns the path of the container engine's socket.
func (s *service) dockerSocket() string { return filepath.Join(s.home, ".rdd", s.name, "docker.sock") }

// path returns a path of the instance; key is one of those that rdd svc paths prints.
func (s *service) path(ctx context.Context, key string) (string, error) {
	_, out, err := s.run(ctx, "svc", "paths", "--output", "json")
	if err != nil {
		return "", err
	}
	var all []struct{ Key, Path string }
	if err := json.Unmarshal(out, &all); err != nil {
		return "", fmt.Errorf("read the paths that rdd svc paths printed: %w", err)
	}
	for _, p := range all {
		if p.Key == key {
			return p.Path, nil
		}
	}
	return "", fmt.Errorf("rdd svc paths names no %q: %s", key, out)
}

// newService creates an instance and starts nothing.
func (b *bench) newService() (*service, error) {
	b.created++
	s := &service{name: fmt.Sprintf("bench-%d", b.created), home: filepath.Join(b.dir, fmt.Sprint(b.created)), rdd: b.rdd, peak: b.peak}
	if err := os.Mkdir(s.home, 0o700); err != nil {
		return nil, err
	}
	b.services = append(b.services, s)
	return s, nil
}

// startService creates an instance and starts its service.
func (b *bench) startService(ctx context.Context) (*service, error) {
	s, err := b.newService()
	if err == nil {
		_, err = s.start(ctx)
	}
	return s, err
}

// remove stops a service and its VMs, and removes all their files.
func (b *bench) remove(ctx context.Context, s *service) error {
	if _, err := s.timed(ctx, "svc", "delete"); err != nil {
		return fmt.Errorf("%w (its files are left in %s)", err, s.home)
	}
	b.services = slices.DeleteFunc(b.services, func(other *service) bool { return other == s })
	return os.RemoveAll(s.home)
}

// each calls fn for all values at the same time.
func each[T any](all []T, fn func(T) error) error {
	var group errgroup.Group
	for _, one := range all {
		group.Go(func() error { return fn(one) })
	}
	return group.Wait()
}
