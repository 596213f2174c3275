package controlplane

import (
	"time"

	coreapi "k8s.io/api/core/v1"
	eventsapi "k8s.io/api/events/v1"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiextensionsserver "k8s.io/apiextensions-apiserver/pkg/apiserver"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	genericserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/egressselector"
	"k8s.io/apiserver/pkg/server/options"
	serverstorage "k8s.io/apiserver/pkg/server/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/kubernetes/pkg/api/legacyscheme"

	"rancherdesktop.io/rdd/internal/datastore"
)

const (
	protobuf = "application/vnd.kubernetes.protobuf"
	// etcdCompaction is how often an etcd cluster is asked to drop old revisions.
	etcdCompaction = 5 * time.Minute
)

// etcdOptions are the storage settings that all kinds share. There is no watch
// cache: it costs memory and idle time, the store answers as fast from its own, and
// the first list of a new kind would be refused until the cache is warm.
func etcdOptions(store *datastore.Store) *options.EtcdOptions {
	o := options.NewEtcdOptions(storagebackend.NewDefaultConfig("/registry", nil))
	o.DefaultStorageMediaType = protobuf
	o.EnableWatchCache = false
	o.StorageConfig.CountMetricPollPeriod = 0
	o.StorageConfig.DBMetricPollInterval = 0
	o.StorageConfig.CompactionInterval = etcdCompaction
	if store.Compacts {
		o.StorageConfig.CompactionInterval = 0
	}
	t := &o.StorageConfig.Transport
	t.ServerList = store.Servers
	t.CertFile, t.KeyFile, t.TrustedCAFile = store.CertFile, store.KeyFile, store.CAFile
	if store.Dial != nil {
		t.EgressLookup = func(egressselector.NetworkContext) (utilnet.DialFunc, error) { return store.Dial, nil }
	}
	return o
}

// useStorage gives the built-in kinds their storage.
func useStorage(c *genericserver.Config, o *options.EtcdOptions) error {
	encoding := serverstorage.NewDefaultResourceEncodingConfigForEffectiveVersion(legacyscheme.Scheme, c.EffectiveVersion)
	factory := serverstorage.NewDefaultStorageFactory(o.StorageConfig, o.DefaultStorageMediaType, legacyscheme.Codecs, encoding, servedVersions(), nil)
	// Both groups show the same events.
	factory.AddCohabitatingResources(coreapi.Resource("events"), eventsapi.Resource("events"))
	factory.StorageConfig.StorageObjectCountTracker = c.StorageObjectCountTracker
	return o.ApplyWithStorageFactoryTo(factory, c)
}

// definitionStorage is the storage of the custom resource definitions themselves.
func definitionStorage(o options.EtcdOptions) *options.EtcdOptions {
	o.StorageConfig.Codec = apiextensionsserver.Codecs.LegacyCodec(apiextensionsv1.SchemeGroupVersion)
	o.StorageConfig.EncodeVersioner = runtime.NewMultiGroupVersioner(apiextensionsv1.SchemeGroupVersion, schema.GroupKind{Group: apiextensions.GroupName})
	o.SkipHealthEndpoints = true
	return &o
}
