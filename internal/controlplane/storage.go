package controlplane

import (
	"context"
	"net/http"
	"time"

	"go.etcd.io/etcd/client/v3/kubernetes"
	coreapi "k8s.io/api/core/v1"
	eventsapi "k8s.io/api/events/v1"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiextensionsserver "k8s.io/apiextensions-apiserver/pkg/apiserver"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/generic"
	genericserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/apiserver/pkg/server/options"
	serverstorage "k8s.io/apiserver/pkg/server/storage"
	apistorage "k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/etcd3"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
	plaintext "k8s.io/apiserver/pkg/storage/value/encrypt/identity"
	"k8s.io/client-go/tools/cache"
	"k8s.io/kubernetes/pkg/api/legacyscheme"

	"rancherdesktop.io/rdd/internal/datastore"
)

const (
	protobuf = "application/vnd.kubernetes.protobuf"
	// etcdCompactionInterval is how often an etcd cluster is asked to drop old revisions.
	etcdCompactionInterval = 5 * time.Minute
)

// etcdOptions are the storage settings that all kinds share. There is no watch cache: it
// costs memory and idle time, and the server would refuse the first list of a new kind
// until the cache is warm.
func etcdOptions(store *datastore.Store) *options.EtcdOptions {
	o := options.NewEtcdOptions(storagebackend.NewDefaultConfig("/registry", nil))
	o.DefaultStorageMediaType = protobuf
	o.EnableWatchCache = false
	o.StorageConfig.CountMetricPollPeriod = 0
	o.StorageConfig.DBMetricPollInterval = 0
	if store.Client != nil {
		o.StorageConfig.CompactionInterval = 0
		o.SkipHealthEndpoints = true // they would dial
		return o
	}
	o.StorageConfig.CompactionInterval = etcdCompactionInterval
	t := &o.StorageConfig.Transport
	t.ServerList = store.Servers
	t.CertFile, t.KeyFile, t.TrustedCAFile = store.CertFile, store.KeyFile, store.CAFile
	return o
}

// useStorage gives the built-in kinds their storage.
func useStorage(c *genericserver.Config, o *options.EtcdOptions, store *datastore.Store) error {
	encoding := serverstorage.NewDefaultResourceEncodingConfigForEffectiveVersion(legacyscheme.Scheme, c.EffectiveVersion)
	factory := serverstorage.NewDefaultStorageFactory(o.StorageConfig, o.DefaultStorageMediaType, legacyscheme.Codecs, encoding, servedVersions(), nil)
	// Both groups show the same events.
	factory.AddCohabitatingResources(coreapi.Resource("events"), eventsapi.Resource("events"))
	factory.StorageConfig.StorageObjectCountTracker = c.StorageObjectCountTracker
	if err := o.ApplyWithStorageFactoryTo(factory, c); err != nil {
		return err
	}
	c.RESTOptionsGetter = storedIn(store, c.RESTOptionsGetter)
	if store.Client != nil {
		c.AddHealthChecks(healthz.NamedCheck("datastore", func(r *http.Request) error { return checkHealth(r.Context(), store) }))
	}
	return nil
}

// checkHealth reads the key that every store has.
func checkHealth(ctx context.Context, store *datastore.Store) error {
	ctx, cancel := context.WithTimeout(ctx, storagebackend.DefaultHealthcheckTimeout)
	defer cancel()
	_, err := store.Client.Get(ctx, "/registry/health", kubernetes.GetOptions{})
	return err
}

// definitionStorage is the storage of the custom resource definitions themselves.
func definitionStorage(o options.EtcdOptions) *options.EtcdOptions {
	o.StorageConfig.Codec = apiextensionsserver.Codecs.LegacyCodec(apiextensionsv1.SchemeGroupVersion)
	o.StorageConfig.EncodeVersioner = runtime.NewMultiGroupVersioner(apiextensionsv1.SchemeGroupVersion, schema.GroupKind{Group: apiextensions.GroupName})
	o.SkipHealthEndpoints = true
	return &o
}

// storedIn has kinds stored by calls to a store in this process. For an etcd cluster it
// changes nothing: the API server makes its own connections.
func storedIn(store *datastore.Store, g generic.RESTOptionsGetter) generic.RESTOptionsGetter {
	if store.Client == nil {
		return g
	}
	return inProcess{g, store}
}

// inProcess gives kinds a storage that calls the store.
type inProcess struct {
	generic.RESTOptionsGetter
	store *datastore.Store
}

func (p inProcess) GetRESTOptions(resource schema.GroupResource, example runtime.Object) (generic.RESTOptions, error) {
	o, err := p.RESTOptionsGetter.GetRESTOptions(resource, example)
	o.Decorator = p.storage
	return o, err
}

// storage is what the API server's own factory makes, with the store's client in place
// of one that dials. The client outlives it.
func (p inProcess) storage(c *storagebackend.ConfigForResource, prefix string, _ func(runtime.Object) (string, error),
	newObject, newList func() runtime.Object, _ apistorage.AttrFunc, _ apistorage.IndexerFuncs, _ *cache.Indexers,
) (apistorage.Interface, factory.DestroyFunc, error) {
	transformer := c.Transformer
	if transformer == nil {
		transformer = plaintext.NewEncryptCheckTransformer()
	}
	versioner := apistorage.APIObjectVersioner{}
	s, err := etcd3.New(p.store.Client, nil, c.Codec, newObject, newList, c.Prefix, prefix, c.GroupResource,
		transformer, c.LeaseManagerConfig, etcd3.NewDefaultDecoder(c.Codec, versioner), versioner)
	if err != nil {
		return nil, nil, err
	}
	return s, s.Close, nil
}
