package containerd

import (
	"context"
	"math"
	"net"
	"time"

	containers "github.com/containerd/containerd/api/services/containers/v1"
	content "github.com/containerd/containerd/api/services/content/v1"
	events "github.com/containerd/containerd/api/services/events/v1"
	images "github.com/containerd/containerd/api/services/images/v1"
	namespaces "github.com/containerd/containerd/api/services/namespaces/v1"
	snapshots "github.com/containerd/containerd/api/services/snapshots/v1"
	tasks "github.com/containerd/containerd/api/services/tasks/v1"
	version "github.com/containerd/containerd/api/services/version/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"rancherdesktop.io/rdd/internal/engine"
)

// Limits of the mirror's requests. An emulated guest is slow.
const (
	dialTimeout = 20 * time.Second
	listTimeout = time.Minute
)

// client speaks containerd's API.
type client struct {
	conn       *grpc.ClientConn
	containers containers.ContainersClient
	content    content.ContentClient
	events     events.EventsClient
	images     images.ImagesClient
	namespaces namespaces.NamespacesClient
	snapshots  snapshots.SnapshotsClient
	tasks      tasks.TasksClient
	version    version.VersionClient
}

// newClient returns a client of the engine that can be reached by dial.
func newClient(dial engine.Dial) (*client, error) {
	conn, err := grpc.NewClient("passthrough:///containerd",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, dialTimeout)
			defer cancel()
			return dial(ctx, "unix", engine.ContainerdSocket)
		}),
		grpc.WithTransportCredentials(insecure.NewCredentials()), // a unix socket
		grpc.WithUserAgent("rdd"),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32)), // lists of a namespace with many containers are long
	)
	if err != nil {
		return nil, err
	}
	return &client{
		conn: conn, containers: containers.NewContainersClient(conn), content: content.NewContentClient(conn), events: events.NewEventsClient(conn),
		images: images.NewImagesClient(conn), namespaces: namespaces.NewNamespacesClient(conn), snapshots: snapshots.NewSnapshotsClient(conn),
		tasks: tasks.NewTasksClient(conn), version: version.NewVersionClient(conn),
	}, nil
}

// in returns a context for requests in a namespace.
func in(ctx context.Context, namespace string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "containerd-namespace", namespace)
}
