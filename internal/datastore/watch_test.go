package datastore

import (
	"context"
	"testing"

	"github.com/k3s-io/kine/pkg/server"
	clientv3 "go.etcd.io/etcd/client/v3"

	"rancherdesktop.io/rdd/internal/testenv"
)

// A consistent read waits for that. After a burst of writes it waited for three seconds.
func TestWatchTellsItsProgressWhileKineIsBehind(t *testing.T) {
	changes := make(chan server.EventBatch)
	w := &watch{
		backend: behind{}, key: "/registry/", end: "/registry0",
		responses: make(chan clientv3.WatchResponse), asked: make(chan struct{}, 1),
	}
	go w.run(t.Context(), server.WatchResult{Eventc: changes})
	changes <- server.EventBatch{CurrentRev: 6}
	w.askProgress()
	testenv.Eventually(t, "the watch tells its progress", func() bool {
		select {
		case r := <-w.responses:
			return r.IsProgressNotify() && r.Header.Revision == 6
		default:
			return false
		}
	})
}

// behind is kine after it has sent the changes up to 6.
type behind struct{ server.Backend }

func (behind) CurrentRevision(context.Context) (int64, error) { return 5, nil }
