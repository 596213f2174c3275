package limavm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
	"rancherdesktop.io/rdd/internal/machine"
	"rancherdesktop.io/rdd/internal/wait"
)

// badConnection is a connection to the real server through a proxy that cuts its connections. Its transport causes one fault on
// each watch.
type badConnection struct {
	proxy  net.Listener
	base   http.RoundTripper
	faults []string
	change func() // called once: while the watch is down, or without faults once it is up
	once   sync.Once

	mu      sync.Mutex
	watches int
	conns   []*net.TCPConn
}

// The faults.
const (
	closed = "the server closes it"
	gone   = "410 Gone"
	cut    = "a proxy resets the connection"
)

func (env *testEnv) badConnection(t *testing.T, change func(), faults ...string) (*badConnection, dynamic.Interface) {
	t.Helper()
	proxy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &badConnection{proxy: proxy, faults: faults, change: change}
	t.Cleanup(func() { proxy.Close(); l.cut() })
	go l.serve(strings.TrimPrefix(env.config.Host, "https://"))
	config := rest.CopyConfig(env.config)
	config.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, proxy.Addr().String())
	}
	config.Wrap(func(base http.RoundTripper) http.RoundTripper { l.base = base; return l })
	c, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return l, c
}

// serve passes bytes on, both ways.
func (l *badConnection) serve(server string) {
	for {
		near, err := l.proxy.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", server)
		if err != nil {
			near.Close()
			return
		}
		l.mu.Lock()
		l.conns = append(l.conns, near.(*net.TCPConn), far.(*net.TCPConn))
		l.mu.Unlock()
		go func() { _, _ = io.Copy(near, far); near.Close() }()
		go func() { _, _ = io.Copy(far, near); far.Close() }()
	}
}

// cut resets every connection.
func (l *badConnection) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.conns {
		_ = c.SetLinger(0)
		_ = c.Close()
	}
	l.conns = nil
}

// RoundTrip implements http.RoundTripper.
func (l *badConnection) RoundTrip(r *http.Request) (*http.Response, error) {
	query := r.URL.Query()
	if query.Get("watch") == "" {
		if l.down() {
			l.once.Do(l.change)
		}
		return l.base.RoundTrip(r)
	}
	switch fault := l.next(); fault {
	case closed:
		r = r.Clone(r.Context())
		query.Set("timeoutSeconds", "1")
		r.URL.RawQuery = query.Encode()
	case gone:
		body := `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Expired","message":"too old resource version","code":410}`
		return &http.Response{Status: "410 Gone", StatusCode: http.StatusGone, Proto: "HTTP/2.0", ProtoMajor: 2, Request: r,
			Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body))}, nil
	case cut:
		answer, err := l.base.RoundTrip(r)
		l.cut()
		return answer, err
	}
	answer, err := l.base.RoundTrip(r)
	if len(l.faults) == 0 && err == nil {
		go l.once.Do(l.change)
	}
	return answer, err
}

// next returns the fault of the watch that begins now.
func (l *badConnection) next() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.watches++
	if l.watches > len(l.faults) {
		return ""
	}
	return l.faults[l.watches-1]
}

// down reports whether the last fault has happened and no watch has begun since.
func (l *badConnection) down() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.faults) > 0 && l.watches == len(l.faults)
}

// waitOver waits through client c, as the core does.
func waitOver(t *testing.T, c dynamic.Interface, name string, judge func(*v1alpha1.LimaVM) (bool, error)) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	vms := c.Resource(v1alpha1.GroupVersion.WithResource(v1alpha1.Resource))
	return wait.Until(ctx, vms, name, func(o *unstructured.Unstructured) (bool, error) {
		if o == nil {
			return judge(nil)
		}
		vm := &v1alpha1.LimaVM{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, vm); err != nil {
			return false, err
		}
		return judge(vm)
	})
}

// testDroppedWatches ends a wait in each way while the watch is up, and while it is down after three drops
// of different kinds.
func testDroppedWatches(t *testing.T, env *testEnv) {
	env.machines.beSlow(true)
	defer env.machines.beSlow(false)
	ends := map[string]struct {
		change func(vm *v1alpha1.LimaVM)
		want   func(error) bool
	}{
		"it runs":  {func(vm *v1alpha1.LimaVM) { env.machines.advance(vm.Name); env.machines.advance(vm.Name) }, func(err error) bool { return err == nil }},
		"it fails": {func(vm *v1alpha1.LimaVM) { env.machines.fail(vm.Name, machine.Stopped, true) }, isFailed},
		"it is deleted": {func(vm *v1alpha1.LimaVM) {
			env.machines.fail(vm.Name, machine.Absent, false)
			env.gone(t, vm)
		}, isDeleted},
		"it is deleted and made again": {func(vm *v1alpha1.LimaVM) {
			env.machines.fail(vm.Name, machine.Absent, false)
			env.gone(t, vm)
			if err := env.Create(context.Background(), env.newVM(vm.Name, runs)); err != nil {
				t.Error(err)
			}
		}, isDeleted},
	}
	i := 0
	for name, end := range ends {
		for _, faults := range [][]string{nil, {closed, gone, cut}} {
			i++
			t.Run(fmt.Sprintf("%s, %d drops", name, len(faults)), func(t *testing.T) {
				vm := env.createVM(t, env.newVM(fmt.Sprintf("dropped-%d", i), runs))
				t.Cleanup(func() { env.machines.fail(vm.Name, machine.Absent, false) })
				env.machines.await(t, vm.Name, machine.Start, 1)
				_, c := env.badConnection(t, func() { end.change(vm) }, faults...)
				if err := waitOver(t, c, vm.Name, vm.Expectation().Running); !end.want(err) {
					t.Errorf("the wait ended with %v", err)
				}
			})
		}
	}
}

// gone deletes a VM and waits until it is gone.
func (env *testEnv) gone(t *testing.T, vm *v1alpha1.LimaVM) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if err := env.Delete(ctx, vm); err != nil {
		t.Error(err)
	}
	if err := env.follow(t, vm.Name, vm.Expectation().Deleted); err != nil {
		t.Error(err)
	}
}

func isFailed(err error) bool {
	_, ok := errors.AsType[*v1alpha1.FailedError](err)
	return ok
}

func isDeleted(err error) bool {
	return errors.Is(err, v1alpha1.ErrDeleted) && strings.Contains(err.Error(), "was deleted while waiting")
}

// testJoinedWaits waits for one start with two clients.
func testJoinedWaits(t *testing.T, env *testEnv) {
	env.machines.beSlow(true)
	defer env.machines.beSlow(false)
	vm := env.createVM(t, env.newVM("joined", runs))
	var group sync.WaitGroup
	up := make(chan struct{}, 2)
	for _, judge := range []func(*v1alpha1.LimaVM) (bool, error){vm.Expectation().Running, vm.Expectation().Created} {
		group.Go(func() {
			_, c := env.badConnection(t, func() { up <- struct{}{} })
			if err := waitOver(t, c, vm.Name, judge); err != nil {
				t.Error(err)
			}
		})
	}
	<-up
	<-up
	env.machines.await(t, vm.Name, machine.Start, 1)
	env.machines.advance(vm.Name)
	env.machines.advance(vm.Name)
	group.Wait()
	env.machines.beSlow(false)
}
