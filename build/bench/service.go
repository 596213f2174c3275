package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// service is an instance of its own, in a home directory of its own.
type service struct {
	name string
	home string
	rdd  string // path of the program
	peak string

	libexec string // RDD_LIBEXEC; empty: the programs beside rdd
}

// env names the instance and its home to rdd and what it starts.
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

func (s *service) start(ctx context.Context) (cost, error) {
	c, _, err := s.run(ctx, "svc", "start")
	return c, err
}

func (s *service) stop(ctx context.Context) (cost, error) {
	c, _, err := s.run(ctx, "svc", "stop")
	return c, err
}

// stopWatched stops the service while a client watches, and says how long that took. It fails when
// the watch does not end cleanly.
func (s *service) stopWatched(ctx context.Context) (cost, error) {
	watch, err := s.openWatch(ctx)
	if err != nil {
		return cost{}, err
	}
	defer watch.Close()
	ended := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, watch)
		ended <- err
	}()
	c, err := s.stop(ctx)
	if err != nil {
		return c, err
	}
	if err := <-ended; err != nil {
		return c, fmt.Errorf("the watch did not end cleanly when the service stopped: %w", err)
	}
	return c, nil
}

// openWatch returns the stream of a watch that the server has accepted.
func (s *service) openWatch(ctx context.Context) (io.ReadCloser, error) {
	config, err := s.config(ctx)
	if err != nil {
		return nil, err
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, config.Host+"/api/v1/configmaps?watch=1", nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, fmt.Errorf("watch ConfigMaps: the server answers %s", resp.Status)
	}
	return resp.Body, nil
}

// dialTimeout bounds connecting to a service on this machine.
const dialTimeout = 10 * time.Second

// config lets a client in that shares no connection with another.
func (s *service) config(ctx context.Context) (*rest.Config, error) {
	_, kubeconfig, err := s.run(ctx, "svc", "config")
	if err != nil {
		return nil, err
	}
	config, err := clientcmd.RESTConfigFromKubeConfig(kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("read what rdd svc config printed: %w", err)
	}
	config.QPS = -1
	config.Dial = (&net.Dialer{Timeout: dialTimeout}).DialContext // a dialer of its own keeps client-go from sharing the connection
	return config, nil
}

// pid is the process that serves the instance.
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

// remove stops the service and its VMs and removes all that belongs to it.
func (s *service) remove(ctx context.Context) error {
	if _, _, err := s.run(ctx, "svc", "delete"); err != nil {
		return fmt.Errorf("%w (its files are left in %s)", err, s.home)
	}
	return os.RemoveAll(s.home)
}

// newService makes an instance and starts nothing.
func (b *bench) newService() (*service, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.made++
	s := &service{name: fmt.Sprintf("bench-%d", b.made), home: filepath.Join(b.dir, fmt.Sprint(b.made)), rdd: b.program("rdd"), peak: b.peak}
	if err := os.Mkdir(s.home, 0o700); err != nil {
		return nil, err
	}
	b.services = append(b.services, s)
	return s, nil
}

// startService makes an instance and starts its service.
func (b *bench) startService(ctx context.Context) (*service, error) {
	s, err := b.newService()
	if err == nil {
		_, err = s.start(ctx)
	}
	return s, err
}

// discard removes a service that has served its purpose.
func (b *bench) discard(ctx context.Context, s *service) error {
	if err := s.remove(ctx); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.services = slices.DeleteFunc(b.services, func(have *service) bool { return have == s })
	return nil
}
