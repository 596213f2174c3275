//go:build unix

package socket

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	version "github.com/containerd/containerd/api/services/version/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"rancherdesktop.io/rdd/internal/engine"
	"rancherdesktop.io/rdd/internal/testenv"
)

// versionServer stands for a containerd.
type versionServer struct {
	version.UnimplementedVersionServer
}

func (versionServer) Version(context.Context, *emptypb.Empty) (*version.VersionResponse, error) {
	return &version.VersionResponse{Version: "1.7.24"}, nil
}

// One connection of a client of containerd is told in turn why it gets no answer, and then gets one.
func TestClientsOfContainerdAreToldHowToStartIt(t *testing.T) {
	dir, err := os.MkdirTemp("", "sock") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	behind, err := net.Listen("unix", filepath.Join(dir, "guest"))
	if err != nil {
		t.Fatal(err)
	}
	served := grpc.NewServer()
	version.RegisterVersionServer(served, versionServer{})
	go func() { _ = served.Serve(behind) }()
	t.Cleanup(served.Stop)

	link := &engine.Link{}
	s := &Server{Path: filepath.Join(dir, "s"), Engine: engine.Containerd, Link: link, Log: slog.New(slog.DiscardHandler)}
	start(t, s)
	testenv.Eventually(t, "the socket is served", func() bool {
		_, err := os.Lstat(s.Path)
		return err == nil
	})
	if info, err := os.Stat(s.Path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	conn, err := grpc.NewClient("unix://"+s.Path, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	ask := func() (string, error) {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		answer, err := version.NewVersionClient(conn).Version(ctx, &emptypb.Empty{}, grpc.WaitForReady(true))
		return answer.GetVersion(), err
	}
	refused := func(says string) {
		t.Helper()
		if !testenv.Within(func() bool {
			_, err = ask()
			return status.Code(err) == codes.Unavailable && strings.Contains(err.Error(), says)
		}) {
			t.Errorf("%v, want %q", err, says)
		}
	}
	refused("Start it with: rdd start")
	link.Set(engine.Target{Phase: engine.Running, Engine: engine.Moby, Dial: func(context.Context, string, string) (net.Conn, error) {
		t.Error("a request to containerd went to docker's engine")
		return nil, errors.New("no")
	}})
	refused("Use docker, or switch with: rdd set containerEngine.name=containerd")
	dialed := ""
	link.Set(engine.Target{Phase: engine.Running, Engine: engine.Containerd, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		dialed = network + " " + address
		return (&net.Dialer{}).DialContext(ctx, "unix", behind.Addr().String())
	}})
	begun := time.Now()
	if !testenv.Within(func() bool {
		got, err := ask()
		return err == nil && got == "1.7.24"
	}) {
		t.Error("the engine does not answer")
	}
	if waited := time.Since(begun); waited > refuseFor/2 {
		t.Errorf("the client was refused for %s after the engine had come", waited)
	}
	if dialed != "unix /run/containerd/containerd.sock" {
		t.Errorf("dialed %s", dialed)
	}
	link.Set(engine.Target{Phase: engine.Starting, Engine: engine.Containerd})
}
