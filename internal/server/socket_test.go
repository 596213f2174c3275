package server_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"rancherdesktop.io/rdd/internal/instance"
	"rancherdesktop.io/rdd/internal/lifecycle"
	"rancherdesktop.io/rdd/internal/testenv"
)

// askEngine sends a request to the engine's socket.
func askEngine(t *testing.T, inst instance.Instance) (status int, body string) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", inst.DockerSocket())
	}}}
	response, err := client.Get("http://docker/info")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(b)
}

func TestEngineSocketIsThereWhileTheServiceLives(t *testing.T) {
	inst := newInstance(t)
	r := start(t, inst, "one", lifecycle.Config{})
	r.awaitReady()
	if status, body := askEngine(t, inst); status != http.StatusServiceUnavailable || !strings.Contains(body, "rdd --instance t start") {
		t.Errorf("%d %s", status, body)
	}
	r.stop()
	if _, err := os.Lstat(inst.DockerSocket()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
}

func TestListOfContainersSaysHowToStartTheEngine(t *testing.T) {
	inst := newInstance(t)
	r := start(t, inst, "one", lifecycle.Config{})
	r.awaitReady()
	defer r.stop()
	config, err := clientcmd.BuildConfigFromFlags("", inst.KubeConfig())
	if err != nil {
		t.Fatal(err)
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, "the list says how to start the engine", func() bool {
		response, err := client.Get(config.Host + "/apis/containers.rancherdesktop.io/v1alpha1/containers")
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		return strings.Contains(response.Header.Get("Warning"), "rdd --instance t start")
	})
}

func TestServiceStartsThoughTheEngineSocketIsInUse(t *testing.T) {
	inst := newInstance(t)
	other, err := net.Listen("unix", inst.DockerSocket())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	r := start(t, inst, "one", lifecycle.Config{})
	r.awaitReady()
	r.stop()
	if _, err := os.Lstat(inst.DockerSocket()); err != nil {
		t.Errorf("the other program's socket was removed: %v", err)
	}
}

// Without the controller of the App there is no engine that could be started.
func TestNoEngineSocketWithoutTheApp(t *testing.T) {
	inst := newInstance(t)
	r := start(t, inst, "one", lifecycle.Config{Controllers: []string{"-app"}})
	r.awaitReady()
	if _, err := os.Lstat(inst.DockerSocket()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("there is a socket: %v", err)
	}
	r.stop()
}
