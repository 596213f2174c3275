package server

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
	"k8s.io/client-go/tools/clientcmd"

	"rancherdesktop.io/rdd/internal/atomicfile"
	"rancherdesktop.io/rdd/internal/controlplane"
)

// writeKubeconfig writes the kubeconfig by which clients of this user get access.
func (r *Run) writeKubeconfig(endpoint controlplane.Endpoint) error {
	b, err := endpoint.Kubeconfig(r.Instance.Context())
	if err != nil {
		return err
	}
	return atomicfile.Write(r.Instance.KubeConfig(), b)
}

// kubeconfigDelay is the time for a program that writes the kubeconfig in several steps.
const kubeconfigDelay = 100 * time.Millisecond

// keepKubeconfig writes the kubeconfig again whenever it is missing or gives no access, until ctx ends: clients need it to use
// this run. A kubeconfig to which a user has added something stays.
func (r *Run) keepKubeconfig(ctx context.Context, endpoint controlplane.Endpoint) {
	watcher, err := fsnotify.NewWatcher()
	if err == nil {
		defer watcher.Close()
		err = watcher.Add(filepath.Dir(r.Instance.KubeConfig()))
	}
	if err != nil {
		r.Log.Warn("the kubeconfig is not watched", "err", err)
		return
	}
	changed := time.NewTimer(0) // it may have changed before it was watched
	for {
		select {
		case <-ctx.Done():
			return
		case event, ok := <-watcher.Events:
			if !ok {
				return
			}
			if filepath.Base(event.Name) == filepath.Base(r.Instance.KubeConfig()) {
				changed.Reset(kubeconfigDelay)
			}
		case err := <-watcher.Errors:
			r.Log.Warn("watch the kubeconfig", "err", err)
			changed.Reset(kubeconfigDelay)
		case <-changed.C:
			if r.kubeconfigWorks(endpoint) {
				continue
			}
			r.Log.Warn("the kubeconfig was gone or damaged, and is written again", "file", r.Instance.KubeConfig())
			if err := r.writeKubeconfig(endpoint); err != nil {
				r.Log.Error("write the kubeconfig again", "err", err)
			}
		}
	}
}

// kubeconfigWorks reports whether the kubeconfig gives access to this run.
func (r *Run) kubeconfigWorks(endpoint controlplane.Endpoint) bool {
	b, err := os.ReadFile(r.Instance.KubeConfig())
	if err != nil {
		return false
	}
	config, err := clientcmd.RESTConfigFromKubeConfig(b)
	return err == nil && config.Host == endpoint.URL && config.BearerToken == endpoint.Token && bytes.Equal(config.CAData, endpoint.CA)
}
