package controlplane

import (
	"crypto/tls"
	"fmt"
	"time"

	apiextensionsserver "k8s.io/apiextensions-apiserver/pkg/apiserver"
	apiextensionsoptions "k8s.io/apiextensions-apiserver/pkg/cmd/server/options"
	apiadmission "k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/namespace/lifecycle"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	"k8s.io/apiserver/pkg/endpoints/discovery/aggregated"
	"k8s.io/apiserver/pkg/endpoints/filters"
	genericserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/apiserver/pkg/server/options"
	"k8s.io/apiserver/pkg/util/compatibility"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/apiserver/pkg/util/notfoundhandler"
	"k8s.io/apiserver/pkg/util/webhook"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/kubernetes/pkg/api/legacyscheme"

	"rancherdesktop.io/rdd/internal/admission"
	"rancherdesktop.io/rdd/internal/datastore"
)

const (
	// watchEndTimeout is how long open watches may take to end when the server stops. The
	// default is a minute.
	watchEndTimeout = 2 * time.Second
	// connectionCloseTimeout is how long clients may take to close their connections once requests
	// and watches have ended. The default is a second.
	connectionCloseTimeout = 100 * time.Millisecond
	// maxInFlightHook counts requests every second for a metric that nobody reads.
	maxInFlightHook = "max-in-flight-filter"
)

// build makes the chain of servers: built-in and live kinds, then custom ones, then 404.
func (s *Server) build() error {
	var err error
	if s.live, err = newLive(s.config.Live); err != nil {
		return fmt.Errorf("live kinds: %w", err)
	}
	c, err := s.genericConfig()
	if err != nil {
		return err
	}
	storage := etcdOptions(s.config.Store)
	if err := useStorage(c, storage, s.config.Store); err != nil {
		return fmt.Errorf("storage: %w", err)
	}
	if s.client, err = kubernetes.NewForConfig(s.loopback.native()); err != nil {
		return err
	}
	s.informers = informers.NewSharedInformerFactory(s.client, 0)
	if c.AdmissionControl, err = s.admissionChain(); err != nil {
		return err
	}
	if s.custom, err = customServer(*c, storage, s.config.Store); err != nil {
		return fmt.Errorf("custom resources: %w", err)
	}
	if s.native, err = c.Complete(s.informers).New("rdd", s.custom.GenericAPIServer); err != nil {
		return err
	}
	s.native.ShutdownTimeout = connectionCloseTimeout
	if err := installGroups(s.native, c); err != nil {
		return err
	}
	if err := s.installLive(c); err != nil {
		return err
	}
	s.native.AddPostStartHookOrDie("storage-readiness", s.native.StorageReadinessHook.Hook)
	if err := s.listCustomGroups(); err != nil {
		return err
	}
	s.serveOpenAPI(c.OpenAPIV3Config)
	s.handle(s.config.Handlers)
	s.serve = s.native.PrepareRun().RunWithContext
	return nil
}

func (s *Server) genericConfig() (*genericserver.Config, error) {
	c := genericserver.NewConfig(legacyscheme.Codecs)
	c.EffectiveVersion = compatibility.DefaultBuildEffectiveVersion()
	c.FeatureGate = utilfeature.DefaultFeatureGate
	c.EnableProfiling = false
	c.EnableMetrics = false
	c.DisabledPostStartHooks.Insert(maxInFlightHook)
	c.ShutdownWatchTerminationGracePeriod = watchEndTimeout
	c.ExternalAddress = s.listener.Addr().String()
	c.MergedResourceConfig = servedVersions()
	c.AggregatedDiscoveryGroupManager = aggregated.NewResourceManager("apis")
	c.BuildHandlerChainFunc = s.handlerChain
	c.LongRunningFunc = s.live.longRunning(c.LongRunningFunc)

	certificate, err := dynamiccertificates.NewStaticCertKeyContent("serving", s.identity.cert, s.identity.key)
	if err != nil {
		return nil, err
	}
	c.SecureServing = &genericserver.SecureServingInfo{
		Listener:                     s.listener,
		Cert:                         certificate,
		MinTLSVersion:                tls.VersionTLS13,
		HTTP2MaxStreamsPerConnection: 1000,
	}
	c.LoopbackClientConfig = s.loopback.native()
	c.Authentication.Authenticator = ownerByToken(s.identity.token)
	// Whoever has the token owns everything; nobody else gets here.
	c.Authorization.Authorizer = authorizerfactory.NewAlwaysAllowAuthorizer()
	c.RuleResolver = authorizerfactory.NewAlwaysAllowAuthorizer()

	models, namer := s.openAPIModels()
	c.OpenAPIV3Config = genericserver.DefaultOpenAPIV3Config(models, namer)
	c.SkipOpenAPIInstallation = true
	return c, nil
}

// admissionChain refuses writes into namespaces that are missing or going away, then
// asks the configured rules.
func (s *Server) admissionChain() (apiadmission.Interface, error) {
	namespaces, err := lifecycle.NewLifecycle(nil)
	if err != nil {
		return nil, err
	}
	namespaces.SetExternalKubeInformerFactory(s.informers)
	namespaces.SetExternalKubeClientSet(s.client)
	if err := namespaces.ValidateInitialization(); err != nil {
		return nil, err
	}
	rules := append([]admission.Admission{protectNamespaces(s.ownNamespaces()), protectDefinitions(s.config.CRDs)}, s.config.Admission...)
	return apiadmission.NewChainHandler(namespaces, ownerRule{s.live}, admissionPlugin{rules}), nil
}

// customServer serves custom resources and their definitions. It gets a copy of the
// configuration, because it has its own storage and start hooks.
func customServer(c genericserver.Config, storage *options.EtcdOptions, store *datastore.Store) (*apiextensionsserver.CustomResourceDefinitions, error) {
	c.PostStartHooks = map[string]genericserver.PostStartHookConfigEntry{}
	c.RESTOptionsGetter = nil
	definitions := definitionStorage(*storage)
	if err := definitions.ApplyTo(&c); err != nil {
		return nil, err
	}
	c.RESTOptionsGetter = storedIn(store, c.RESTOptionsGetter)
	c.MergedResourceConfig = apiextensionsserver.DefaultAPIResourceConfigSource()
	config := &apiextensionsserver.Config{
		GenericConfig: &genericserver.RecommendedConfig{Config: c},
		ExtraConfig: apiextensionsserver.ExtraConfig{
			CRDRESTOptionsGetter: storedIn(store, apiextensionsoptions.NewCRDRESTOptionsGetter(*definitions, c.ResourceTransformers, c.StorageObjectCountTracker)),
			MasterCount:          1, // with more, each definition waits 5 s
			AuthResolverWrapper:  webhook.NewDefaultAuthenticationInfoResolverWrapper(nil, nil, c.LoopbackClientConfig, c.TracerProvider),
			ServiceResolver:      webhook.NewDefaultServiceResolver(),
		},
	}
	notFound := notfoundhandler.New(c.Serializer, filters.NoMuxAndDiscoveryIncompleteKey)
	return config.Complete().New(genericserver.NewEmptyDelegateWithCustomHandler(notFound))
}
